"""Phase congruency: where the frequencies of a picture agree in phase, whatever its contrast."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vireid.errors import UsageError
from vireid.networks.phase_congruency_real import RealPhaseCongruency

__all__ = ["PhaseCongruency"]

_LUMA = (0.299, 0.587, 0.114)
_CUTOFF, _ORDER = 0.45, 15  # Butterworth low-pass that takes the corners out of the frequency plane
_BLOCK = 8  # pictures at once: their responses stay in the processor's cache, which halves the time
_RAYLEIGH = math.sqrt(math.log(4.0))  # median of a Rayleigh distribution over its parameter


class PhaseCongruency(nn.Module):
    """Phase congruency of pictures of one size, by monogenic log-Gabor filters; nothing learnt, no gradient.

    Kovesi, "Image Features from Phase Congruency", Videre 1999, with the monogenic signal (Felsberg and Sommer, IEEE
    TSP 2001) for the oriented filters, and the parameters of Kovesi's public code. At scale s a filter and its Riesz
    transform give an even and two odd responses f, h1, h2 and the amplitude A = |(f, h1, h2)|. With E the length of
    (sum f, sum h1, sum h2) and T the noise to expect,

        PC = max(E - T, 0) / (sum A + epsilon), 0 <= PC < 1.

    T comes from the median of A at the smallest scale: noise of one Rayleigh parameter there, falling with `ratio`
    from scale to scale, its mean plus `noise` standard deviations. Kovesi's further factors (spread of frequencies,
    deviation of phase) are left out, as in AMINet. So that opposite borders make no edge, the periodic component of
    the picture is taken (Moisan, "Periodic plus Smooth Image Decomposition", JMIV 2011).

    size: (height, width). wavelength: of the smallest scale, in pixels; each further one is `ratio` times the last.
    spread: of the log-Gabor, sigma over its centre frequency. epsilon: in units of the pictures.
    """

    filters: Tensor  # (S, H, W // 2 + 1), as `rfft2` orders frequencies
    riesz: Tensor  # (2, H, W // 2 + 1): both odd filters over the imaginary unit
    smooth: Tensor  # (H, W // 2 + 1): spectrum of the smooth component over that of the jumps at the border

    def __init__(
        self,
        size: tuple[int, int],
        *,
        scales: int = 4,
        wavelength: float = 3.0,
        ratio: float = 2.1,
        spread: float = 0.55,
        noise: float = 3.0,
        epsilon: float = 1e-4,
    ) -> None:
        super().__init__()
        if min(size) < 2:
            raise UsageError(f"phase congruency needs pictures of at least 2 x 2 pixels, not {size[0]} x {size[1]}")
        self.size, self.epsilon = size, epsilon
        total = (1.0 - ratio**-scales) / (1.0 - 1.0 / ratio)  # noise of all scales over that of the first
        self.threshold = total * (math.sqrt(math.pi / 2) + noise * math.sqrt((4 - math.pi) / 2)) / _RAYLEIGH
        filters, riesz, smooth = _constants(size, [wavelength * ratio**scale for scale in range(scales)], spread)
        for name, value in (("filters", filters), ("riesz", riesz), ("smooth", smooth)):
            self.register_buffer(name, value.to(torch.get_default_dtype()), persistent=False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) -> (N, 1, H, W), in at least fp32.

        The grey picture is the luma of the channels as they come. Offset and contrast do not matter; that
        normalisation scales the channels a little differently moves their weights by a hundredth.

        Raises:
            UsageError: images of another size than the filters.
        """
        if tuple(images.shape[1:]) != (3, *self.size):
            raise UsageError(
                f"phase congruency was prepared for images (N, 3, {self.size[0]}, {self.size[1]}), "
                f"not {tuple(images.shape)}"
            )
        exact = images.to(torch.promote_types(images.dtype, torch.float32))
        red, green, blue = (weight * channel for weight, channel in zip(_LUMA, exact.unbind(1), strict=True))
        blocks = torch.split(red + green + blue, _BLOCK)
        return torch.cat([self._of_grey(block) for block in blocks])[:, None]

    def exportable(self) -> nn.Module:
        """What stands for it in an exported graph: the same values to rounding, in real arithmetic."""
        return RealPhaseCongruency(self)

    def _of_grey(self, grey: Tensor) -> Tensor:
        """Pictures (N, H, W) -> (N, H, W)."""
        spectrum = self._periodic_spectrum(grey)
        odd = 1j * self.riesz[:, None]
        vector = amplitude = noise = torch.zeros((), dtype=grey.dtype, device=grey.device)
        for scale, band in enumerate(self.filters):
            even = spectrum * band
            responses = torch.fft.irfft2(torch.cat([even[None], even * odd]), s=self.size)  # (3, N, H, W)
            strength = responses.square().sum(dim=0).sqrt()
            if scale == 0:
                noise = self.threshold * strength.flatten(1).median(dim=1).values[:, None, None]
            vector, amplitude = vector + responses, amplitude + strength
        energy = vector.square().sum(dim=0).sqrt()
        return (energy - noise).clamp(min=0.0) / (amplitude + self.epsilon)

    def _periodic_spectrum(self, grey: Tensor) -> Tensor:
        """Pictures (N, H, W) -> spectra (N, H, W // 2 + 1) of their periodic components, without their means."""
        grey = grey - grey.mean(dim=(1, 2), keepdim=True)  # filtered out anyway; spares its rounding noise
        jumps = torch.zeros_like(grey)
        vertical, horizontal = grey[:, 0] - grey[:, -1], grey[:, :, 0] - grey[:, :, -1]
        jumps[:, 0] += vertical
        jumps[:, -1] -= vertical
        jumps[:, :, 0] += horizontal
        jumps[:, :, -1] -= horizontal
        periodic: Tensor = torch.fft.rfft2(grey) - torch.fft.rfft2(jumps) * self.smooth
        return periodic


def _constants(size: tuple[int, int], wavelengths: Sequence[float], spread: float) -> tuple[Tensor, Tensor, Tensor]:
    """`filters`, `riesz` and `smooth` of `PhaseCongruency`, in double precision."""
    height, width = size
    down = torch.fft.fftfreq(height, dtype=torch.float64)[:, None]
    right = torch.fft.rfftfreq(width, dtype=torch.float64)[None, :]
    radius = torch.hypot(down, right)
    radius[0, 0] = 1.0  # any: there is no mean behind the filters
    low_pass = 1.0 / (1.0 + (radius / _CUTOFF) ** (2 * _ORDER))
    bands = [torch.exp(-((radius * length).log() ** 2) / (2 * math.log(spread) ** 2)) for length in wavelengths]
    filters = torch.stack(bands) * low_pass
    filters[:, 0, 0] = 0.0
    # At the highest frequency of an even length an odd filter has no real response.
    riesz = torch.stack([torch.where(axis.abs() < 0.5, axis, 0.0) / radius for axis in (right, down)])
    curvature = 4.0 - 2.0 * torch.cos(2 * math.pi * down) - 2.0 * torch.cos(2 * math.pi * right)
    curvature[0, 0] = 1.0  # the smooth component has mean 0: what stands above is 0 too
    return filters, riesz, 1.0 / curvature
