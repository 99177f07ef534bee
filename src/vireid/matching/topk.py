"""The best K of a gallery, exactly: blocked, with ties in gallery order and forbidden pairs left out beforehand."""

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vireid.errors import UsageError
from vireid.matching.arrays import Array, concatenate, is_tensor, product, same_kind, to_numpy

__all__ = ["best_of", "top_k"]


def top_k(
    query_lift: Array,
    gallery_lift: Array,
    k: int,
    *,
    invalid: Array | None = None,
    block: int = 1 << 24,
) -> tuple[Array, Array]:
    """The K gallery rows with the greatest inner product, best first; equal scores stand in gallery order.

    Args:
        query_lift: (Q, D). gallery_lift: (G, D), of the same kind.
        k: at most G are returned.
        invalid: (Q, G) bool, pairs that the protocol forbids; they are removed before the K are chosen.
        block: scores held at once.

    Returns:
        indices (Q, min(k, G)) int64 and scores of the same shape; where a query has fewer valid pairs, the index is
        -1 and the score -inf.

    Raises:
        UsageError: k below 1, shapes that do not fit, or a score that is not a number.
    """
    if invalid is not None and tuple(invalid.shape) != (len(query_lift), len(gallery_lift)):
        raise UsageError(
            f"invalid has shape {tuple(invalid.shape)}, expected ({len(query_lift)}, {len(gallery_lift)}): "
            f"one row per query, one column per gallery picture"
        )
    rows = max(1, block // max(1, len(gallery_lift)))
    found = []
    for start in range(0, max(1, len(query_lift)), rows):
        part = slice(start, start + rows)
        scores = product(query_lift[part], gallery_lift)
        found.append(best_of(scores, k, invalid=None if invalid is None else invalid[part]))
    return concatenate([indices for indices, _ in found]), concatenate([scores for _, scores in found])


def best_of(scores: Array, k: int, *, invalid: Array | None = None) -> tuple[Array, Array]:
    """`top_k` of scores (Q, G) that are computed already; they are left as they are. -inf counts as forbidden."""
    if k < 1:
        raise UsageError(f"k is {k}; ask for at least 1")
    k = min(k, scores.shape[1])
    if is_tensor(scores):
        return _best_of_tensor(scores, k, invalid)
    return _best_of_array(scores, k, None if invalid is None else to_numpy(invalid))


def _best_of_array(
    scores: NDArray[Any], k: int, invalid: NDArray[np.bool_] | None
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    if scores.size and np.isnan(scores.max()):
        raise UsageError(_NOT_A_NUMBER)
    if invalid is not None:
        scores = np.where(invalid, -np.inf, scores).astype(scores.dtype, copy=False)
    if k == 0:
        return np.empty((len(scores), 0), np.int64), scores[:, :0]
    indices = np.sort(np.argpartition(-scores, k - 1, axis=1)[:, :k], axis=1)
    values = np.take_along_axis(scores, indices, axis=1)
    # A partition keeps any of the pictures that tie for the last place; the first in gallery order are wanted.
    tied = np.flatnonzero((scores >= values.min(axis=1, keepdims=True)).sum(axis=1) > k)
    if len(tied):
        indices[tied] = np.sort(np.argsort(-scores[tied], axis=1, kind="stable")[:, :k], axis=1)
        values[tied] = np.take_along_axis(scores[tied], indices[tied], axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    indices, values = np.take_along_axis(indices, order, axis=1), np.take_along_axis(values, order, axis=1)
    indices[values == -np.inf] = -1
    return indices, values


def _best_of_tensor(scores: Any, k: int, invalid: Any | None) -> tuple[Any, Any]:
    torch = sys.modules["torch"]
    if scores.isnan().any():
        raise UsageError(_NOT_A_NUMBER)
    if invalid is not None:
        invalid = invalid.to(scores.device) if is_tensor(invalid) else same_kind(invalid, scores)
        scores = scores.masked_fill(invalid, -torch.inf)
    if k == 0:
        return scores.new_empty((len(scores), 0), dtype=torch.int64), scores[:, :0]
    indices = scores.topk(k, dim=1).indices.sort(dim=1).values
    values = scores.gather(1, indices)
    tied = ((scores >= values.amin(dim=1, keepdim=True)).sum(dim=1) > k).nonzero()[:, 0]
    if len(tied):
        first = scores[tied].sort(dim=1, descending=True, stable=True).indices[:, :k].sort(dim=1).values
        indices[tied] = first
        values[tied] = scores[tied].gather(1, first)
    order = values.sort(dim=1, descending=True, stable=True).indices
    indices, values = indices.gather(1, order), values.gather(1, order)
    return indices.masked_fill(values == -torch.inf, -1), values


_NOT_A_NUMBER = "a score is not a number; are the embeddings finite and of unit length?"
