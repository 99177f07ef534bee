"""Neighbours that all regions of a picture agree on."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from vireid.clustering.memory import BLOCK
from vireid.clustering.neighbours import Features, is_tensor, where_asked
from vireid.errors import UsageError, choose

__all__ = ["region_neighbours"]

IntArray = NDArray[np.int8]

_KINDS = ("ratio", "topk")


def region_neighbours(
    queries: Features,
    bank: Features,
    *,
    regions: int,
    rho: float = 0.9,
    kind: Literal["ratio", "topk"] = "ratio",
    top: int = 20,
    min_agree: int | None = None,
    device: str | None = None,
    rows: int | None = None,
) -> csr_array:
    """(Q, M) sparse: for every query the bank's pictures that enough regions take for its neighbours.

    A region takes the pictures whose cosine exceeds `rho` times the greatest cosine with any picture of the bank; where
    the greatest is not positive, those that have it. Where the bank holds the query itself, the greatest is 1.
    What is stored is the share of regions that agree.

    Args:
        queries, bank: (Q, regions * C) and (M, regions * C), region by region; every region is scaled to unit length.
        kind: `topk` takes the `top` most similar instead (and what ties with the last).
        min_agree: regions that must agree, 1 to `regions`; None: all.
        device: compare there with torch; None: where the bank is.
        rows: queries compared at once; None: what fits a block of 32 MiB. It changes nothing else.

    Raises:
        UsageError: widths that differ or that `regions` does not divide, or numbers out of range.
    """
    choose(kind, _KINDS, "kind of neighbours")
    held = where_asked(bank, device)
    asked = where_asked(queries, device) if not is_tensor(held) else _on(queries, held)
    if held.ndim != 2 or asked.ndim != 2 or held.shape[1] != asked.shape[1] or regions < 1 or held.shape[1] % regions:
        raise UsageError(f"queries {tuple(asked.shape)}, bank {tuple(held.shape)} and {regions} regions do not fit")
    needed = regions if min_agree is None else min_agree
    if not 1 <= needed <= regions:
        raise UsageError(f"min_agree is {min_agree}; give 1 to {regions}, the number of regions")
    if top < 1:
        raise UsageError(f"top is {top}; it counts neighbours and must be at least 1")
    count = len(held)
    if count == 0 or len(asked) == 0:
        return csr_array((len(asked), count))
    sides = [_parts(side, regions) for side in (asked, held)]
    step = rows or max(1, BLOCK // count)
    parts = []
    for first in range(0, len(asked), step):
        products = (own[first : first + step] @ other.T for own, other in zip(*sides, strict=True))
        votes: Any = sum(_whole(_taken(each, rho, min(top, count) if kind == "topk" else None)) for each in products)
        found: IntArray = np.asarray(votes.cpu() if is_tensor(votes) else votes)
        where = np.nonzero(found >= needed)
        shares: Any = found[where] / regions
        parts.append(csr_array((shares, where), shape=found.shape))
    joined: csr_array = vstack(parts, format="csr")
    return joined


def _on(features: Features, like: Any) -> Any:
    return where_asked(features, str(like.device)).to(like.dtype)


def _parts(features: Any, regions: int) -> list[Any]:
    """Each region's (N, C), unit rows."""
    width = features.shape[1] // regions
    parts = [features[:, n * width : (n + 1) * width] for n in range(regions)]
    if is_tensor(features):
        return [part / part.norm(dim=1, keepdim=True).clamp(min=1e-12) for part in parts]
    return [part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-12) for part in parts]


def _taken(scores: Any, rho: float, top: int | None) -> Any:
    """(Q, M) bool: which scores make a neighbour."""
    if top is not None:
        if is_tensor(scores):
            return scores >= scores.topk(top, dim=1).values[:, -1:]
        return scores >= np.partition(scores, -top, axis=1)[:, -top][:, None]
    greatest = scores.amax(dim=1, keepdim=True) if is_tensor(scores) else scores.max(axis=1, keepdims=True)
    return (scores > rho * greatest) | ((greatest <= 0) & (scores == greatest))


def _whole(taken: Any) -> Any:
    """True and False as 1 and 0, in a byte."""
    return taken.char() if is_tensor(taken) else taken.astype(np.int8)
