"""The embedded store: one LanceDB table in a folder. Nothing has to be started."""

from __future__ import annotations

import json
import os
import shutil
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vireid.errors import GalleryError
from vireid.gallery.codes import Codes, CodesFile, possible
from vireid.gallery.columns import (
    engine_name,
    flat,
    is_searched,
    joined,
    ordered_columns,
    plain_name,
    row_texts,
    table_of,
    unflat,
    where,
)
from vireid.gallery.exact import IN_MEMORY, best_rows, fitting
from vireid.gallery.filters import written
from vireid.gallery.store import KEY, REQUIRED, Entries, Filters, Found, nothing_found, unique_entries

__all__ = ["LanceStore"]

_TABLE, _POSITION, _LIFT, _ROW, _ARRAY = "entries", "position", "lift", "row", "a_"
_SHAPES = b"vireid.shapes"
_ATTEMPTS = 5  # a reader whose version was dropped by a writer looks for the newest one again
_AT_ONCE = 500  # keys in one condition
_REMEMBERED = 100  # conditions whose answers are kept until the table changes

_CODED_AT_ONCE = 10_000  # vectors in memory while codes are written
_FEW_VALUES = 10_000  # different values of a column up to which a bitmap finds them

ResultT = TypeVar("ResultT")
WorkT = TypeVar("WorkT", bound=Callable[..., Any])


@dataclass(frozen=True)
class _Held:
    """What is searched in memory: all entries of a small gallery, in the order of addition."""

    keys: NDArray[np.object_]
    positions: NDArray[np.int64]
    lift: NDArray[np.float32]


