"""Phase congruency in real arithmetic, for graphs that know neither Fourier transforms nor complex numbers."""

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from vireid.errors import UsageError

if TYPE_CHECKING:
    from vireid.networks.phase_congruency import PhaseCongruency

__all__ = ["RealPhaseCongruency"]

_LUMA = (0.299, 0.587, 0.114)


class RealPhaseCongruency(nn.Module):
    """The values of a `PhaseCongruency` to rounding, by products with cosine and sine matrices instead of transforms.

    H + W products a pixel and response instead of their logarithms: for 288x144 a tenth of a ResNet-50's work. Real and
    imaginary parts are arrays of their own.
    """

    down: Tensor
    right: Tensor
    left: Tensor
    filters: Tensor
    riesz: Tensor
    smooth: Tensor
    first_row: Tensor
    first_column: Tensor

    def __init__(self, source: "PhaseCongruency") -> None:
        super().__init__()
        self.size, self.epsilon, self.threshold = source.size, source.epsilon, source.threshold
        height, width = self.size
        kept = width // 2 + 1
        tables = {
            "down": _waves(height, height),  # (2, H, H): cosine and sine, of row and frequency
            "right": _waves(width, kept),  # (2, W, K)
            "left": _waves(width, kept).mT * _doubled(width)[:, None] / (height * width),  # (2, K, W): the way back
        }
        for name, value in tables.items():
            self.register_buffer(name, value.to(source.filters.dtype), persistent=False)
        self.register_buffer("filters", source.filters, persistent=False)
        self.register_buffer("riesz", source.riesz, persistent=False)
        self.register_buffer("smooth", source.smooth, persistent=False)
        for name, length in (("first_row", height), ("first_column", width)):
            ends = torch.zeros(length, dtype=source.filters.dtype)
            ends[0] += 1.0
            ends[-1] -= 1.0
            self.register_buffer(name, ends, persistent=False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) -> (N, 1, H, W), in at least fp32, as `PhaseCongruency` gives it.

        Raises:
            UsageError: images of another size than the filters.
        """
        if tuple(images.shape[1:]) != (3, *self.size):
            raise UsageError(f"phase congruency was prepared for images (N, 3, H, W) of {self.size}")
        exact = images.to(torch.promote_types(images.dtype, torch.float32))
        red, green, blue = (weight * channel for weight, channel in zip(_LUMA, exact.unbind(1), strict=True))
        real, imaginary = self._periodic_spectrum(red + green + blue)
        vector: list[Tensor] = []
        amplitude, noise = torch.zeros_like(red), torch.zeros_like(red)
        for scale, band in enumerate(self.filters):
            even = real * band, imaginary * band
            responses = [self._picture(*even)]
            # The odd filters are imaginary: i r (a + i b) = -r b + i r a.
            responses += [self._picture(-odd * even[1], odd * even[0]) for odd in self.riesz]
            strength = _length(responses)
            if scale == 0:
                noise = self.threshold * _median(strength.flatten(1))[:, None, None]
            vector = [one + other for one, other in zip(vector, responses, strict=True)] if vector else responses
            amplitude = amplitude + strength
        found: Tensor = (_length(vector) - noise).clamp(min=0.0) / (amplitude + self.epsilon)
        return found[:, None]

    def _periodic_spectrum(self, grey: Tensor) -> tuple[Tensor, Tensor]:
        grey = grey - grey.mean(dim=(1, 2), keepdim=True)
        vertical, horizontal = grey[:, :1] - grey[:, -1:], grey[:, :, :1] - grey[:, :, -1:]
        jumps = self.first_row[:, None] * vertical + horizontal * self.first_column
        whole, border = self._spectrum(grey), self._spectrum(jumps)
        real, imaginary = (one - other * self.smooth for one, other in zip(whole, border, strict=True))
        return real, imaginary

    def _spectrum(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Real (N, H, W) -> real and imaginary parts (N, H, K)."""
        (cosine, sine), (down_cosine, down_sine) = self.right, self.down
        real, imaginary = pictures @ cosine, -(pictures @ sine)
        return (
            down_cosine @ real + down_sine @ imaginary,
            down_cosine @ imaginary - down_sine @ real,
        )

    def _picture(self, real: Tensor, imaginary: Tensor) -> Tensor:
        """The way back: parts (N, H, K) -> (N, H, W)."""
        (cosine, sine), (down_cosine, down_sine) = self.left, self.down
        even, odd = down_cosine @ real - down_sine @ imaginary, down_cosine @ imaginary + down_sine @ real
        picture: Tensor = even @ cosine - odd @ sine
        return picture


def _waves(length: int, frequencies: int) -> Tensor:
    """(2, length, frequencies) cosine and sine of 2 pi place frequency / length, in double precision."""
    turns = torch.outer(torch.arange(length), torch.arange(frequencies)) % length  # whole turns say nothing
    angles = turns.double() * (2 * math.pi / length)
    return torch.stack([angles.cos(), angles.sin()])


def _doubled(width: int) -> Tensor:
    """(K,) how often a frequency of the half spectrum stands in the whole one."""
    doubled = torch.full((width // 2 + 1,), 2.0, dtype=torch.float64)
    doubled[0] = 1.0
    if width % 2 == 0:
        doubled[-1] = 1.0
    return doubled


def _length(parts: list[Tensor]) -> Tensor:
    return torch.stack(parts).square().sum(dim=0).sqrt()


def _median(values: Tensor) -> Tensor:
    """(N, P) -> (N,), the lower one of two in the middle, as torch's."""
    count = values.shape[1]
    return values.topk(count - (count - 1) // 2, dim=1).values[:, -1]
