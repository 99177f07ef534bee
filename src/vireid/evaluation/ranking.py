"""CMC, AP and INP of a score matrix: exact, vectorised, in bounded memory."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vireid.errors import UsageError, choose
from vireid.evaluation.positions import GalleryIdentities, Positions, find_positions, sorted_queries
from vireid.matching.arrays import Array, same_kind, to_numpy
from vireid.types import CmcKind

__all__ = ["RankingResult", "checked", "merge", "rank"]

_BLOCK = 1 << 19  # scores that one thread ranks at a time
_SHARE = 1 << 17  # scores that are worth a thread of their own
_MINIMUM_RANKS = 20


@dataclass(frozen=True, kw_only=True)
class RankingResult:
    """How well queries find their identities; fractions in [0, 1], averages over the valid queries.

    cmc: (R,) share of valid queries whose identity stands at position <= r + 1. R is the number of gallery pictures
        (kind `image`) or gallery identities (kind `identity`), and 20 where that is less.
    mAP, mINP: means of `ap` and `inp`, not-a-number if no query is valid.
    ap: (Q,) average precision, without interpolation. inp: (Q,) correct pictures by position of the last of them.
        Both are not-a-number where the gallery holds no valid picture of the query's identity.
    first: (Q,) int64, 1-based position that the CMC counts, 0 where there is none.
    valid: (Q,) bool, queries with at least one correct picture.
    """

    cmc: Array
    mAP: float  # noqa: N815 -- the field's name
    mINP: float  # noqa: N815
    ap: Array
    inp: Array
    first: Array
    valid: Array


def rank(
    scores: Array,
    query_ids: Array,
    gallery_ids: Array,
    *,
    invalid: Array | None = None,
    cmc: CmcKind | str = CmcKind.IMAGE,
) -> RankingResult:
    """Rank the gallery for every query and average over the queries that can be answered.

    Args:
        scores: (Q, G), higher is better; equal scores stand in gallery order. Whole numbers become float64.
        query_ids: (Q,) and gallery_ids: (G,) identities.
        invalid: (Q, G) bool, pairs that do not count: they are taken out of the query's gallery, whatever their score.
        cmc: `image` counts positions among pictures, `identity` among identities, each at its best picture.

    Returns:
        Tensors if `scores` is one (on its device), else NumPy arrays.

    Raises:
        UsageError: shapes that do not fit, an unknown `cmc`, or a permitted pair's score that is not a number.
    """
    kind = CmcKind(choose(str(cmc), list(CmcKind), "cmc"))
    values, forbidden = checked(scores, query_ids, gallery_ids, invalid)
    gallery = GalleryIdentities(to_numpy(gallery_ids))
    own = gallery.of(to_numpy(query_ids))
    sort = sorted_queries(own, gallery)
    found = Positions.empty(len(own))

    def work(part: slice) -> None:
        mask = None if forbidden is None else forbidden[part]
        mask = None if mask is None or not mask.any() else mask
        find_positions(values[part], own[part], gallery, invalid=mask, cmc=kind, sort=sort[part], out=found[part])

    workers, blocks = _shares(*values.shape)
    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(work, blocks):
            pass  # an error of a block is raised here
    ranks = values.shape[1] if kind is CmcKind.IMAGE else len(gallery.identities)
    return _summarise(found.ap, found.inp, found.first, ranks=max(ranks, _MINIMUM_RANKS), like=scores)


def checked(
    scores: Array, query_ids: Array, gallery_ids: Array, invalid: Array | None
) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """The scores as float32 or float64, and what is invalid, in NumPy; refused if they do not fit the identities."""
    values = to_numpy(scores)
    expected = (len(query_ids), len(gallery_ids))
    if values.shape != expected:
        raise UsageError(
            f"scores has shape {values.shape}, expected {expected}: one row per query, one column per gallery picture"
        )
    if values.dtype.kind in "biu":
        values = values.astype(np.float64)
    elif values.dtype.kind != "f" or values.dtype.itemsize > 8:
        raise UsageError(f"scores has dtype {values.dtype}; give real numbers of at most 64 bits")
    elif values.dtype.itemsize < 4:
        values = values.astype(np.float32)
    if invalid is None:
        return values, None
    forbidden = to_numpy(invalid)
    if forbidden.shape != expected or forbidden.dtype != np.bool_:
        raise UsageError(f"invalid is {forbidden.dtype} of shape {forbidden.shape}, expected bool of shape {expected}")
    return values, forbidden


def _shares(queries: int, gallery: int) -> tuple[int, list[slice]]:
    """Number of threads, and blocks of queries: several for each thread, so that none ends long after the others."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(available, 1 + queries * gallery // _SHARE)
    rows = max(1, min(_BLOCK // max(1, gallery), -(-queries // (4 * workers))))
    return workers, [slice(start, start + rows) for start in range(0, queries, rows)]


def merge(parts: Sequence[RankingResult]) -> RankingResult:
    """One result of blocks of queries that were ranked against one gallery."""
    return _summarise(
        *(np.concatenate([to_numpy(getattr(part, name)) for part in parts]) for name in ("ap", "inp", "first")),
        ranks=len(parts[0].cmc),
        like=parts[0].cmc,
    )


def _summarise(
    ap: NDArray[np.float64], inp: NDArray[np.float64], first: NDArray[np.int64], *, ranks: int, like: Array
) -> RankingResult:
    valid = first > 0
    count = int(valid.sum())
    reached = np.bincount(first[valid] - 1, minlength=ranks).cumsum()
    return RankingResult(
        cmc=same_kind(reached / count if count else np.full(ranks, np.nan), like),
        mAP=float(ap[valid].mean()) if count else float("nan"),
        mINP=float(inp[valid].mean()) if count else float("nan"),
        ap=same_kind(ap, like),
        inp=same_kind(inp, like),
        first=same_kind(first, like),
        valid=same_kind(valid, like),
    )
