"""Maximum mean discrepancy: how far two samples are from having been drawn alike."""

from typing import Literal

import torch
from torch import Tensor, nn

from vireid.errors import UsageError
from vireid.losses.triplet import euclidean_distances

__all__ = ["KERNELS", "MultiKernelMMD", "mean_distance_bandwidths", "multi_kernel_mmd"]

KERNELS = 5
"""Gaussian kernels of a family; their bandwidths are a geometric row of ratio 2 around its middle."""

_SMALLEST = 1e-30  # a batch whose rows are all equal has no spread

Estimator = Literal["biased", "unbiased"]


def multi_kernel_mmd(
    first: Tensor, second: Tensor, *, weights: Tensor, bandwidths: Tensor | None = None, estimator: Estimator = "biased"
) -> Tensor:
    """Squared MMD of samples (n, D) and (m, D) under a weighted sum of Gaussian kernels; a scalar, in at least fp32.

    Gretton et al., "A Kernel Two-Sample Test", JMLR 2012, Eq. 5 (biased) and Eq. 3 (unbiased), with k(x, y) = sum over
    j of weights[j] exp(-|x - y|^2 / bandwidths[j]), so a bandwidth is 2 sigma^2. The biased estimate takes means over
    all pairs, each row with itself included, and is never negative. The unbiased one leaves these out and may be.

    weights, bandwidths: (K,). Default bandwidths: `mean_distance_bandwidths` of both samples together.

    Raises:
        UsageError: the unbiased estimate of a sample of one row.
    """
    rows, columns = len(first), len(second)
    if estimator == "unbiased" and min(rows, columns) < 2:
        raise UsageError(f"the unbiased MMD needs two rows of each sample, not {rows} and {columns}; take the biased")
    squared = euclidean_distances(torch.cat([first, second])).square()
    scales = _bandwidths(squared, len(weights)) if bandwidths is None else bandwidths
    kernel = torch.zeros_like(squared)
    for weight, scale in zip(weights, scales, strict=True):
        kernel = kernel + weight * torch.exp(-squared / scale)
    across = kernel[:rows, rows:].mean()
    return _within(kernel[:rows, :rows], estimator) + _within(kernel[rows:, rows:], estimator) - 2 * across


def mean_distance_bandwidths(features: Tensor, kernels: int = KERNELS) -> Tensor:
    """Bandwidths (K,) of features (N, D): their mean squared distance b times 2^(j - K // 2); without gradient.

    The mean is over pairs of different rows. For five kernels: b/4, b/2, b, 2b, 4b (Long et al., "Learning
    Transferable Features with Deep Adaptation Networks", ICML 2015, as commonly implemented).
    """
    return _bandwidths(euclidean_distances(features).square(), kernels)


class MultiKernelMMD(nn.Module):
    """`multi_kernel_mmd` with kernel weights that are fixed or learnt; always at least 0 and of sum 1.

    alpha: `fixed` weighs all kernels alike. `softmax_min` learns weights that make the discrepancy small, with the
    network: trivial solutions are open to it, such as all weight on a kernel that tells nothing apart. `softmax_max`
    learns, by a reversed gradient, the weights under which the samples differ most.

    The result is multiplied by the number of kernels, so that `fixed` is the plain sum of the kernels.
    """

    def __init__(self, *, alpha: Literal["fixed", "softmax_min", "softmax_max"], estimator: Estimator) -> None:
        super().__init__()
        self.alpha, self.estimator = alpha, estimator
        self.logits = nn.Parameter(torch.zeros(KERNELS), requires_grad=alpha != "fixed")

    @property
    def weights(self) -> Tensor:
        """(K,), on the simplex."""
        # Twice the value without gradient, less the value: the value itself, with its gradient reversed.
        logits = 2 * self.logits.detach() - self.logits if self.alpha == "softmax_max" else self.logits
        return logits.softmax(dim=0)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Samples (n, D) and (m, D) -> a scalar."""
        return KERNELS * multi_kernel_mmd(first, second, weights=self.weights, estimator=self.estimator)


def _bandwidths(squared: Tensor, kernels: int) -> Tensor:
    count = len(squared)
    mean = (squared.detach().sum() / max(1, count * count - count)).clamp(min=_SMALLEST)
    steps = torch.arange(kernels, device=squared.device, dtype=squared.dtype) - kernels // 2
    return mean * 2.0**steps


def _within(kernel: Tensor, estimator: Estimator) -> Tensor:
    """Mean of one sample's kernel matrix (n, n), without its diagonal if unbiased."""
    if estimator == "biased":
        return kernel.mean()
    count = len(kernel)
    return (kernel.sum() - kernel.diagonal().sum()) / (count * (count - 1))
