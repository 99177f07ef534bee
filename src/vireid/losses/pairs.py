"""Losses on pairs of a visible and an infrared picture that were looked at together.

Xu and Niu, "BIT", CVPR 2026 (arXiv 2603.14243).
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from vireid.errors import UsageError

__all__ = ["aggregation_contrast", "hardest_pairs", "pair_matching_loss"]


def hardest_pairs(cosines: Tensor, same: Tensor, negatives: int) -> Tensor:
    """(V, I) bool: all pairs of one person, and for every picture its `negatives` nearest pictures of others.

    cosines: (V, I) of vectors; equal ones stand in order of their index. same: (V, I) bool.
    """
    others = cosines.detach().masked_fill(same, -torch.inf)
    chosen = same.clone()
    for view, found in ((others, chosen), (others.T, chosen.T)):
        nearest = view.sort(dim=1, descending=True, stable=True).indices[:, :negatives]
        found.scatter_(1, nearest, value=True)
    return chosen


def pair_matching_loss(logits: Tensor, same: Tensor, *, looked: Tensor | None = None) -> Tensor:
    """Mean binary cross-entropy of logits (V, I) and whether the two show one person (V, I) bool; a scalar in fp32.

    looked: (V, I) bool, pairs that count; None: all.
    """
    losses = F.binary_cross_entropy_with_logits(logits.float(), same.float(), reduction="none")
    return losses.mean() if looked is None else (losses * looked).sum() / looked.sum()


def aggregation_contrast(
    similarities: Tensor, same: Tensor, *, temperature: float, looked: Tensor | None = None
) -> Tensor:
    """Contrast of cosines (V, I) of the two pictures of a pair after they have met; same: (V, I) bool. A scalar.

    Every picture is an anchor, and its partners of the other modality are positives or negatives. An anchor's loss is
    the mean over its positives p of log(1 + sum over negatives n of exp((s_n - s_p) / temperature)): a positive
    competes with negatives alone. The result is the mean over visible anchors and that over infrared ones, averaged.
    Anchors without a positive do not count. In at least fp32. looked: (V, I) bool, pairs that count; None: all.

    Raises:
        UsageError: no pair is positive.
    """
    if not bool(same.any()):
        raise UsageError("no visible and infrared picture of the batch show one person; sample both of each identity")
    exact = similarities.to(torch.promote_types(similarities.dtype, torch.float32)) / temperature
    counted = torch.ones_like(same) if looked is None else looked
    return (_contrast(exact, same, counted) + _contrast(exact.T, same.T, counted.T)) / 2


def _contrast(similarities: Tensor, same: Tensor, counted: Tensor) -> Tensor:
    """Mean over the rows that have a positive."""
    negatives = similarities.masked_fill(same | ~counted, -torch.inf).logsumexp(dim=1, keepdim=True)
    # softplus of -inf has no gradient to speak of; a row of positives alone has nothing to be told from
    losses = F.softplus(torch.where(negatives.isinf(), -torch.inf, negatives - similarities))
    positives = same & counted
    counts = positives.sum(dim=1)
    rows = (losses * positives).sum(dim=1) / counts.clamp(min=1)
    return rows[counts > 0].mean()
