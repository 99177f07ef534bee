"""Multi-kernel MMD: exact values, bounds, invariances, gradients, learnt kernel weights."""

import math

import pytest
import torch
from torch import Tensor

from vireid.errors import UsageError
from vireid.losses import MultiKernelMMD, mean_distance_bandwidths, multi_kernel_mmd

ONE = torch.ones(1, dtype=torch.float64)
ALIKE = torch.full((5,), 0.2, dtype=torch.float64)
TWO_POINTS = torch.zeros(2, 1, dtype=torch.float64), torch.full((2, 1), 2.0, dtype=torch.float64)


def sample(count: int, seed: int, dimensions: int = 6, shift: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, dimensions, generator=generator, dtype=torch.float64) + shift


def slow_mmd(first, second, weights, bandwidths, estimator):
    def kernel(x, y):
        square = math.dist(x, y) ** 2
        return sum(w * math.exp(-square / b) for w, b in zip(weights, bandwidths, strict=True))

    def within(rows):
        pairs = [(i, j) for i in range(len(rows)) for j in range(len(rows)) if estimator == "biased" or i != j]
        return sum(kernel(rows[i], rows[j]) for i, j in pairs) / len(pairs)

    across = sum(kernel(x, y) for x in first for y in second) / (len(first) * len(second))
    return within(first) + within(second) - 2 * across


@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
def test_equals_plain_loops_also_with_samples_of_unlike_size(estimator):
    first, second = sample(7, 0), sample(5, 1, shift=0.5)
    weights = torch.tensor([0.1, 0.6, 0.3], dtype=torch.float64)
    bandwidths = torch.tensor([1.0, 4.0, 9.0], dtype=torch.float64)
    found = multi_kernel_mmd(first, second, weights=weights, bandwidths=bandwidths, estimator=estimator)
    expected = slow_mmd(first.tolist(), second.tolist(), weights.tolist(), bandwidths.tolist(), estimator)
    assert found.item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
def test_two_points_apart_under_one_kernel_of_sigma_1(estimator):
    found = multi_kernel_mmd(*TWO_POINTS, weights=ONE, bandwidths=2.0 * ONE, estimator=estimator)
    assert found.item() == pytest.approx(2 - 2 * math.exp(-2), abs=1e-12)
    assert found.item() == pytest.approx(1.7293294, abs=1e-7)


def test_two_points_apart_under_the_released_kernels():
    both = torch.cat(TWO_POINTS)
    expected = [2 / 3, 4 / 3, 8 / 3, 16 / 3, 32 / 3]
    assert mean_distance_bandwidths(both).tolist() == pytest.approx(expected, abs=1e-12)
    across = sum(math.exp(-4 / bandwidth) for bandwidth in expected)
    assert across == pytest.approx(1.4350518, abs=1e-7)
    found = MultiKernelMMD(alpha="fixed", estimator="biased")(*TWO_POINTS)
    assert found.item() == pytest.approx(7.1298964, abs=1e-6)


@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
def test_far_clusters_of_equal_points_reach_twice_the_sum_of_weights(estimator):
    weights = torch.tensor([0.5, 1.5], dtype=torch.float64)
    first, second = torch.zeros(4, 3, dtype=torch.float64), torch.full((6, 3), 1e3, dtype=torch.float64)
    found = multi_kernel_mmd(first, second, weights=weights, bandwidths=torch.tensor([1.0, 2.0]), estimator=estimator)
    assert found.item() == pytest.approx(4.0, abs=1e-12)


def test_of_a_sample_with_itself():
    rows = sample(8, 2)
    assert multi_kernel_mmd(rows, rows, weights=ALIKE).item() == pytest.approx(0.0, abs=1e-12)
    unbiased = multi_kernel_mmd(rows, rows, weights=ALIKE, estimator="unbiased").item()
    squared = torch.cdist(rows, rows).square()
    bandwidths = mean_distance_bandwidths(torch.cat([rows, rows]))
    kernel = sum(0.2 * torch.exp(-squared / bandwidth) for bandwidth in bandwidths)
    mean = (kernel.sum() - kernel.diagonal().sum()) / (8 * 7)
    assert unbiased == pytest.approx(-2 * (1 - mean.item()) / 8, abs=1e-9)
    assert unbiased < 0


