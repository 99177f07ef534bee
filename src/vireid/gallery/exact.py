"""A store that holds everything in memory, searches it all, and keeps it in files that appear by rename."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vireid.errors import GalleryError
from vireid.files import new_file
from vireid.gallery.filters import matching_rows, written
from vireid.gallery.store import KEY, REQUIRED, Entries, Filters, Found, concatenate_entries
from vireid.matching import best_of
from vireid.matching.arrays import product

__all__ = ["ExactStore"]

_ATTEMPTS = 5  # a reader that meets a compaction lists the files again
_ROUNDING = 1e-5  # by how much, relative to the vectors' lengths, a score of a large product may be wrong
_BLOCK = 1 << 24  # scores held at once
_TABLE, _LIFT, _ARRAY = "table", "lift", "array."


@dataclass(frozen=True)
class _Held:
    """All entries as one, with what is looked up in them often."""

    entries: Entries
    row_of: Mapping[str, int]
    written: dict[str, pd.Series[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, parts: Sequence[Entries]) -> _Held:
        entries = _unique(parts)
        return cls(entries, {key: row for row, key in enumerate(entries.table[KEY])})

    def matching(self, filters: Filters) -> NDArray[np.bool_]:
        for column in filters:
            if column not in self.written:
                self.written[column] = self.entries.table[column].map(written)
        return matching_rows(self.written, filters)


class ExactStore:
    """Exact search over numbered files of one folder, or over memory alone (`folder` None).

    Every `add` writes one file. Where two files hold the same key the later one counts, so a writer that is killed
    between writing a merged file and removing its parts leaves nothing twice. One writer at a time; the gallery's lock
    sees to that.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._parts: list[Entries] = _read_folder(folder) if folder and folder.is_dir() else []
        self._keys: set[str] = {key for part in self._parts for key in part.table[KEY]}
        self._held: _Held | None = None

    @property
    def columns(self) -> list[str]:
        return list(dict.fromkeys([*REQUIRED, *(name for part in self._parts for name in part.table.columns)]))

    def keys(self) -> set[str]:
        return set(self._keys)

    def add(self, entries: Entries) -> None:
        if not len(entries):
            return
        entries = _unique([entries])
        if self._parts and self._parts[0].lift.shape[1] != entries.lift.shape[1]:
            raise GalleryError(
                f"the gallery holds vectors of {self._parts[0].lift.shape[1]} values, these have "
                f"{entries.lift.shape[1]}; they come from another model"
            )
        if self.folder:
            numbers = [int(file.stem) for file in _segments(self.folder)]
            _write(self.folder / f"{max(numbers, default=0) + 1:08d}.npz", entries)
        self._parts.append(entries)
        self._held = None
        self._keys.update(entries.table[KEY])

    def search(self, vectors: NDArray[Any], k: int, filters: Filters | None = None) -> Found:
        if not self._parts:
            return Found(keys=np.empty((len(vectors), 0), object), scores=np.empty((len(vectors), 0), np.float32))
        held = self._hold()
        lift, names = held.entries.lift, held.entries.table[KEY].to_numpy(object)
        if vectors.shape[1:] != lift.shape[1:]:
            raise GalleryError(f"the gallery holds vectors of {lift.shape[1]} values, the query is {vectors.shape[1:]}")
        queries = np.asarray(vectors, dtype=np.float32)
        if not filters:
            rows, scores = _best(queries, lift, min(k, len(lift)))
            return Found(keys=names[rows], scores=scores)
        keep = held.matching(filters)
        matching = np.flatnonzero(keep)
        if 2 * len(matching) < len(keep) or not len(matching):
            rows, scores = _best(queries, lift[matching], min(k, len(matching)))
            return Found(keys=names[matching[rows]], scores=scores)
        # A mask spares the copy of most of the vectors.
        invalid = np.broadcast_to(~keep, (len(queries), len(keep)))
        rows, scores = _best(queries, lift, min(k, len(matching)), invalid=invalid)
        return Found(keys=names[rows], scores=scores)

    def fetch(self, keys: Sequence[str]) -> Entries:
        if not self._parts:
            raise GalleryError("the gallery is empty; there is nothing to fetch")
        wanted = [key for key in keys if key in self._keys]
        if not wanted:
            return self._parts[0].take(slice(0, 0))
        held = self._hold()
        return held.entries.take(np.array([held.row_of[key] for key in wanted]))

    def delete(self, keys: Sequence[str]) -> int:
        gone = set(keys) & self._keys
        if not gone:
            return 0
        self._drop_leftovers()
        # Oldest first: a deletion that is cut short must not bring back what a later file had replaced.
        for file in _segments(self.folder) if self.folder else []:
            part = _read(file)
            keep = ~part.table[KEY].isin(gone).to_numpy(dtype=np.bool_)
            if not keep.any():
                file.unlink()
            elif not keep.all():
                _write(file, part.take(keep))
        entries = self._hold().entries
        left = entries.take(~entries.table[KEY].isin(gone).to_numpy(dtype=np.bool_))
        self._parts, self._held = [left] if len(left) else [], None
        self._keys -= gone
        return len(gone)

    def count(self, filters: Filters | None = None) -> int:
        if not filters or not self._parts:
            return len(self._keys)
        return int(self._hold().matching(filters).sum())

    def compact(self) -> None:
        if not self.folder or not self.folder.is_dir():
            return
        self._drop_leftovers()
        files = _segments(self.folder)
        if len(files) > 1:
            _write(self.folder / f"{int(files[-1].stem) + 1:08d}.npz", self._hold().entries)
            for file in files:
                file.unlink()

    def _drop_leftovers(self) -> None:
        """Remove the unfinished files of a writer that was killed."""
        for leftover in self.folder.glob(".*") if self.folder else []:
            leftover.unlink()

    def _hold(self) -> _Held:
        if self._held is None:
            self._held = _Held.of(self._parts)
            self._parts = [self._held.entries]
        return self._held