@dataclass(frozen=True)
class _Coded:
    """What is scanned of a large gallery: codes, which of them the table still has, and its numbers of their rows."""

    codes: Codes
    alive: NDArray[np.bool_] | None
    numbers: NDArray[np.uint64]

    def among(self, kept: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(N,) bool, those that are alive and have one of these positions."""
        found: NDArray[np.bool_] = np.isin(self.codes.positions, kept)
        return found if self.alive is None else found & self.alive


def _in_turn(work: WorkT) -> WorkT:
    """One thread at a time, since the table moves to newer versions while it is asked; engine errors said plainly."""

    @wraps(work)
    def alone(self: LanceStore, *arguments: Any, **options: Any) -> Any:
        with self._turn:
            try:
                return work(self, *arguments, **options)
            except (OSError, RuntimeError, ValueError) as error:  # what LanceDB and Arrow raise
                raise GalleryError(f"{self._place} cannot be read or written: {error}") from error

    return cast("WorkT", alone)


class LanceStore:
    """Entries in a LanceDB table below `folder`, searched in memory up to `in_memory` of them and by codes above.

    Every write is one version of the table, flushed to disk before it is acknowledged. A deletion rewrites the table,
    since LanceDB itself only marks rows as deleted, and leaves no version, no index and no codes from before.
    """

    def __init__(self, folder: Path, *, in_memory: int = IN_MEMORY) -> None:
        self.folder = folder
        self.in_memory = in_memory
        self._turn = threading.RLock()
        self._connected: Any = None
        self._version = -1
        self._held: _Held | None = None
        self._coded: list[_Coded] | None = None
        self._codes = CodesFile(folder / "codes")
        self._keys: set[str] | None = None
        self._next: int | None = None
        self._counts: dict[str, int] = {}
        self._matching: dict[str, NDArray[np.int64]] = {}
        self._wanted: dict[str, list[NDArray[np.uint8]]] = {}
        self._flushed: set[str] = set(_files(folder))

    @property
    @_in_turn
    def columns(self) -> list[str]:
        table = self._table()
        found = [] if table is None else [plain_name(name) for name in table.schema.names]
        return list(dict.fromkeys([*REQUIRED, *(name for name in found if name)]))

    @_in_turn
    def keys(self, filters: Filters | None = None) -> set[str]:
        if filters:
            return set(self._read(lambda table: _scan(table, [KEY], _condition(table, filters)))[KEY].to_pylist())
        return set(self._known())

    @_in_turn
    def add(self, entries: Entries) -> None:
        if not len(entries):
            return
        entries = unique_entries([entries])
        table = self._table()
        if table is None:
            table = self._create(entries)
        entries.refuse_other_width(_width(table))
        rows = self._encode(table, entries)
        new = [field for field in rows.schema if field.name not in table.schema.names]
        if new:
            table.add_columns(new)
        known = self._known()
        if known.isdisjoint(entries.table[KEY]):
            table.add(rows)
        else:
            table.merge_insert(KEY).when_matched_update_all().when_not_matched_insert_all().execute(rows)
        self._flush()
        self._forget(table.version)
        self._keys = known | set(entries.table[KEY])
        written = self._codes.read()
        coded = 0 if written is None else int(written.positions.max()) + 1
        if self._next is not None and self._next > coded + self.in_memory:  # so that readers need not code much
            self._write_codes(table)

    @_in_turn
    def search(self, vectors: NDArray[Any], k: int, filters: Filters | None = None) -> Found:
        total = self.count()
        if not total or not len(vectors):
            return nothing_found(len(vectors))
        queries = fitting(vectors, _width(self._table()))
        condition = _condition(self._table(), filters)
        k = min(k, self.count(filters))
        if not k:
            return nothing_found(len(vectors))
        work = self._try_held if total <= self.in_memory else self._try_coded
        for _ in range(_ATTEMPTS):
            found = work(queries, k, condition)
            if found is not None:
                return found
        raise GalleryError(f"{self._place} is being written all the time; search again when that has ended")

    @_in_turn
    def fetch(self, keys: Sequence[str]) -> Entries:
        if self._table() is None:
            raise GalleryError("the gallery is empty; there is nothing to fetch")
        wanted = list(dict.fromkeys(keys))
        parts = [wanted[start : start + _AT_ONCE] for start in range(0, len(wanted), _AT_ONCE)] or [[]]
        found = pa.concat_tables(
            [self._read(lambda table, part=part: _scan(table, None, _among(part))) for part in parts]  # type: ignore[misc]
        )
        place = {key: row for row, key in enumerate(found[KEY].to_pylist())}
        return self._decode(found.take(pa.array([place[key] for key in wanted if key in place], pa.int64())))

    @_in_turn
    def delete(self, keys: Sequence[str]) -> int:
        gone = sorted(set(keys) & self._known())
        table = self._table()
        if not gone or table is None:
            return 0
        self._codes.drop()
        _drop_indices(table)  # they hold texts of what goes
        for start in range(0, len(gone), _AT_ONCE):
            # By place, since the condition is kept with the version that it made.
            places = _scan(table, [_POSITION], _among(gone[start : start + _AT_ONCE]))[_POSITION].to_pylist()
            table.delete(f"{_POSITION} IN ({', '.join(map(str, places))})")
        self._flush()
        self.compact()
        return len(gone)

    @_in_turn
    def count(self, filters: Filters | None = None) -> int:
        table = self._table()
        if table is None:
            return 0
        condition = _condition(table, filters)
        if condition in self._counts:
            return self._counts[condition]
        found = self._read(lambda table: int(table.count_rows(condition or None)))
        _remember(self._counts, condition, found)  # of the version that was read, which may be newer than before
        return found

    @_in_turn
    def compact(self) -> None:
        table = self._table()
        if table is None:
            return
        if len(list((self._place / "_versions").glob("*.manifest"))) == 1:
            self._write_codes(table)
            return  # every write makes a version, and a compaction leaves one
        table.optimize()
        if any((self._place / "_deletions").glob("*")):
            # Rows that were deleted or replaced are only marked so; writing the others anew is what removes them.
            self._codes.drop()
            _drop_indices(table)
            table.update(where="true", values_sql={_POSITION: _POSITION})
        self._index(table)
        self._write_codes(table)
        with warnings.catch_warnings():
            # It warns of readers of older versions; `_read` looks for the newest one again.
            warnings.filterwarnings("ignore", message="optimize", category=UserWarning)
            table.optimize(cleanup_older_than=timedelta(0), delete_unverified=True)
        self._flush()

    @_in_turn
    def drop(self) -> None:
        self._connected = None
        self._forget(-1)
        if self.folder.exists():
            shutil.rmtree(self.folder)

    @property
    def _place(self) -> Path:
        return self.folder / f"{_TABLE}.lance"

    def _table(self) -> Any:
        """The newest version of the table, None where nothing was ever added."""
        if self._connected is None:
            if not self._place.is_dir():
                return None
            self._connected = _connect(self.folder).open_table(_TABLE)
        self._connected.checkout_latest()
        if self._connected.version != self._version:
            self._forget(self._connected.version)
            self._next = None
        return self._connected

    def _forget(self, version: int) -> None:
        self._version, self._held, self._coded, self._keys = version, None, None, None
        self._counts, self._matching, self._wanted = {}, {}, {}

    def _known(self) -> set[str]:
        if self._table() is None:
            return set()
        if self._keys is None:
            self._keys = set(self._read(lambda table: _scan(table, [KEY]))[KEY].to_pylist())
        return self._keys

    def _create(self, entries: Entries) -> Any:
        arrays = {name: flat(array) for name, array in entries.arrays.items()}
        shapes = {name: list(array.shape[1:]) for name, array in entries.arrays.items()}
        schema = pa.schema(
            [
                pa.field(KEY, pa.string()),
                pa.field(_POSITION, pa.int64()),
                pa.field(_ROW, pa.string()),
                pa.field(_LIFT, pa.list_(pa.float32(), entries.lift.shape[1])),
                *(
                    pa.field(_ARRAY + name, pa.list_(pa.from_numpy_dtype(array.dtype), array.shape[1]))
                    for name, array in arrays.items()
                ),
            ],
            metadata={_SHAPES: json.dumps(shapes).encode()},
        )
        self._connected = _connect(self.folder).create_table(_TABLE, schema=schema)
        return self._connected

    def _encode(self, table: Any, entries: Entries) -> pa.Table:
        """The entries as rows of the table, with all of its columns, and new ones behind them."""
        if self._next is None:
            last = pc.max(_scan(table, [_POSITION])[_POSITION]).as_py()
            self._next = 0 if last is None else last + 1
        first, self._next = self._next, self._next + len(entries)
        arrays = {_LIFT: entries.lift, **{_ARRAY + name: flat(array) for name, array in entries.arrays.items()}}
        texts = {engine_name(str(name)): [written(v) or None for v in column] for name, column in entries.table.items()}
        columns: dict[str, Any] = {
            KEY: entries.table[KEY].tolist(),
            _POSITION: np.arange(first, first + len(entries)),
            _ROW: row_texts(entries.table),
            **{name: _fixed(array) for name, array in arrays.items()},
            **{name: pa.array(cells, pa.string()) for name, cells in texts.items()},
            **{name: pa.array(cells, pa.float64()) for name, cells in ordered_columns(entries.table).items()},
        }
        absent = [field for field in table.schema if field.name not in columns]
        return pa.table(columns | {field.name: pa.nulls(len(entries), field.type) for field in absent})

    def _decode(self, rows: pa.Table) -> Entries:
        shapes = json.loads((rows.schema.metadata or {}).get(_SHAPES, b"{}"))
        arrays = {name: unflat(_values(rows[_ARRAY + name]), name, shapes) for name in shapes}
        return Entries(table=table_of(rows[_ROW].to_pylist(), self.columns), lift=_values(rows[_LIFT]), arrays=arrays)

    def _try_held(self, queries: NDArray[np.float32], k: int, condition: str) -> Found | None:
        """None where the table went to another version in between."""
        if self._held is None:
            rows = self._read(lambda table: _scan(table, [KEY, _POSITION, _LIFT])).sort_by(_POSITION)
            self._held = _Held(
                keys=rows[KEY].to_numpy().astype(object),
                positions=rows[_POSITION].to_numpy(),
                lift=_values(rows[_LIFT]),
            )
        held = self._held
        if not condition:
            found, scores = best_rows(queries, held.lift, min(k, len(held.lift)))
            return Found(keys=held.keys[found], scores=scores)
        if condition not in self._matching:
            kept = self._read(lambda table: _scan(table, [_POSITION], condition))[_POSITION].to_numpy()
            if self._held is not held:
                return None
            _remember(self._matching, condition, np.flatnonzero(np.isin(held.positions, kept)))
        matching = self._matching[condition]
        found, scores = best_rows(queries, held.lift[matching], min(k, len(matching)))
        return Found(keys=held.keys[matching[found]], scores=scores)

    def _try_coded(self, queries: NDArray[np.float32], k: int, condition: str) -> Found | None:
        """As `_try_held`, by codes: what may be among the best is scored anew from the table."""
        if self._coded is None:
            self._coded = self._all_coded()
        coded = self._coded
        if coded is None:
            return None
        if condition and condition not in self._wanted:
            kept = self._read(lambda table: _scan(table, [_POSITION], condition))[_POSITION].to_numpy()
            if self._coded is not coded:
                return None
            _remember(self._wanted, condition, [np.packbits(part.among(kept)) for part in coded])
        wanted = [np.unpackbits(bits).view(np.bool_) for bits in self._wanted[condition]] if condition else None
        parts = [
            (part.codes, wanted[place][: len(part.codes)] if wanted else part.alive) for place, part in enumerate(coded)
        ]
        answers = []
        for query in queries:
            near = possible(query, parts, k)
            numbers = np.concatenate([part.numbers[rows] for part, rows in zip(coded, near, strict=True)])
            try:
                rows = self._connected.take_row_ids(numbers.tolist()).select([KEY, _POSITION, _LIFT]).to_arrow()
            except (OSError, RuntimeError, ValueError):  # a writer dropped this version
                return None
            answers.append(_best(rows, query[np.newaxis], k))
        return Found(
            keys=np.concatenate([answer.keys for answer in answers]),
            scores=np.concatenate([answer.scores for answer in answers]),
        )

    def _all_coded(self) -> list[_Coded] | None:
        """The codes of all entries: those that are written, and of what came later. None where the table moved on."""
        rows = self._read(lambda table: table.search().select([_POSITION]).with_row_id(True).to_arrow())
        rows, version = rows.sort_by(_POSITION), self._version
        positions, numbers = rows[_POSITION].to_numpy(), rows["_rowid"].to_numpy()
        written = self._codes.read()
        later = -1 if written is None else int(written.positions.max())
        parts = [] if written is None else [written]
        parts += self._read(lambda table: list(_codes_of(table, later)))
        self._table()
        if self._version != version:
            return None
        if sum(np.isin(part.positions, positions).sum() for part in parts) != len(positions):
            raise GalleryError(f"{self._codes.folder} does not fit its table; run `vireid gallery compact`")
        return [_of_table(part, positions, numbers) for part in parts]

    def _write_codes(self, table: Any) -> None:
        """Bring the codes up to date where there are too many entries for memory, and drop them where there are not."""
        self._flush()  # codes must not outlive entries whose positions would be given again
        written = self._codes.read()
        positions = _scan(table, [_POSITION])[_POSITION].to_numpy()
        later = -1 if written is None else int(written.positions.max())
        misfit = written is not None and not np.isin(positions[positions <= later], written.positions).all()
        if misfit or len(positions) <= self.in_memory:
            self._codes.drop()
            later = -1
        if len(positions) > self.in_memory and (positions > later).any():
            self._codes.append(_codes_of(table, later))
            self._flush()

    def _index(self, table: Any) -> None:
        """Index the columns that are filtered by where there are many entries."""
        if table.count_rows() <= self.in_memory:
            return
        from lancedb.index import Bitmap, BTree

        indexed = {column for index in table.list_indices() for column in index.columns}
        for field in table.schema:
            if field.name not in indexed and is_searched(field.name):
                text = field.name != KEY and not pa.types.is_floating(field.type)
                few = text and pc.count_distinct(_scan(table, [field.name])[field.name]).as_py() <= _FEW_VALUES
                table.create_index(field.name, config=Bitmap() if few else BTree())

    def _read(self, work: Callable[[Any], ResultT]) -> ResultT:
        """What `work` makes of the newest version, once more where a writer has dropped that meanwhile."""
        for _ in range(_ATTEMPTS - 1):
            try:
                return work(self._table())
            except (OSError, RuntimeError, ValueError):
                continue
        return work(self._table())

    def _flush(self) -> None:
        """Have the disk keep all files written since the last time; LanceDB leaves that to the system."""
        files = set(_files(self.folder))
        folders = {os.path.dirname(file) for file in files - self._flushed}  # noqa: PTH120
        for path in (files - self._flushed) | folders | ({str(self.folder)} if folders else set()):
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        self._flushed = files


def _remember(answers: dict[str, ResultT], condition: str, answer: ResultT) -> None:
    """Keep what a condition was answered with, for as many conditions as searches come back to."""
    if len(answers) == _REMEMBERED:
        answers.clear()
    answers[condition] = answer


def _connect(folder: Path) -> Any:
    import lancedb  # takes seconds, and a gallery elsewhere does without

    return lancedb.connect(folder)


def _files(folder: Path) -> Iterator[str]:
    return (os.path.join(place, name) for place, _, names in os.walk(folder) for name in names)  # noqa: PTH118


def _scan(table: Any, columns: list[str] | None, condition: str = "") -> pa.Table:
    search = table.search()
    if columns is not None:
        search = search.select(columns)
    return (search.where(condition) if condition else search).to_arrow()


def _best(rows: pa.Table, queries: NDArray[np.float32], k: int) -> Found:
    """The best k of rows for all queries, exactly."""
    rows = rows.sort_by(_POSITION)
    names = rows[KEY].to_numpy().astype(object)
    found, scores = best_rows(queries, _values(rows[_LIFT]), min(k, len(names)))
    return Found(keys=names[found], scores=scores)


def _codes_of(table: Any, later: int) -> Iterator[Codes]:
    """Codes of the entries whose position is above `later`, some thousands at a time."""
    search = table.search().select([_POSITION, _LIFT]).where(f"{_POSITION} > {later}")
    for batch in search.to_batches(_CODED_AT_ONCE):
        rows = pa.Table.from_batches([batch])
        if rows.num_rows:
            yield Codes.of(_values(rows[_LIFT]), rows[_POSITION].to_numpy())


def _of_table(codes: Codes, positions: NDArray[np.int64], numbers: NDArray[np.uint64]) -> _Coded:
    """Codes with their rows in a table of these positions, which rise, and row numbers."""
    place = np.minimum(np.searchsorted(positions, codes.positions), len(positions) - 1)
    alive = positions[place] == codes.positions
    return _Coded(codes, None if alive.all() else alive, numbers[place])


def _drop_indices(table: Any) -> None:
    for index in table.list_indices():
        table.drop_index(index.name)


def _condition(table: Any, filters: Filters | None) -> str:
    return where(filters, held=set(table.schema.names)) if filters else ""


def _among(keys: Sequence[str]) -> str:
    return f"{KEY} IN ({joined(keys)})" if keys else "false"


def _width(table: Any) -> int:
    return int(table.schema.field(_LIFT).type.list_size)


def _fixed(array: NDArray[Any]) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(array.ravel()), array.shape[1])


def _values(column: pa.ChunkedArray) -> NDArray[Any]:
    """(N, values) of a column of lists of one length."""
    if not column.num_chunks:
        return np.empty((0, column.type.list_size), column.type.value_type.to_pandas_dtype())
    values: NDArray[Any] = pa.concat_arrays(column.chunks).flatten().to_numpy(zero_copy_only=False)
    return values.reshape(-1, column.type.list_size)
