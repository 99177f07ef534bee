"""A store that holds everything in memory: what tests use, and what says how every other store must answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vireid.errors import GalleryError
from vireid.gallery.exact import best_rows, fitting
from vireid.gallery.filters import matching_rows, written
from vireid.gallery.store import KEY, REQUIRED, Entries, Filters, Found, nothing_found, unique_entries

__all__ = ["MemoryStore"]


@dataclass(frozen=True)
class _Held:
    """All entries as one, with what is looked up in them often."""

    entries: Entries
    row_of: Mapping[str, int]
    written: dict[str, pd.Series[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, parts: Sequence[Entries]) -> _Held:
        entries = unique_entries(parts)
        return cls(entries, {key: row for row, key in enumerate(entries.table[KEY])})

    def matching(self, filters: Filters) -> NDArray[np.bool_]:
        for column in filters:
            if column not in self.written:
                self.written[column] = self.entries.table[column].map(written)
        return matching_rows(self.written, filters)


class MemoryStore:
    """Exact search over memory; nothing is kept when the process ends."""

    def __init__(self) -> None:
        self._parts: list[Entries] = []
        self._held: _Held | None = None

    @property
    def columns(self) -> list[str]:
        return list(dict.fromkeys([*REQUIRED, *(name for part in self._parts for name in part.table.columns)]))

    def keys(self, filters: Filters | None = None) -> set[str]:
        if not self._parts:
            return set()
        table = self._hold().entries.table
        return set(table[KEY] if not filters else table[KEY][self._hold().matching(filters)])

    def add(self, entries: Entries) -> None:
        if not len(entries):
            return
        if self._parts:
            entries.refuse_other_width(self._parts[0].lift.shape[1])
        self._parts.append(entries)
        self._held = None

    def search(self, vectors: NDArray[Any], k: int, filters: Filters | None = None) -> Found:
        if not self._parts:
            return nothing_found(len(vectors))
        held = self._hold()
        lift, names = held.entries.lift, held.entries.table[KEY].to_numpy(object)
        queries = fitting(vectors, lift.shape[1])
        if not filters:
            rows, scores = best_rows(queries, lift, min(k, len(lift)))
            return Found(keys=names[rows], scores=scores)
        matching = np.flatnonzero(held.matching(filters))
        rows, scores = best_rows(queries, lift[matching], min(k, len(matching)))
        return Found(keys=names[matching[rows]], scores=scores)

    def fetch(self, keys: Sequence[str]) -> Entries:
        if not self._parts:
            raise GalleryError("the gallery is empty; there is nothing to fetch")
        held = self._hold()
        return held.entries.take(np.array([held.row_of[key] for key in keys if key in held.row_of], dtype=np.int64))

    def delete(self, keys: Sequence[str]) -> int:
        gone = set(keys) & self.keys()
        if gone:
            entries = self._hold().entries
            left = entries.take(~entries.table[KEY].isin(gone).to_numpy(dtype=np.bool_))
            self._parts, self._held = [left] if len(left) else [], None
        return len(gone)

    def count(self, filters: Filters | None = None) -> int:
        return len(self.keys(filters))

    def compact(self) -> None:
        if self._parts:
            self._hold()

    def drop(self) -> None:
        self._parts, self._held = [], None

    def _hold(self) -> _Held:
        if self._held is None:
            self._held = _Held.of(self._parts)
            self._parts = [self._held.entries]
        return self._held
