"""Augmentation of uint8 tensors, every draw from a generator that is handed in, and normalisation of batches."""

from collections.abc import Callable
from typing import Annotated, Literal, TypeAlias

import numpy as np
import torch
from pydantic import AfterValidator, Field
from torch import Tensor
from torch.nn import functional as F

from vireid.errors import UsageError
from vireid.options import Options
from vireid.types import Modality

__all__ = [
    "Augmentation",
    "channel_exchange",
    "normalise",
]

Transform: TypeAlias = Callable[[Tensor, np.random.Generator], Tensor]

_GREY = (0.2989, 0.5870, 0.1140)
_CHANNEL_FILL = (125, 123, 114)  # (0.4914, 0.4822, 0.4465) of white, each channel its own
_ERASING_ATTEMPTS = 100


def _ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    if not 0.0 < bounds[0] <= bounds[1]:
        raise ValueError("must be (low, high) with 0 < low <= high")
    return bounds


def _share(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[1] > 1.0:
        raise ValueError("must not exceed 1")
    return bounds


Range = Annotated[tuple[float, float], AfterValidator(_ordered)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Augmentation(Options):
    """Random changes of training pictures, in this order: crop, flip, colour, grey, erasing, channel exchange."""

    padding: int = Field(10, ge=0, description="black pixels added on each side before a random crop of the old size")
    flip: Share = Field(0.5, description="probability of mirroring left and right")
    colour_jitter: Share = Field(
        0.0, description="strength s of colour jitter: brightness, contrast, saturation times a draw from [1-s, 1+s]"
    )
    grayscale: Share = Field(0.0, description="probability of turning grey")
    erasing: Literal["none", "random", "channel"] = Field(
        "none", description="fill of an erased rectangle: random pixels, or one constant for each channel"
    )
    erasing_probability: Share = Field(0.5, description="probability of erasing a rectangle")
    erasing_area: Annotated[Range, AfterValidator(_share)] = Field(
        (0.02, 0.4), description="range of the rectangle's share of the picture"
    )
    erasing_ratio: Range = Field((0.3, 3.3), description="range of the rectangle's height over its width")
    channel_exchange: bool = Field(False, description="visible pictures only: copy one channel to all three, or grey")

    def apply(self, image: Tensor, modality: Modality, rng: np.random.Generator) -> Tensor:
        """A changed copy of an image (3, H, W) uint8; the same for the same state of `rng`."""
        _check(image, dimensions=3)
        image = _random_crop(image, self.padding, rng)
        if rng.random() < self.flip:
            image = image.flip(2)
        if self.colour_jitter:
            image = _jitter(image, self.colour_jitter, rng)
        if self.grayscale and rng.random() < self.grayscale:
            image = _grey(image)
        if self.erasing != "none" and rng.random() < self.erasing_probability:
            image = self._erase(image, rng)
        if self.channel_exchange and modality is Modality.VISIBLE:
            image = channel_exchange(image, rng)
        return image

    def _erase(self, image: Tensor, rng: np.random.Generator) -> Tensor:
        """Zhong et al., "Random Erasing Data Augmentation", AAAI 2020; a constant per channel: Ye et al., ICCV 2021.

        Unchanged if no rectangle of the wanted area and ratio fits into the picture in a hundred draws.
        """
        _, height, width = image.shape
        for _ in range(_ERASING_ATTEMPTS):
            area = rng.uniform(*self.erasing_area) * height * width
            ratio = rng.uniform(*self.erasing_ratio)
            rows, columns = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
            if rows < height and columns < width:
                top, left = rng.integers(height - rows + 1), rng.integers(width - columns + 1)
                fill = (
                    torch.from_numpy(rng.integers(256, size=(3, rows, columns), dtype=np.uint8))
                    if self.erasing == "random"
                    else torch.tensor(_CHANNEL_FILL, dtype=torch.uint8)[:, None, None]
                )
                image = image.clone()
                image[:, top : top + rows, left : left + columns] = fill
                return image
        return image


def channel_exchange(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Copy R, G or B to all three channels, or, in a fourth case as likely, turn grey with probability 1/2.

    Ye et al., "Channel Augmented Joint Learning for Visible-Infrared Recognition", ICCV 2021, section 3.2. An eighth
    of all images (3, H, W) uint8 stays as it is.
    """
    case = int(rng.integers(4))
    if case < 3:
        return image[case].expand(3, -1, -1).clone()
    return _grey(image) if rng.random() < 0.5 else image


def normalise(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Images (N, 3, H, W) uint8 -> float32 (value / 255 - mean) / std per channel, on the device they are on."""
    _check(images, dimensions=4)
    offset, scale = (torch.tensor(values, device=images.device).mul_(255.0).view(1, 3, 1, 1) for values in (mean, std))
    return images.float().sub_(offset).div_(scale)


def _check(images: Tensor, *, dimensions: int) -> None:
    if images.dtype != torch.uint8 or images.ndim != dimensions or images.shape[-3] != 3:
        shape = "(3, H, W)" if dimensions == 3 else "(N, 3, H, W)"
        raise UsageError(f"expected images {shape} uint8, not {tuple(images.shape)} {images.dtype}")


def _random_crop(image: Tensor, padding: int, rng: np.random.Generator) -> Tensor:
    if padding == 0:
        return image
    _, height, width = image.shape
    top, left = rng.integers(2 * padding + 1, size=2)
    return F.pad(image, (padding,) * 4)[:, top : top + height, left : left + width]


def _jitter(image: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    """Brightness, contrast and saturation in this order, clipped after each."""
    brightness, contrast, saturation = (float(x) for x in rng.uniform(1.0 - strength, 1.0 + strength, size=3))
    values = (image.float() * brightness).clamp_(0.0, 255.0)
    middle = _luminance(values).mean()
    values = torch.lerp(middle, values, contrast).clamp_(0.0, 255.0)
    values = torch.lerp(_luminance(values), values, saturation).clamp_(0.0, 255.0)
    return values.round_().to(torch.uint8)


def _grey(image: Tensor) -> Tensor:
    return _luminance(image.float()).round_().to(torch.uint8).expand(3, -1, -1).clone()


def _luminance(values: Tensor) -> Tensor:
    """(3, H, W) float -> (1, H, W)."""
    weights = torch.tensor(_GREY).view(3, 1, 1)
    return (values * weights).sum(dim=0, keepdim=True)
