"""Augmentation of batches of uint8 pictures on the device they are on, and their normalisation.

What happens to a picture is drawn on its own (`Augmentation.draw`), before and wherever the batch is made; `augment`
then changes the batch. Its arithmetic is one rounded operation after the other, so that every device gives the same
bytes, and a picture's neighbours do not matter.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import AfterValidator, Field
from torch import Tensor
from torch.nn import functional as F

from vireid.errors import UsageError
from vireid.options import Options
from vireid.types import Modality

__all__ = ["Augmentation", "Change", "Rectangle", "augment", "normalise"]

_GREY = (0.2989, 0.5870, 0.1140)
_CHANNEL_FILL = (125, 123, 114)  # (0.4914, 0.4822, 0.4465) of white, each channel its own
_ERASING_ATTEMPTS = 100
_KEPT, _TO_GREY = -1, 3  # beside the numbers of the channels


class Rectangle(NamedTuple):
    """An erased rectangle: its upper left corner, its size, and its fill (3, rows, columns) uint8.

    noise: None stands for one constant per channel.
    """

    top: int
    left: int
    rows: int
    columns: int
    noise: NDArray[np.uint8] | None


class Change(NamedTuple):
    """What happens to one picture, in this order.

    down, right: shift of the window within the picture, black outside. flip: left and right. jitter: factors of
    brightness, contrast and saturation. grey. erased. channel: copied to all three, or 3: the picture turns grey.
    """

    down: int = 0
    right: int = 0
    flip: bool = False
    jitter: tuple[float, float, float] | None = None
    grey: bool = False
    erased: Rectangle | None = None
    channel: int | None = None


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

    def draw(self, modality: Modality, size: tuple[int, int], rng: np.random.Generator) -> Change:
        """What happens to a picture of `size` = (height, width) pixels; the same for the same state of `rng`."""
        down, right = rng.integers(2 * self.padding + 1, size=2) - self.padding if self.padding else (0, 0)
        flip = rng.random() < self.flip
        jitter = _factors(self.colour_jitter, rng) if self.colour_jitter else None
        grey = bool(self.grayscale) and rng.random() < self.grayscale
        erases = self.erasing != "none" and rng.random() < self.erasing_probability
        erased = self._rectangle(size, rng) if erases else None
        channel = _exchange(rng) if self.channel_exchange and modality is Modality.VISIBLE else None
        return Change(int(down), int(right), flip, jitter, grey, erased, channel)

    def _rectangle(self, size: tuple[int, int], rng: np.random.Generator) -> Rectangle | None:
        """Zhong et al., "Random Erasing Data Augmentation", AAAI 2020; a constant per channel: Ye et al., ICCV 2021.

        None if no rectangle of the wanted area and ratio fits into the picture in a hundred draws.
        """
        height, width = size
        for _ in range(_ERASING_ATTEMPTS):
            area = rng.uniform(*self.erasing_area) * height * width
            ratio = rng.uniform(*self.erasing_ratio)
            rows, columns = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
            if rows < height and columns < width:
                top, left = int(rng.integers(height - rows + 1)), int(rng.integers(width - columns + 1))
                random = self.erasing == "random"
                noise = rng.integers(256, size=(3, rows, columns), dtype=np.uint8) if random else None
                return Rectangle(top, left, rows, columns, noise)
        return None


def augment(images: Tensor, changes: Sequence[Change]) -> Tensor:
    """New images (N, 3, H, W) uint8, channels last in memory: those given, each changed as its entry says.

    Raises:
        UsageError: `images` are of another shape or type, or `changes` are not N.
    """
    _check(images)
    if len(changes) != len(images):
        raise UsageError(f"{len(images)} images cannot take {len(changes)} changes; give one for each")
    # Sorted by channel meanwhile: pictures that take the same one are a slice then, which is ten times as fast.
    order = sorted(range(len(changes)), key=lambda number: _group(changes[number]))
    sizes = Counter(_group(change) for change in changes)
    changes = [changes[number] for number in order]
    pixels = _windows(images.permute(0, 2, 3, 1), order, changes)
    if jittered := [number for number, change in enumerate(changes) if change.jitter]:
        pixels[jittered] = _jitter(pixels[jittered], [changes[number].jitter for number in jittered])
    if greyed := [number for number, change in enumerate(changes) if change.grey]:
        pixels[greyed] = _grey(pixels[greyed])
    constant = torch.tensor(_CHANNEL_FILL, dtype=torch.uint8, device=pixels.device)
    for picture, change in zip(pixels, changes, strict=True):
        if change.erased:
            _erase(picture, change.erased, constant)
    _, *copied, grey = torch.split(pixels, [sizes[group] for group in (_KEPT, 0, 1, 2, _TO_GREY)])
    for channel, group in enumerate(copied):
        for other in {0, 1, 2} - {channel}:
            group[..., other].copy_(group[..., channel])
    grey.copy_(_grey(grey))
    return pixels.index_select(0, torch.tensor(np.argsort(order), device=pixels.device)).permute(0, 3, 1, 2)


def normalise(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Images (N, 3, H, W) uint8 -> float32 (value / 255 - mean) / std per channel, where they are, channels last."""
    _check(images)
    count, _, height, width = images.shape
    # In rows of whole pixels: broadcasting over a last dimension of 3 takes six times as long.
    rows = images.permute(0, 2, 3, 1).reshape(count, height, width * 3)
    offset, scale = (torch.tensor(v, device=images.device).mul_(255.0).repeat(width) for v in (mean, std))
    return rows.float().sub_(offset).div_(scale).view(count, height, width, 3).permute(0, 3, 1, 2)


