"""From pictures to a gallery: embedded in batches, written every few batches, so that a stopped run can go on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vireid.errors import DataError, GalleryError, ImageError
from vireid.gallery.bulk import Bulk
from vireid.gallery.header import Header, write_header
from vireid.gallery.reading import ReadPicture, read_again, read_ahead
from vireid.gallery.results import Broken, IndexReport
from vireid.gallery.sources import Listing
from vireid.gallery.store import KEY, Entries, GalleryStore, concatenate_entries
from vireid.gallery.tombstones import Tombstones
from vireid.matching import Matcher
from vireid.types import Embeddings, Modality, Side, Track

if TYPE_CHECKING:
    from vireid.methods.encoder import Encoder

__all__ = ["Indexer", "entries_of"]

_BATCHES_PER_WRITE = 4
_COUNTED = ("added", "updated", "unchanged", "duplicates", "refused")


@dataclass(kw_only=True)
class Indexer:
    """Brings pictures into a store; one use."""

    path: Path
    header: Header
    store: GalleryStore
    encoder: Encoder
    matcher: Matcher
    tombstones: Tombstones
    readmit: bool
    batch_size: int
    bulk: Bulk | None = None
    _pending: list[Entries] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)
    _broken: list[Broken] = field(default_factory=list)
    _counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_COUNTED, 0))

    def run(self, listing: Listing, track: Track) -> IndexReport:
        """Index everything listed; what was embedded is kept, whatever stops the run.

        Raises:
            DataError: not one of the pictures can be read.
        """
        begin = time.monotonic()
        try:
            for modality, rows in _by_modality(listing.rows).items():
                self._index(rows, modality, track)
        finally:
            self._write()
        if not self._seen and not self._counts["refused"]:
            raise DataError(_nothing_readable(self._broken))
        self.store.compact()
        return IndexReport(
            **self._counts,
            ignored=listing.ignored,
            broken=tuple(self._broken),
            seconds=round(time.monotonic() - begin, 3),
        )

    def _index(self, rows: Sequence[Mapping[str, Any]], modality: Modality, track: Track) -> None:
        batch: list[ReadPicture] = []
        known, size = self.store.keys(), self.encoder.preprocessing.size
        found = self.bulk.read(rows, modality, known=known, size=size) if self.bulk else None
        with closing(found or read_ahead(rows, known=known, size=size)) as ahead:
            for picture in track(ahead, description=f"indexing {modality}", total=len(rows)):
                if picture.problem is not None:
                    self._broken.append(Broken(picture.row["path"], picture.problem))
                elif picture.sha256 in self._seen:
                    self._counts["duplicates"] += 1
                elif not self.readmit and picture.sha256 in self.tombstones:
                    self._counts["refused"] += 1
                else:
                    self._seen.add(picture.sha256)
                    batch.append(picture)
                if len(batch) == self.batch_size:
                    self._take(batch, modality)
                    batch = []
        self._take(batch, modality)

    def _take(self, batch: Sequence[ReadPicture], modality: Modality) -> None:
        """Embed what is new, take over what is known, and write when enough has gathered."""
        known = self._known([p.sha256 for p in batch if p.pixels is None and p.embedded is None])
        rows, pixels, size = [], [], self.encoder.preprocessing.size
        done: list[ReadPicture] = []
        for picture in batch:
            if picture.embedded is not None:
                done.append(picture)
                continue
            old = known.get(picture.sha256)
            if old is not None and old.table["modality"][0] == modality:
                self._update(old, picture.row)
                continue
            try:
                # A picture whose modality was corrected is known by content, and was therefore not decoded ahead.
                pixels.append(read_again(picture.row, size) if picture.pixels is None else picture.pixels)
            except ImageError as error:
                self._broken.append(Broken(picture.row["path"], str(error)))
                continue
            rows.append({KEY: picture.sha256, **(_said(old, picture.row) if old else picture.row)})
        if rows:
            self._pending.append(entries_of(self.encoder.embed(pixels, modality), self.matcher, rows))
        if done:
            embeddings = [picture.embedded.arrays() for picture in done if picture.embedded is not None]
            whole = {name: np.concatenate([arrays[name] for arrays in embeddings]) for name in embeddings[0]}
            named = [{KEY: picture.sha256, **picture.row} for picture in done]
            self._pending.append(entries_of(Embeddings.from_arrays(whole), self.matcher, named))
        self._counts["added"] += len(rows) + len(done)
        if sum(len(entries) for entries in self._pending) >= _BATCHES_PER_WRITE * self.batch_size:
            self._write()

    def _known(self, keys: Sequence[str]) -> dict[str, Entries]:
        if not keys:
            return {}
        held = self.store.fetch(keys)
        return {key: held.take(slice(row, row + 1)) for row, key in enumerate(held.table[KEY])}

    def _update(self, old: Entries, row: Mapping[str, Any]) -> None:
        after = _said(old, row)
        if after == dict(zip(old.table.columns, old.table.iloc[0], strict=True)):
            self._counts["unchanged"] += 1
            return
        self._counts["updated"] += 1
        table = pd.DataFrame({name: [value] for name, value in after.items()}, dtype=object)
        self._pending.append(Entries(table=table, lift=old.lift, arrays=old.arrays))

    def _write(self) -> None:
        if not self._pending:
            return
        entries = concatenate_entries(self._pending)
        # The header comes first: vectors that are bound to no model must never lie there.
        write_header(self.path, self.header)
        self.tombstones.lift(entries.table[KEY])
        self.store.add(entries)
        self._pending.clear()


def _said(old: Entries, row: Mapping[str, Any]) -> dict[str, Any]:
    """What is said now counts; what was said before and is not said now stays."""
    before = {str(name): value for name, value in zip(old.table.columns, old.table.iloc[0], strict=True)}
    return {**before, **{name: value for name, value in row.items() if value is not None}}


def entries_of(found: Embeddings[Any], matcher: Matcher, rows: Sequence[Mapping[str, Any]]) -> Entries:
    """Gallery entries of embeddings: the lift, and where that is not exact what the matcher scores with, as float16.

    Raises:
        GalleryError: the model answered with another number of vectors, or with values that are not finite.
    """
    lift = np.ascontiguousarray(matcher.lift(found, Side.GALLERY), dtype=np.float32)
    if len(lift) != len(rows):
        raise GalleryError(f"the model gave {len(lift)} vectors for {len(rows)} pictures")
    bad = np.flatnonzero(~np.isfinite(lift).all(axis=1))
    if len(bad):
        raise GalleryError(
            f"the model's vector of {rows[bad[0]]['path']} is not finite; is the bundle's training sound?"
        )
    arrays = {} if matcher.exact else {"vector": found.vector, **{name: found.fields[name] for name in matcher.fields}}
    compact = {name: _compact(name, array) for name, array in arrays.items()}
    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = pd.DataFrame({name: [row.get(name) for row in rows] for name in columns}, dtype=object)
    return Entries(table=table, lift=lift, arrays=compact)


def _compact(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """The array as float16, half the size of what the network gave."""
    if not np.issubdtype(array.dtype, np.floating):
        return array
    largest = np.finfo(np.float16).max
    if array.size and np.abs(array).max() > largest:
        raise GalleryError(f"the model's field {name!r} holds values beyond {largest}, which a gallery cannot keep")
    return array.astype(np.float16)


def _by_modality(rows: Sequence[Mapping[str, Any]]) -> dict[Modality, list[Mapping[str, Any]]]:
    groups: dict[Modality, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(Modality(row["modality"]), []).append(row)
    return groups


def _nothing_readable(broken: Sequence[Broken]) -> str:
    shown: Iterator[str] = (f"\n  {one.path}: {one.reason}" for one in broken[:5])
    more = f"\n  and {len(broken) - 5} more" if len(broken) > 5 else ""
    return f"none of the {len(broken)} pictures can be read:" + "".join(shown) + more
