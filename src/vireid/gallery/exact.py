"""Exact search in memory: the answers that every store gives below the size where an index begins."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vireid.errors import GalleryError
from vireid.matching import best_of
from vireid.matching.arrays import product

__all__ = ["IN_MEMORY", "best_rows", "exact_scores", "fitting"]

IN_MEMORY = 50_000
"""Entries up to which the embedded store holds the vectors of a gallery in memory; larger ones are scanned by codes."""

_ROUNDING = 1e-5  # by how much, relative to the vectors' lengths, a score of a large product may be wrong
_BLOCK = 1 << 24  # scores held at once


def fitting(vectors: NDArray[Any], width: int) -> NDArray[np.float32]:
    """The query vectors (Q, D) as float32.

    Raises:
        GalleryError: D is not the gallery's.
    """
    if vectors.shape[1:] != (width,):
        raise GalleryError(f"the gallery holds vectors of {width} values, the query is {vectors.shape[1:]}")
    return np.asarray(vectors, dtype=np.float32)


def exact_scores(query: NDArray[np.float32], lift: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N,) inner products of query (D,) with lift (N, D), summed in double: a pair has one score in every search."""
    scores: NDArray[np.float32] = (lift.astype(np.float64) @ query.astype(np.float64)).astype(np.float32)
    return scores


def best_rows(
    queries: NDArray[np.float32], lift: NDArray[np.float32], k: int, *, invalid: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Rows (Q, k) and scores of the k best, where at least k are valid; equal vectors tie, ties in row order.

    The last bits of a large product depend on its shape, even for equal vectors. All rows that may be among the k best
    are therefore summed once more in double.
    """
    found = np.zeros((len(queries), k), dtype=np.int64)
    scores = np.zeros((len(queries), k), dtype=np.float32)
    if not k:
        return found, scores
    step = max(1, _BLOCK // len(lift))
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        near = product(queries[part], lift)
        if invalid is not None:
            near[invalid[part]] = -np.inf
        best, values = best_of(near, k)
        lengths = np.linalg.norm(queries[part], axis=1) * np.linalg.norm(lift[best], axis=2).max(axis=1)
        for place, lowest in enumerate(values[:, -1] - _ROUNDING * lengths):
            rows = np.flatnonzero(near[place] >= lowest)
            exact = exact_scores(queries[start + place], lift[rows])
            order = np.argsort(-exact, kind="stable")[:k]
            found[start + place], scores[start + place] = rows[order], exact[order]
    return found, scores