def _check(images: Tensor) -> None:
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
        raise UsageError(f"expected images (N, 3, H, W) uint8, not {tuple(images.shape)} {images.dtype}")


def _factors(strength: float, rng: np.random.Generator) -> tuple[float, float, float]:
    brightness, contrast, saturation = rng.uniform(1.0 - strength, 1.0 + strength, size=3).tolist()
    return brightness, contrast, saturation


def _exchange(rng: np.random.Generator) -> int | None:
    """R, G or B, or, in a fourth case as likely, grey with probability 1/2: an eighth of all pictures stays as it is.

    Ye et al., "Channel Augmented Joint Learning for Visible-Infrared Recognition", ICCV 2021, section 3.2.
    """
    case = int(rng.integers(4))
    return case if case != _TO_GREY or rng.random() < 0.5 else None


def _group(change: Change) -> int:
    return _KEPT if change.channel is None else change.channel


def _windows(pixels: Tensor, order: Sequence[int], changes: Sequence[Change]) -> Tensor:
    """Pictures of (N, H, W, 3) in `order`, shifted, and mirrored or not, as the change at the same place says."""
    _, height, width, _ = pixels.shape
    margin = max((max(abs(change.down), abs(change.right)) for change in changes), default=0)
    padded = F.pad(pixels, (0, 0, margin, margin, margin, margin))
    mirrored = padded.flip(2)
    windows = []
    for number, change in zip(order, changes, strict=True):
        top, left = margin + change.down, margin - change.right if change.flip else margin + change.right
        source = mirrored if change.flip else padded
        windows.append(source[number, top : top + height, left : left + width])
    return torch.stack(windows)


def _erase(picture: Tensor, erased: Rectangle, constant: Tensor) -> None:
    """Fill a rectangle of (H, W, 3), in place."""
    bottom, right = erased.top + erased.rows, erased.left + erased.columns
    fill = constant if erased.noise is None else torch.from_numpy(erased.noise).permute(1, 2, 0)
    picture[erased.top : bottom, erased.left : right].copy_(fill)


def _jitter(pixels: Tensor, factors: Sequence[tuple[float, float, float] | None]) -> Tensor:
    """Brightness, contrast and saturation of (N, H, W, 3) in this order, clipped after each."""
    brightness, contrast, saturation = torch.tensor(factors, device=pixels.device).T[..., None, None, None]
    planes = pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    planes = planes.mul_(brightness).clamp_(0.0, 255.0)
    # The mean in double precision: in single, its last digits would depend on how a device adds up.
    middle = _luminance(planes).mean((1, 2, 3), dtype=torch.float64, keepdim=True).float()
    planes = planes.sub_(middle).mul_(contrast).add_(middle).clamp_(0.0, 255.0)
    grey = _luminance(planes)
    planes = planes.sub_(grey).mul_(saturation).add_(grey).clamp_(0.0, 255.0)
    return planes.round_().to(torch.uint8).permute(0, 2, 3, 1)


def _grey(pixels: Tensor) -> Tensor:
    """(N, H, W, 3) -> (N, H, W, 1)."""
    return _luminance(pixels.permute(0, 3, 1, 2).float()).round_().to(torch.uint8).permute(0, 2, 3, 1)


def _luminance(values: Tensor) -> Tensor:
    """(N, 3, H, W) float -> (N, 1, H, W)."""
    red, green, blue = values.unbind(1)
    grey: Tensor = red * _GREY[0] + green * _GREY[1] + blue * _GREY[2]
    return grey.unsqueeze(1)
