"""Phase congruency against a plain NumPy reference, a published implementation, and what it must not depend on."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from vireid.errors import UsageError
from vireid.networks.phase_congruency import PhaseCongruency

LUMA = (0.299, 0.587, 0.114)
EPSILON = 1e-4


class Reference(NamedTuple):
    energy: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    threshold: float

    @property
    def congruency(self) -> NDArray[np.float64]:
        return np.maximum(self.energy - self.threshold, 0) / (self.amplitude + EPSILON)


def reference(image: NDArray[np.float64]) -> Reference:
    """One grey picture (H, W), with whole complex transforms and nothing shared with the module."""
    height, width = image.shape
    v, u = np.meshgrid(np.fft.fftfreq(height), np.fft.fftfreq(width), indexing="ij")
    jumps = np.zeros_like(image)
    for column in range(width):
        jumps[0, column] += image[0, column] - image[-1, column]
        jumps[-1, column] -= image[0, column] - image[-1, column]
    for row in range(height):
        jumps[row, 0] += image[row, 0] - image[row, -1]
        jumps[row, -1] -= image[row, 0] - image[row, -1]
    below = 2 * np.cos(2 * np.pi * v) + 2 * np.cos(2 * np.pi * u) - 4
    below[0, 0] = 1
    spectrum = np.fft.fft2(image) + np.fft.fft2(jumps) / below
    radius = np.sqrt(u**2 + v**2)
    radius[0, 0] = 1
    sums, amplitude, threshold = np.zeros((3, height, width)), np.zeros_like(image), 0.0
    for scale in range(4):
        band = np.exp(-(np.log(radius * 3 * 2.1**scale) ** 2) / (2 * np.log(0.55) ** 2))
        band = band / (1 + (radius / 0.45) ** 30)
        band[0, 0] = 0
        filters = (band, band * 1j * u / radius, band * 1j * v / radius)
        responses = np.stack([np.fft.ifft2(spectrum * one).real for one in filters])
        strength = np.sqrt((responses**2).sum(0))
        if scale == 0:
            tau = np.sort(strength.ravel())[(strength.size - 1) // 2] / np.sqrt(np.log(4))
            total = tau * sum(2.1**-step for step in range(4))
            threshold = total * (np.sqrt(np.pi / 2) + 3 * np.sqrt((4 - np.pi) / 2))
        sums, amplitude = sums + responses, amplitude + strength
    return Reference(np.sqrt((sums**2).sum(0)), amplitude, float(threshold))


def textured(height: int, width: int) -> NDArray[np.float64]:
    y, x = np.mgrid[:height, :width]
    waves = np.sin(0.9 * x + 0.3 * y) + 0.5 * np.cos(0.21 * x * y / 7)
    picture: NDArray[np.float64] = waves + (x > 13) + 0.8 * (y > 20)
    return picture


def grey(picture: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(picture)[None, None].expand(1, 3, -1, -1)


@pytest.fixture(autouse=True)
def _double() -> object:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("size", [(48, 32), (47, 33), (48, 33), (47, 32)])
def test_equals_a_plain_reference(size: tuple[int, int]) -> None:
    found = PhaseCongruency(size)(grey(textured(*size)))
    assert found.shape == (1, 1, *size)
    np.testing.assert_allclose(found[0, 0], reference(textured(*size)).congruency, atol=1e-12)


def test_the_reference_agrees_with_a_published_implementation() -> None:
    """Version 1.0.5 of the package phasecongruency, which divides by E where we divide by sum A.

    Its `phasecongmono` with k=3, g=0 and deviationgain=0 on the periodic component of this picture, doubled.
    """
    found = reference(textured(47, 33))
    assert found.threshold == pytest.approx(2.2671539789541146, rel=1e-12)
    theirs = np.maximum(found.energy - found.threshold, 0) / (found.energy + EPSILON)
    expected = {(5, 13): 0.2571184579801429, (20, 20): 0.11987740558477687, (30, 14): 0.15780642767286446, (40, 3): 0.0}
    for place, value in expected.items():
        assert theirs[place] == pytest.approx(value, abs=1e-12)
    assert theirs.max() == pytest.approx(0.5251208643582016, abs=1e-12)


def test_neither_contrast_nor_offset_matter() -> None:
    module = PhaseCongruency((48, 32), epsilon=0.0)
    images = grey(textured(48, 32))
    expected = module(images)
    assert expected.max() > 0.3
    torch.testing.assert_close(module(3.7 * images - 11.0), expected, atol=1e-13, rtol=0)
    torch.testing.assert_close(module(0.01 * images), expected, atol=1e-14, rtol=0)


def test_reversed_contrast_gives_the_same_bits() -> None:
    images = torch.randn(2, 3, 40, 24, generator=torch.Generator().manual_seed(0))
    module = PhaseCongruency((40, 24))
    assert torch.equal(module(-images), module(images))


def test_lies_between_0_and_1() -> None:
    images = torch.randn(3, 3, 48, 32, generator=torch.Generator().manual_seed(1))
    images[1, :, 10:30, 5:20] += 40.0
    found = PhaseCongruency((48, 32))(images)
    assert found.min() == 0
    assert 0.5 < found[1].max() < 1


def test_a_constant_picture_has_none() -> None:
    assert PhaseCongruency((48, 32))(torch.full((1, 3, 48, 32), 0.7)).max() < 1e-9
    assert PhaseCongruency((48, 32)).float()(torch.full((1, 3, 48, 32), 0.7, dtype=torch.float32)).max() < 1e-3


def test_a_step_peaks_at_the_step() -> None:
    images = torch.zeros(1, 3, 40, 64)
    images[..., 24:] = 1.0
    found = PhaseCongruency((40, 64))(images)[0, 0]
    assert set(found.argmax(dim=1).tolist()) <= {23, 24}
    assert found[:, 23:25].amax(dim=1).min() > 0.9


def test_unlike_borders_are_no_edge() -> None:
    noise = 0.05 * torch.randn(1, 3, 40, 64, generator=torch.Generator().manual_seed(6))
    rising = torch.linspace(0, 1, 64) + noise  # a periodic picture would fall by 1 between its last column and first
    found, circular = PhaseCongruency((40, 64))(rising), PhaseCongruency((40, 128))(torch.cat([rising, rising], dim=3))
    assert circular[0, 0, :, 63:65].mean() > 0.4
    assert found[..., [0, -1]].mean() < 0.1


def test_colours_are_weighed_as_luma() -> None:
    images = torch.randn(1, 3, 32, 24, generator=torch.Generator().manual_seed(2))
    luma = sum(weight * images[:, channel] for channel, weight in enumerate(LUMA))
    torch.testing.assert_close(
        PhaseCongruency((32, 24))(images), PhaseCongruency((32, 24))(luma[:, None].expand(-1, 3, -1, -1))
    )


def test_pictures_of_a_batch_do_not_meet_and_no_gradient_passes() -> None:
    images = torch.randn(4, 3, 32, 24, generator=torch.Generator().manual_seed(3)).requires_grad_()
    module = PhaseCongruency((32, 24))
    found = module(images)
    assert not found.requires_grad
    torch.testing.assert_close(module(images[2:3]), found[2:3], atol=1e-14, rtol=0)


def test_single_precision_is_close_and_half_precision_pictures_are_taken_in_it() -> None:
    images = grey(textured(48, 32))
    expected = PhaseCongruency((48, 32))(images)
    single = PhaseCongruency((48, 32)).float()
    torch.testing.assert_close(single(images.float()).double(), expected, atol=1e-5, rtol=0)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(single(images.float()), single(images.float()))
        assert single(images.bfloat16()).dtype == torch.float32


def test_filters_are_no_state() -> None:
    assert not PhaseCongruency((32, 24)).state_dict()


def test_other_sizes_are_refused() -> None:
    with pytest.raises(UsageError, match=r"prepared for images \(N, 3, 32, 24\), not \(1, 3, 24, 32\)"):
        PhaseCongruency((32, 24))(torch.zeros(1, 3, 24, 32))
    with pytest.raises(UsageError, match="at least 2 x 2"):
        PhaseCongruency((1, 24))


@pytest.mark.parametrize("size", [(16, 12), (15, 9)])
def test_real_arithmetic_gives_the_same_values(size):
    pictures = torch.nn.functional.avg_pool2d(torch.randn(3, 3, size[0] + 4, size[1] + 4), 5, 1) * 3
    congruency = PhaseCongruency(size)
    torch.testing.assert_close(congruency.exportable()(pictures), congruency(pictures), atol=1e-5, rtol=0)
