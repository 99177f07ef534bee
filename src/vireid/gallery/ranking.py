"""The ranked answer of a store to query embeddings, by the matcher's exact score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vireid.errors import GalleryError, UsageError
from vireid.gallery.filters import written
from vireid.gallery.results import Hit
from vireid.gallery.store import KEY, REQUIRED, Entries, Except, Filters, GalleryStore
from vireid.matching import Matcher
from vireid.types import Embeddings, Side

__all__ = ["first_of_groups", "rank_entries"]

_CASCADE = 50  # candidates that are rescored where the lift's order is not the final one, or searched for groups
_ATTEMPTS = 5

_Ranked: TypeAlias = tuple[float, Mapping[str, Any]]
"""Score and row of an entry."""


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

    The mode is `full`, or `cascade:K` where the K first of a first stage are rescored; with `group`, the K first of the
    groups that are still to be found.

    Raises:
        UsageError: the queries lack a field that the matcher scores with.
    """
    if missing := matcher.lacking(queries):
        raise UsageError(f"matcher {matcher.name!r} scores with {', '.join(missing)}; search with whole embeddings")
    wanted = top if matcher.exact and not group else max(top, _CASCADE)
    mode = "full" if matcher.exact else f"cascade:{wanted}"
    asked = _Asked(store, matcher, wanted, together)
    if group is None:
        lines = asked.rank(queries, filters)
    else:
        alone = [queries] if together else [queries[place : place + 1] for place in range(len(queries))]
        lines = [_by_groups(asked, query, filters, group, top) for query in alone]
    ranked = [tuple(_hit(rank, *entry) for rank, entry in enumerate(line[:top], start=1)) for line in lines]
    return mode, ranked


@dataclass(frozen=True)
class _Asked:
    """How a store is asked: by which matcher, and for how many entries at once."""

    store: GalleryStore
    matcher: Matcher
    wanted: int
    together: bool

    def rank(self, queries: Embeddings[Any], filters: Filters) -> list[list[_Ranked]]:
        """For every query (or for all, of one person) the first entries with their scores, best first."""
        lifted = np.asarray(self.matcher.lift(queries, Side.QUERY))
        if self.together:  # a mean of inner products is the inner product with the mean
            lifted = lifted.mean(axis=0, keepdims=True)
        keys, scores, entries = _search(self.store, lifted, self.wanted, filters)
        if entries is None:
            return [[] for _ in keys]
        if not self.matcher.exact:
            keys, scores = _rescore(entries, self.matcher, queries, keys, together=self.together)
        rows = dict(zip(entries.table[KEY], entries.table.to_dict("records"), strict=True))
        return [
            [(float(score), rows[key]) for key, score in zip(line, values, strict=True)]
            for line, values in zip(keys, scores, strict=True)
        ]


def _by_groups(asked: _Asked, query: Embeddings[Any], filters: Filters, group: str, top: int) -> list[_Ranked]:
    """The best entry of each group, best first, `top` or all.

    The store is asked again without the groups that were found, so that no more is read where they are large.
    """
    found: dict[str, _Ranked] = {}
    seen: list[Any] = []
    while True:
        narrowed = filters
        if seen:
            within = filters.get(group)
            narrowed = {**filters, group: Except(tuple(seen), None if isinstance(within, Except) else within)}
        [line] = asked.rank(query, narrowed)
        for entry in line:
            value = written(entry[1].get(group))
            name = f"value {value}" if value else f"entry {entry[1][KEY]}"
            if name not in found:
                found[name] = entry
                seen += [value] if value else []
        if len(found) >= top or len(line) < asked.wanted:
            return sorted(found.values(), key=lambda entry: -entry[0])


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
    entries: Entries, matcher: Matcher, queries: Embeddings[Any], keys: NDArray[np.object_], *, together: bool
) -> tuple[NDArray[np.object_], NDArray[Any]]:
    """Candidates (Q, K) by the exact score; ties keep the first stage's order."""
    place = {key: row for row, key in enumerate(entries.table[KEY])}
    gallery = Embeddings.from_arrays({name: _wide(array) for name, array in entries.arrays.items()})
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
