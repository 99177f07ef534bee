"""Query-aware scoring: how well every patch of one picture finds its counterpart among the patches of another.

Xu and Niu, "BIT", CVPR 2026 (arXiv 2603.14243).
"""

import math

import torch
from torch import Tensor, nn

from vireid.errors import UsageError

__all__ = ["ConfidenceAggregation", "chosen_pairs", "patch_scores"]

_WIDTH = 128
_FEW = 8
_PRIOR = 1 / 8  # of a pair being positive in a batch of eight people


def chosen_pairs(logits: Tensor, k: int, *, mutual: bool = True) -> Tensor:
    """(..., N, N) bool: column q is among the k greatest of row p and, if `mutual`, p among those of column q.

    k is at most N, and equal values stand in order of their index. A softmax along rows or columns would not change
    which are greatest, so logits (..., N, N) of one product serve both directions.

    Raises:
        UsageError: k below 1.
    """
    if k < 1:
        raise UsageError(f"k is {k}; a patch must look at 1 other at least")
    with torch.no_grad():
        chosen = _greatest(logits, k)
        return chosen & _greatest(logits.mT, k).mT if mutual else chosen


def patch_scores(
    logits: Tensor, *, k: int, penalty: float, mutual: bool = True, completion: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """How surely each patch is matched, from logits (M, N, N) of the patches of M pairs of pictures.

    With S the softmax of each row, a patch's score is the mean of S over its mutual partners; one that has none takes
    the greatest S of its row times `penalty`, or 0 without `completion`. Gradient flows through the values of S, not
    through the choice.

    Returns:
        scores (M, N) in fp32 or finer, the pairs (M, N, N) bool that were mutual, and S (M, N, N).
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    affinity = logits.softmax(dim=-1)
    chosen = chosen_pairs(logits, k, mutual=mutual)
    count = chosen.sum(dim=-1)
    means = (affinity * chosen).sum(dim=-1) / count.clamp(min=1)
    lonely = penalty * affinity.amax(dim=-1) if completion else torch.zeros_like(means)
    return torch.where(count > 0, means, lonely), chosen, affinity


class ConfidenceAggregation(nn.Module):
    """Patch scores (M, N) -> the logit (M,) that the two pictures show one person: a perceptron over positions.

    There is no normalisation: the level of the scores is the evidence. Before training all pairs have the logit of a
    batch's share of positive pairs.
    """

    def __init__(self, patches: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(patches, _WIDTH)
        self.out = nn.Linear(_WIDTH, 1)
        nn.init.constant_(self.out.bias, math.log(_PRIOR / (1 - _PRIOR)))

    def forward(self, scores: Tensor) -> Tensor:
        logits: Tensor = self.out(self.hidden(scores).relu()).squeeze(-1)
        return logits


def _greatest(values: Tensor, k: int) -> Tensor:
    """Bool like `values`: the k greatest of every row. For few of them k passes are faster than sorting."""
    if k >= values.shape[-1]:
        return torch.ones_like(values, dtype=torch.bool)
    chosen = torch.zeros_like(values, dtype=torch.bool)
    if torch.compiler.is_exporting():  # ONNX has no stable sort, but its top-k puts the first of equal values first
        return chosen.scatter_(-1, values.topk(k, dim=-1).indices, value=True)
    if k > _FEW:
        order = values.sort(dim=-1, descending=True, stable=True).indices[..., :k]
        return chosen.scatter_(-1, order, value=True)
    rest = values.clone()
    for _ in range(k):
        best = rest.argmax(dim=-1, keepdim=True)
        chosen.scatter_(-1, best, value=True)
        rest.scatter_(-1, best, value=-torch.inf)
    return chosen
