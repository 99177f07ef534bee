"""The ranked answer of a store to query embeddings, by the matcher's exact score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vireid.errors import UsageError
from vireid.gallery.results import Hit
from vireid.gallery.store import KEY, REQUIRED, Filters, GalleryStore
from vireid.matching import Matcher
from vireid.types import Embeddings, Side

__all__ = ["mode_of", "rank_entries"]

_CASCADE = 50  # candidates that are rescored where the lift's order is not the final one


def mode_of(matcher: Matcher, top: int) -> str:
    """`full`, or `cascade:K` where the K first of a first stage are rescored."""
    return "full" if matcher.exact else f"cascade:{max(top, _CASCADE)}"


def rank_entries(
    store: GalleryStore, matcher: Matcher, queries: Embeddings[Any], *, top: int, filters: Filters
) -> list[tuple[Hit, ...]]:
    """For every query its first `top` entries among those that match, best first; ties in the order of addition.

    Raises:
        UsageError: the queries lack a field that the matcher scores with.
    """
    if missing := matcher.lacking(queries):
        raise UsageError(f"matcher {matcher.name!r} scores with {', '.join(missing)}; search with whole embeddings")
    lifted = np.asarray(matcher.lift(queries, Side.QUERY))
    found = store.search(lifted, top if matcher.exact else max(top, _CASCADE), filters)
    keys, scores = found.keys, found.scores
    if keys.size and not matcher.exact:
        keys, scores = _rescore(store, matcher, queries, keys, top)
    table = store.fetch(list(dict.fromkeys(keys.ravel().tolist()))).table
    rows = dict(zip(table[KEY], table.to_dict("records"), strict=True))
    return [
        tuple(_hit(rank, float(score), rows[key]) for rank, (key, score) in enumerate(zip(*line, strict=True), start=1))
        for line in zip(keys, scores, strict=True)
    ]


def _rescore(
    store: GalleryStore, matcher: Matcher, queries: Embeddings[Any], keys: NDArray[np.object_], top: int
) -> tuple[NDArray[np.object_], NDArray[Any]]:
    """The first `top` of candidates (Q, K) by the exact score; ties keep the first stage's order."""
    union = sorted(set(keys.ravel().tolist()))
    place = {key: row for row, key in enumerate(union)}
    gallery = Embeddings.from_arrays(dict(store.fetch(union).arrays))
    candidates = np.array([[place[key] for key in line] for line in keys], dtype=np.int64)
    exact = np.asarray(matcher.rescore(queries, gallery, candidates))
    order = np.argsort(-exact, axis=1, kind="stable")[:, :top]
    return np.take_along_axis(keys, order, axis=1), np.take_along_axis(exact, order, axis=1)


def _hit(rank: int, score: float, row: Mapping[str, Any]) -> Hit:
    metadata = {name: value for name, value in row.items() if name not in REQUIRED and value is not None}
    return Hit(
        rank=rank, score=score, path=row["path"], modality=row["modality"], camera=row["camera"], metadata=metadata
    )
