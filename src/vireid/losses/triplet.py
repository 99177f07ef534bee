"""Triplet losses over all samples of a batch."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from vireid.errors import UsageError

__all__ = ["batch_hard_triplet", "euclidean_distances", "margin_triplet", "weighted_regularised_triplet"]

_LARGEST_SQUARE = 88.0  # exp(88) is the last that fp32 can hold


def euclidean_distances(features: Tensor, others: Tensor | None = None) -> Tensor:
    """Pairwise distances of features (N, D), to others (M, D) or among themselves -> (N, M), in at least fp32.

    Taken from differences, not from |a|^2 + |b|^2 - 2ab, which leaves rounding noise of about 1e-2 where the distance
    is 0. The gradient at distance 0 is 0 (a subgradient), never not-a-number.
    """
    exact = features.to(torch.promote_types(features.dtype, torch.float32))
    partners = exact if others is None else others.to(exact.dtype)
    return torch.cdist(exact, partners, compute_mode="donot_use_mm_for_euclid_dist")


def weighted_regularised_triplet(features: Tensor, labels: Tensor, *, squared: bool = False) -> Tensor:
    """Weighted-regularised triplet loss of features (N, D), not normalised, and labels (N,); a scalar.

    Ye et al., TPAMI 2022, Eq. 10-11: with d the Euclidean distance, an anchor's positives weighted by softmax(d) and
    its negatives by softmax(-d), the loss is the mean over anchors of log(1 + exp(x)), x = sum w+ d - sum w- d. As in
    the authors' code an anchor is a positive of itself, at distance 0. A departure from that code: no 1e-6 in the
    weights' denominators.

    squared: Ye et al., "Channel Augmented Joint Learning for Visible-Infrared Recognition", ICCV 2021: x is replaced
    by sign(x) min(x^2, 88).

    Raises:
        UsageError: an anchor has no negative, since the batch holds one identity only.
    """
    distances = euclidean_distances(features)
    positive = _positives(labels)
    hard_positive = _weighted(distances, distances, positive)
    hard_negative = _weighted(distances, -distances, ~positive)
    gap = hard_positive - hard_negative
    if squared:
        gap = gap.sign() * gap.square().clamp(max=_LARGEST_SQUARE)
    return F.softplus(gap).mean()


def batch_hard_triplet(features: Tensor, labels: Tensor, *, margin: float) -> Tensor:
    """Batch-hard triplet loss of features (N, D), not normalised, and labels (N,); a scalar.

    Hermans et al., "In Defense of the Triplet Loss for Person Re-Identification", 2017, Eq. 5: the mean over anchors
    of max(0, margin + distance to the farthest positive - distance to the nearest negative), Euclidean. An anchor
    without another positive has itself, at distance 0.

    Raises:
        UsageError: an anchor has no negative, since the batch holds one identity only.
    """
    positive = _positives(labels)
    return margin_triplet(euclidean_distances(features), positive, ~positive, margin=margin)


def margin_triplet(
    distances: Tensor, positive: Tensor, negative: Tensor, *, margin: float, mining: Literal["hard", "mean"] = "hard"
) -> Tensor:
    """Mean over anchors of max(0, margin + d_positive - d_negative); a scalar.

    distances: (A, C) of anchors to candidates. positive, negative: (A, C) bool, which candidates are which.
    mining: `hard` takes an anchor's farthest positive and nearest negative (Hermans, Beyer and Leibe, "In Defense of
    the Triplet Loss for Person Re-Identification", 2017), `mean` the mean distance of each kind. Anchors that
    lack one of the two do not count.

    Raises:
        UsageError: no anchor has both a positive and a negative.
    """
    complete = positive.any(dim=1) & negative.any(dim=1)
    if not bool(complete.any()):
        raise UsageError("a triplet loss needs at least two identities in a batch; sample more identities per batch")
    distances, positive, negative = distances[complete], positive[complete], negative[complete]
    if mining == "hard":
        far = distances.masked_fill(~positive, -torch.inf).amax(dim=1)
        near = distances.masked_fill(~negative, torch.inf).amin(dim=1)
    else:
        far, near = ((distances * chosen).sum(dim=1) / chosen.sum(dim=1) for chosen in (positive, negative))
    return F.relu(margin + far - near).mean()


def _positives(labels: Tensor) -> Tensor:
    """(N, N) bool: pairs of one identity."""
    positive = labels[:, None] == labels[None, :]
    if bool(positive.all()):
        raise UsageError("a triplet loss needs at least two identities in a batch; sample more identities per batch")
    return positive


def _weighted(distances: Tensor, logits: Tensor, chosen: Tensor) -> Tensor:
    """Per row, the mean of the chosen distances weighted by the softmax of their logits."""
    weights = logits.masked_fill(~chosen, -torch.inf).softmax(dim=1)
    return (weights * distances).sum(dim=1)
