"""The seam between a gallery and where its vectors live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vireid.errors import GalleryError
from vireid.gallery.ranges import Range

__all__ = [
    "KEY",
    "REQUIRED",
    "UNORDERED",
    "Condition",
    "Entries",
    "Except",
    "Filters",
    "Found",
    "GalleryStore",
    "concatenate_entries",
    "nothing_found",
    "unique_entries",
]

KEY = "sha256"
"""Column that names an entry: SHA-256 of the picture file's bytes, or of that and the box of a part."""

REQUIRED = (KEY, "path", "modality", "camera")
UNORDERED = (KEY, "path", "modality")
"""Columns that no range can be asked of."""


@dataclass(frozen=True)
class Except:
    """Whatever `within` accepts (None: everything, unknown cells too) but these values."""

    values: Sequence[Any]
    within: Sequence[Any] | Range | None = None


Condition: TypeAlias = Sequence[Any] | Range | Except
"""Values of which a cell must be one (None: unknown), or what else it must be."""

Filters: TypeAlias = Mapping[str, Condition]
"""Column -> condition; all must hold."""


@dataclass(frozen=True, kw_only=True)
class Entries:
    """Pictures with what a search needs of them.

    table: N rows; columns `sha256`, `path`, `modality`, `camera` and any metadata, None where unknown.
    lift: (N, D) float32, the vectors that are searched. arrays: further arrays of N rows by name, as the matcher of an
    inexact lift needs them (`vector` and its fields).
    """

    table: pd.DataFrame
    lift: NDArray[np.float32]
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        missing = [name for name in REQUIRED if name not in self.table.columns]
        if missing:
            raise GalleryError(f"gallery entries lack the columns {', '.join(missing)}")
        lengths = {len(self.table), len(self.lift), *(len(array) for array in self.arrays.values())}
        if len(lengths) != 1 or self.lift.ndim != 2:
            raise GalleryError(f"gallery entries have arrays of {sorted(lengths)} rows and vectors {self.lift.shape}")

    def __len__(self) -> int:
        return len(self.table)

    def refuse_other_width(self, width: int) -> None:
        """Refuse to go into a gallery whose vectors have another length.

        Raises:
            GalleryError: they have.
        """
        if self.lift.shape[1] != width:
            raise GalleryError(
                f"the gallery holds vectors of {width} values, these have {self.lift.shape[1]}; "
                f"they come from another model"
            )

    def take(self, rows: Any) -> Entries:
        """Entries by slice, mask or index array."""
        table = self.table.iloc[rows].reset_index(drop=True)
        return Entries(table=table, lift=self.lift[rows], arrays={name: v[rows] for name, v in self.arrays.items()})


@dataclass(frozen=True, kw_only=True)
class Found:
    """The first K of every query, best first: keys (Q, K) of entries and their scores (Q, K)."""

    keys: NDArray[np.object_]
    scores: NDArray[np.float32]


class GalleryStore(Protocol):
    """Keeps entries and searches them by inner product.

    Adapters translate filters into their own language; unknown columns have been refused before they see one. All give
    the answers of `MemoryStore`, down to the order of ties, except that a Milvus server may miss entries by its own
    index; what it finds is scored anew, so that scores are exact everywhere. One writer at a time; the gallery's lock
    sees to that. Readers in other processes see what was added and deleted.
    """

    @property
    def columns(self) -> list[str]:
        """Columns of the table."""
        ...

    def keys(self, filters: Filters | None = None) -> set[str]:
        """The keys of all entries, of those that match the filters where there are any."""
        ...

    def add(self, entries: Entries) -> None:
        """Keep entries; they are durable on return. An entry takes the place of an older one with the same key."""
        ...

    def search(self, vectors: NDArray[Any], k: int, filters: Filters | None = None) -> Found:
        """The min(k, matching) entries of greatest inner product for vectors (Q, D); ties in the order of addition."""
        ...

    def fetch(self, keys: Sequence[str]) -> Entries:
        """The entries of these keys, in this order; keys that are not there are left out."""
        ...

    def delete(self, keys: Sequence[str]) -> int:
        """Remove entries from every file, older versions and the index; returns how many there were.

        A process that is killed meanwhile may leave some of them; the same call then removes the rest.
        """
        ...

    def count(self, filters: Filters | None = None) -> int:
        """Number of entries, of those that match the filters where there are any."""
        ...

    def compact(self) -> None:
        """Merge what was added piece by piece, drop what was replaced, and bring the index up to date."""
        ...

    def drop(self) -> None:
        """Remove everything, the place included."""
        ...


def concatenate_entries(parts: Sequence[Entries]) -> Entries:
    """One value of several, in order; a column that a part lacks is None there.

    Raises:
        GalleryError: the parts hold vectors of different length or different arrays.
    """
    widths = sorted({part.lift.shape[1] for part in parts})
    names = {tuple(sorted(part.arrays)) for part in parts}
    if len(widths) != 1 or len(names) != 1:
        raise GalleryError(f"vectors of {widths} values and arrays {sorted(names)} cannot lie in one gallery")
    columns = list(dict.fromkeys(name for part in parts for name in part.table.columns))
    cells = {
        name: [value for part in parts for value in (part.table[name] if name in part.table else [None] * len(part))]
        for name in columns
    }
    arrays = {name: np.concatenate([part.arrays[name] for part in parts]) for name in parts[0].arrays}
    table = pd.DataFrame(cells, dtype=object)
    return Entries(table=table, lift=np.concatenate([part.lift for part in parts]), arrays=arrays)


def unique_entries(parts: Sequence[Entries]) -> Entries:
    """The parts as one, of every key the last entry."""
    whole = concatenate_entries(parts)
    last = ~whole.table[KEY].duplicated(keep="last").to_numpy(dtype=np.bool_)
    return whole if last.all() else whole.take(last)


def nothing_found(queries: int) -> Found:
    """The answer of an empty store."""
    return Found(keys=np.empty((queries, 0), object), scores=np.empty((queries, 0), np.float32))
