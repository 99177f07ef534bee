"""Evaluation functions with the names, arguments and results that public re-identification scripts know.

They take a distance matrix, lower is better, and return `(cmc, mAP, mINP)`. What the plain loops of those scripts leave
to chance is defined here: equal distances stand in gallery order (an unstable sort decides there), curves are padded to
`max_rank` (there, galleries with few identities crash), and no array of the caller's is changed.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vireid.errors import DataError, UsageError
from vireid.evaluation.ranking import RankingResult, merge, rank
from vireid.matching.arrays import Array, to_numpy
from vireid.types import CmcKind

__all__ = ["eval_llcm", "eval_regdb", "eval_sysu"]

Figures: TypeAlias = tuple[NDArray[np.float64], float, float]
_Invalid: TypeAlias = Callable[[slice], NDArray[np.bool_]]

_BLOCK = 1 << 24  # distances whose scores are held at once


def eval_sysu(
    distmat: Array, q_pids: Array, g_pids: Array, q_camids: Array, g_camids: Array, max_rank: int = 20
) -> Figures:
    """SYSU-MM01: gallery pictures of camera 2 do not count for queries of camera 3; the CMC counts identities.

    Args:
        distmat: (Q, G) distances, lower is better. q_pids, q_camids: (Q,); g_pids, g_camids: (G,).
        max_rank: length of the CMC.

    Returns:
        cmc (max_rank,), mAP and mINP, fractions, over the queries with a correct picture.

    Raises:
        UsageError: shapes that do not fit. DataError: no query has a correct picture.
    """
    query, gallery = _cameras(q_pids, g_pids, q_camids, g_camids)
    return _evaluate(
        distmat, q_pids, g_pids, lambda part: (query[part, None] == 3) & (gallery == 2), CmcKind.IDENTITY, max_rank
    )


def eval_regdb(distmat: Array, q_pids: Array, g_pids: Array, max_rank: int = 20) -> Figures:
    """RegDB: every picture counts; the CMC counts pictures. Arguments, result and errors as of `eval_sysu`."""
    return _evaluate(distmat, q_pids, g_pids, None, CmcKind.IMAGE, max_rank)


def eval_llcm(
    distmat: Array, q_pids: Array, g_pids: Array, q_camids: Array, g_camids: Array, max_rank: int = 20
) -> Figures:
    """LLCM: pictures of the query's identity from its own camera do not count; the CMC counts identities.

    Arguments, result and errors as of `eval_sysu`. The released scripts hand over their visible-to-infrared matrix
    transposed, with queries and gallery exchanged (`v2i-deen_release`); this function ranks what it is given.
    """
    query, gallery = _cameras(q_pids, g_pids, q_camids, g_camids)
    query_ids, gallery_ids = to_numpy(q_pids), to_numpy(g_pids)
    return _evaluate(
        distmat,
        q_pids,
        g_pids,
        lambda part: (query_ids[part, None] == gallery_ids) & (query[part, None] == gallery),
        CmcKind.IDENTITY,
        max_rank,
    )


def _cameras(q_pids: Array, g_pids: Array, q_camids: Array, g_camids: Array) -> tuple[NDArray[Any], NDArray[Any]]:
    for name, cameras, pids in (("q", q_camids, q_pids), ("g", g_camids, g_pids)):
        if len(cameras) != len(pids):
            raise UsageError(
                f"{name}_camids has {len(cameras)} entries and {name}_pids {len(pids)}; give one a picture"
            )
    return to_numpy(q_camids), to_numpy(g_camids)


def _evaluate(
    distmat: Array, q_pids: Array, g_pids: Array, invalid: _Invalid | None, cmc: CmcKind, max_rank: int
) -> Figures:
    if max_rank < 1:
        raise UsageError(f"max_rank is {max_rank}; ask for at least 1")
    distances, query_ids, gallery_ids = to_numpy(distmat), to_numpy(q_pids), to_numpy(g_pids)
    if distances.shape != (len(query_ids), len(gallery_ids)):
        raise UsageError(
            f"distmat has shape {distances.shape}, expected ({len(query_ids)}, {len(gallery_ids)}): one row per entry "
            f"of q_pids, one column per entry of g_pids"
        )
    parts: list[RankingResult] = []
    rows = max(1, _BLOCK // max(1, len(gallery_ids)))
    for start in range(0, max(1, len(query_ids)), rows):
        part = slice(start, start + rows)
        scores = -distances[part].astype(np.result_type(distances, np.float32), copy=False)
        mask = None if invalid is None else invalid(part)
        parts.append(rank(scores, query_ids[part], gallery_ids, invalid=mask, cmc=cmc))
    found = merge(parts)
    if not found.valid.any():
        raise DataError("no query has a correct picture in the gallery; are identities of one data set given?")
    curve = np.ones(max_rank)
    curve[: len(found.cmc)] = found.cmc[:max_rank]
    return curve, found.mAP, found.mINP