def _best(
    queries: NDArray[np.float32], lift: NDArray[np.float32], k: int, *, invalid: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Rows (Q, k) and scores of the k best, where at least k are valid; equal vectors tie, ties in row order.

    The last bits of a large product depend on its shape, even for equal vectors. All rows that may be among the k best
    are therefore summed once more in double, so that a pair has one score in every search.
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
            exact = (lift[rows].astype(np.float64) @ queries[start + place].astype(np.float64)).astype(np.float32)
            order = np.argsort(-exact, kind="stable")[:k]
            found[start + place], scores[start + place] = rows[order], exact[order]
    return found, scores


def _unique(parts: Sequence[Entries]) -> Entries:
    """The parts as one, of every key the last entry."""
    whole = concatenate_entries(parts)
    last = ~whole.table[KEY].duplicated(keep="last").to_numpy(dtype=np.bool_)
    return whole if last.all() else whole.take(last)


def _segments(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*.npz") if file.stem.isdecimal()) if folder.is_dir() else []


def _read_folder(folder: Path) -> list[Entries]:
    for _ in range(_ATTEMPTS):
        try:
            parts = [_read(file) for file in _segments(folder)]
        except FileNotFoundError:
            continue
        return [_unique(parts)] if parts else []
    raise GalleryError(f"{folder} is being rewritten all the time; search again when that has ended")


def _write(file: Path, entries: Entries) -> None:
    columns = {name: entries.table[name].tolist() for name in entries.table.columns}
    text = json.dumps(columns, ensure_ascii=False, allow_nan=False).encode()
    arrays: dict[str, Any] = {_ARRAY + name: array for name, array in entries.arrays.items()}
    arrays |= {_TABLE: np.frombuffer(text, dtype=np.uint8), _LIFT: entries.lift}
    with new_file(file) as temporary:
        np.savez(temporary, **arrays)


def _read(file: Path) -> Entries:
    try:
        with np.load(file, allow_pickle=False) as archive:
            values = dict(_members(archive))
        table = pd.DataFrame(json.loads(values.pop(_TABLE).tobytes()), dtype=object)
        lift = values.pop(_LIFT)
        arrays = {name.removeprefix(_ARRAY): array for name, array in values.items()}
        return Entries(table=table, lift=lift, arrays=arrays)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, GalleryError) as error:
        raise GalleryError(f"{file} is damaged ({error}); remove the gallery and index the pictures again") from error


def _members(archive: Mapping[str, NDArray[Any]]) -> Iterator[tuple[str, NDArray[Any]]]:
    return ((name, archive[name]) for name in archive)