def test_biased_is_never_negative_and_unbiased_is_right_on_average():
    draws = [(sample(6, 2 * seed), sample(6, 2 * seed + 1)) for seed in range(200)]
    settings = {"weights": ONE, "bandwidths": 12.0 * ONE}
    biased = [multi_kernel_mmd(*draw, **settings).item() for draw in draws]
    unbiased = torch.stack([multi_kernel_mmd(*draw, **settings, estimator="unbiased") for draw in draws])
    assert min(biased) >= 0
    assert abs(unbiased.mean()) < 3 * unbiased.std() / math.sqrt(200)
    assert unbiased.min() < 0 < unbiased.max()


def test_identities_in_groups_make_the_unbiased_estimate_negative_when_all_is_aligned():
    centres = sample(8, 5).repeat_interleave(4, dim=0) * 5
    found = multi_kernel_mmd(
        centres + 0.1 * sample(32, 6), centres + 0.1 * sample(32, 7), weights=ALIKE, estimator="unbiased"
    )
    assert found < 0


@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
def test_symmetry_and_invariances(estimator):
    first, second = sample(6, 8), sample(6, 9, shift=1.0)
    rotation = torch.linalg.qr(sample(6, 10))[0]
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    expected = multi_kernel_mmd(first, second, weights=ALIKE, estimator=estimator).item()
    changed = {
        "arguments": (second, first),
        "rows": (first[order], second),
        "translation": (first + 7.5, second + 7.5),
        "rotation": (first @ rotation, second @ rotation),
        "scale": (100 * first, 100 * second),
    }
    for name, pair in changed.items():
        found = multi_kernel_mmd(*pair, weights=ALIKE, estimator=estimator).item()
        assert found == pytest.approx(expected, abs=1e-10), name


@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
def test_gradient_equals_finite_differences_and_none_passes_the_bandwidth(estimator):
    first, second = sample(4, 11).requires_grad_(), sample(5, 12).requires_grad_()
    weights = torch.tensor([0.3, 0.7], dtype=torch.float64, requires_grad=True)
    given = torch.tensor([4.0, 9.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda a, b, w: multi_kernel_mmd(a, b, weights=w, bandwidths=given, estimator=estimator),
        (first, second, weights),
    )
    own = mean_distance_bandwidths(torch.cat([first, second]))
    assert not own.requires_grad
    one, other = (
        torch.autograd.grad(multi_kernel_mmd(first, second, weights=ALIKE, bandwidths=b, estimator=estimator), first)
        for b in (None, own)
    )
    torch.testing.assert_close(one, other)


def test_equal_rows_have_no_discrepancy_and_a_finite_gradient():
    rows = torch.ones(4, 3, requires_grad=True)
    found = MultiKernelMMD(alpha="fixed", estimator="biased")(rows, rows.detach())
    assert found.item() == pytest.approx(0.0, abs=1e-6)
    found.backward()
    assert torch.isfinite(rows.grad).all()


@pytest.mark.parametrize("alpha", ["fixed", "softmax_min", "softmax_max"])
def test_kernel_weights_stay_on_the_simplex_and_start_alike(alpha):
    module = MultiKernelMMD(alpha=alpha, estimator="biased")
    first, second = sample(8, 13), sample(8, 14, shift=2.0)
    at_start = module(first, second).item()
    assert at_start == pytest.approx(5 * multi_kernel_mmd(first, second, weights=ALIKE).item(), rel=1e-6)
    if alpha == "fixed":
        assert not module.weights.requires_grad
        return
    optimiser = torch.optim.SGD(module.parameters(), lr=50.0)
    for _ in range(5):
        optimiser.zero_grad()
        module(first, second).backward()
        optimiser.step()
    weights = module.weights.detach()
    assert weights.min() >= 0
    assert weights.sum().item() == pytest.approx(1.0, abs=1e-6)
    learnt = module(first, second).item()
    assert learnt < at_start - 0.01 if alpha == "softmax_min" else learnt > at_start + 0.01


def test_half_precision_features_are_compared_in_single_precision():
    found = MultiKernelMMD(alpha="fixed", estimator="biased")(sample(4, 15).bfloat16(), sample(4, 16).bfloat16())
    assert found.dtype == torch.float32


def test_the_unbiased_estimate_needs_two_rows():
    with pytest.raises(UsageError, match="two rows of each sample, not 1 and 3"):
        multi_kernel_mmd(sample(1, 0), sample(3, 1), weights=ONE, estimator="unbiased")
