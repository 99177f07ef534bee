"""The ranked answer of a store to query embeddings, by the matcher's exact score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vireid.errors import GalleryError, UsageError
from vireid.gallery.filters import written
from vireid.gallery.results import Hit
from vireid.gallery.store import KEY, REQUIRED, Entries, Filters, GalleryStore
from vireid.matching import Matcher
from vireid.types import Embeddings, Side

__all__ = ["first_of_groups", "rank_entries"]

_CASCADE = 50  # candidates that are rescored where the lift's order is not the final one
_ATTEMPTS = 5


def rank_entries(
    store: GalleryStore,
    matcher: Matcher,
    queries: Embeddings[Any],
    *,
    top: int,
    filters: Filters,
    group: str | None = None,
    together: bool = False,
) -> tuple[str, list[tuple[Hit, ...]]]:
    """The mode, and for every query its first `top` entries among those that match, best first; ties in the order of
    addition. `together`: the queries show one person, scored by the mean. `group`: of every value of this column the
    best entry alone.

    The mode is `full`, or `cascade:K` where the K first of a first stage are rescored.

    Raises:
        UsageError: the queries lack a field that the matcher scores with.
    """
    if missing := matcher.lacking(queries):
        raise UsageError(f"matcher {matcher.name!r} scores with {', '.join(missing)}; search with whole embeddings")
    lifted = np.asarray(matcher.lift(queries, Side.QUERY))
    if together:  # a mean of inner products is the inner product with the mean
        lifted = lifted.mean(axis=0, keepdims=True)
    matching = store.count(filters)
    wanted = top if matcher.exact else max(top, _CASCADE)
    while True:
        keys, scores, entries = _search(store, lifted, wanted, filters)
        if keys.size and not matcher.exact:
            keys, scores = _rescore(entries, matcher, queries, keys, together=together)
        rows = dict(zip(entries.table[KEY], entries.table.to_dict("records"), strict=True)) if entries else {}
        lines = [
            (first_of_groups([rows[key].get(group) for key in line]) if group else list(range(len(line))))[:top]
            for line in keys
        ]
        if group is None or wanted >= matching or all(len(line) == top for line in lines):
            break
        wanted *= 4
    ranked = [
        tuple(_hit(rank, float(score[i]), rows[line[i]]) for rank, i in enumerate(places, start=1))
        for places, line, score in zip(lines, keys, scores, strict=True)
    ]
    return "full" if matcher.exact else f"cascade:{wanted}", ranked


def _search(
    store: GalleryStore, lifted: NDArray[Any], wanted: int, filters: Filters
) -> tuple[NDArray[np.object_], NDArray[Any], Entries | None]:
    """Keys (Q, K) and scores of the first stage with their entries; once more where one was deleted in between."""
    for _ in range(_ATTEMPTS):
        found = store.search(lifted, wanted, filters)
        union = sorted(set(found.keys.ravel().tolist()))
        entries = store.fetch(union) if union else None
        if entries is None or len(entries) == len(union):
            return found.keys, found.scores, entries
    raise GalleryError("pictures are being deleted all the time; search again when that has ended")


def _rescore(
    entries: Entries | None, matcher: Matcher, queries: Embeddings[Any], keys: NDArray[np.object_], *, together: bool
) -> tuple[NDArray[np.object_], NDArray[Any]]:
    """Candidates (Q, K) by the exact score; ties keep the first stage's order."""
    held = entries.arrays if entries else {}
    place = {key: row for row, key in enumerate(entries.table[KEY])} if entries else {}
    gallery = Embeddings.from_arrays({name: _wide(array) for name, array in held.items()})
    candidates = np.array([[place[key] for key in line] for line in keys], dtype=np.int64)
    if together:
        candidates = np.repeat(candidates, len(queries), axis=0)
    exact = np.asarray(matcher.rescore(queries, gallery, candidates))
    if together:
        exact = exact.mean(axis=0, keepdims=True)
    order = np.argsort(-exact, axis=1, kind="stable")
    return np.take_along_axis(keys, order, axis=1), np.take_along_axis(exact, order, axis=1)


def _wide(array: NDArray[Any]) -> NDArray[Any]:
    """What is kept as float16, in the precision that matchers compute in."""
    return array.astype(np.float32) if array.dtype == np.float16 else array


def first_of_groups(values: Sequence[Any]) -> list[int]:
    """Places of those that are the first with their value; who has none stands for itself."""
    first: dict[str, int] = {}
    for place, value in enumerate(map(written, values)):
        first.setdefault(f"value {value}" if value else f"place {place}", place)
    return list(first.values())


def _hit(rank: int, score: float, row: Mapping[str, Any]) -> Hit:
    metadata = {name: value for name, value in row.items() if name not in REQUIRED and value is not None}
    return Hit(
        rank=rank, score=score, path=row["path"], modality=row["modality"], camera=row["camera"], metadata=metadata
    )
