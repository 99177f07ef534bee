"""One hit a group, whatever the sizes of groups, and without reading more than was asked for."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vireid.gallery import Entries, MemoryStore
from vireid.gallery.ranges import Range
from vireid.gallery.ranking import rank_entries
from vireid.matching import create_matcher
from vireid.types import Embeddings


class Counting(MemoryStore):
    """Counts the entries that are read at once."""

    most = 0

    def fetch(self, keys: Sequence[str]) -> Entries:
        self.most = max(self.most, len(keys))
        return super().fetch(keys)


@pytest.fixture
def store() -> Counting:
    """3,000 entries: two tracks of hundreds, one of three pictures, six without a track."""
    rng = np.random.default_rng(0)
    lift = rng.standard_normal((3000, 8)).astype(np.float32)
    lift /= np.linalg.norm(lift, axis=1, keepdims=True)
    tracks: list[Any] = [1 if n % 3 else 2 for n in range(3000)]
    for place in (7, 1700, 2900):
        tracks[place] = "3"
    for place in (5, 50, 500, 1000, 2000, 2999):
        tracks[place] = None
    keys = [f"k{n:04d}" for n in range(3000)]
    table = {"sha256": keys, "path": keys, "modality": "visible", "camera": 1, "track": tracks}
    store = Counting()
    store.add(Entries(table=pd.DataFrame(table, dtype=object), lift=lift))
    return store


def by_a_loop(store: Counting, query: np.ndarray, allowed: Any) -> list[str]:
    """The slow reference."""
    entries = store.fetch(sorted(store.keys()))
    store.most = 0
    seen, best = set(), []
    for place in np.argsort(-(entries.lift @ query), kind="stable"):
        track = entries.table["track"][place]
        if str(track) not in seen and allowed(track):
            best.append(str(entries.table["path"][place]))
            seen |= set() if track is None else {str(track)}
    return best


def test_few_groups_are_found_without_reading_all(store: Counting) -> None:
    queries = np.random.default_rng(1).standard_normal((3, 8)).astype(np.float32)
    dot = create_matcher("dot")
    for top in (1, 2, 4, 9, 20):
        _, ranked = rank_entries(store, dot, Embeddings(queries), top=top, filters={}, group="track")
        most = store.most
        assert most <= 50
        for query, hits in zip(queries, ranked, strict=True):
            expected = by_a_loop(store, query, lambda track: True)
            assert len(expected) == 9
            assert [hit.path for hit in hits] == expected[:top]
            assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
            assert np.all(np.diff([hit.score for hit in hits]) <= 0)
    _, [together] = rank_entries(store, dot, Embeddings(queries), top=9, filters={}, group="track", together=True)
    assert [hit.path for hit in together] == by_a_loop(store, queries.mean(axis=0), lambda track: True)


def test_groups_of_what_is_filtered_by_the_same_column(store: Counting) -> None:
    query = np.random.default_rng(2).standard_normal((1, 8)).astype(np.float32)
    dot = create_matcher("dot")
    for wanted, allowed in (
        ([1, None], lambda track: track in (1, None)),
        (Range(2, 3), lambda track: track in (2, "3")),
    ):
        _, [hits] = rank_entries(store, dot, Embeddings(query), top=9, filters={"track": wanted}, group="track")
        assert [hit.path for hit in hits] == by_a_loop(store, query[0], allowed)
