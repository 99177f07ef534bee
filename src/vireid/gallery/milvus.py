"""The distributed store: one collection of a Milvus cluster, or of Milvus Lite in a file, which is for tests."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from vireid.errors import GalleryError, MissingExtraError
from vireid.files import write_json
from vireid.gallery.columns import flat, ordered_columns, ordered_name, row_texts, table_of, unflat
from vireid.gallery.exact import best_rows, exact_scores, fitting
from vireid.gallery.filters import written
from vireid.gallery.ranges import Range
from vireid.gallery.store import (
    KEY,
    REQUIRED,
    Condition,
    Entries,
    Except,
    Filters,
    Found,
    nothing_found,
    unique_entries,
)

__all__ = ["MilvusStore"]

_POSITION, _LIFT, _ROW, _CELLS, _ORDERED, _ARRAY = "position", "lift", "row", "cells", "ordered", "a_"
_TOKEN = "VIREID_MILVUS_TOKEN"
_LONGEST = 65535  # bytes of a text
_MOST = 16384  # entries that one search may answer with
_PAGE = 4096  # entries read at once where all are
_CANDIDATES, _OVERSAMPLING = 100, 10  # how many candidates are scored anew, at least and per entry wanted
_AT_ONCE = 500  # keys in one condition
_MESSAGE = 8 << 20  # bytes sent at once
_TIED = 1e-5  # relative difference of scores below which there may be more of the same


WorkT = TypeVar("WorkT", bound=Callable[..., Any])


def _answered(work: WorkT) -> WorkT:
    """Say plainly what the server did not do."""

    @wraps(work)
    def asked(self: MilvusStore, *arguments: Any, **options: Any) -> Any:
        from grpc import RpcError
        from pymilvus import MilvusException

        try:
            return work(self, *arguments, **options)
        except (MilvusException, RpcError, OSError) as error:
            raise GalleryError(
                f"Milvus at {self.uri} did not answer for collection {self.collection}: {error}"
            ) from error

    return cast("WorkT", asked)


class MilvusStore:
    """Entries in a collection of the server at `uri`; the folder of the gallery keeps what is said of its columns.

    The server searches with the index it chooses (AUTOINDEX), and its candidates are scored anew here. A deletion asks
    it to compact; when it removes old segments from its own storage is the server's setting. Where it asks for a token
    (`user:password`), the environment variable VIREID_MILVUS_TOKEN holds it.

    Raises:
        MissingExtraError: pymilvus is not installed.
        GalleryError: the server cannot be reached.
    """

    def __init__(self, uri: str, collection: str, *, folder: Path) -> None:
        try:
            from pymilvus import MilvusClient, MilvusException
        except ModuleNotFoundError as error:
            raise MissingExtraError("pymilvus", "milvus") from error
        self.uri, self.collection = uri, collection
        self._file = folder / "collection.json"
        try:
            self._client: Any = MilvusClient(uri, token=os.environ.get(_TOKEN, ""))
        except (MilvusException, OSError, ValueError) as error:
            raise GalleryError(f"Milvus at {uri} cannot be reached: {error}") from error

    @property
    def columns(self) -> list[str]:
        return list(self._layout()["columns"])

    @_answered
    def keys(self, filters: Filters | None = None) -> set[str]:
        if not self._exists():
            return set()
        return {row[KEY] for page in self._pages(filters, [KEY]) for row in page}

    @_answered
    def add(self, entries: Entries) -> None:
        if not len(entries):
            return
        entries = unique_entries([entries])
        layout = self._layout()
        if self._exists():
            entries.refuse_other_width(layout["width"])
        else:
            self._create(entries)
        first = layout["next"]
        write_json(
            self._file,
            {
                "width": entries.lift.shape[1],
                "next": first + len(entries),
                "columns": list(dict.fromkeys([*layout["columns"], *entries.table.columns])),
                "arrays": {name: [str(array.dtype), *array.shape[1:]] for name, array in entries.arrays.items()},
            },
        )
        rows = _encode(entries, first)
        width = entries.lift[0].nbytes + sum(array[0].nbytes for array in entries.arrays.values())
        step = max(1, _MESSAGE // (len(json.dumps(rows[0], default=str)) + 2 * width))  # numbers may be sent as text
        for start in range(0, len(rows), step):
            self._client.upsert(self.collection, rows[start : start + step])

    @_answered
    def search(self, vectors: NDArray[Any], k: int, filters: Filters | None = None) -> Found:
        k = min(k, self.count(filters))
        if not k:
            return nothing_found(len(vectors))
        queries = fitting(vectors, self._layout()["width"])
        if k > _MOST:
            return self._nearest_of_all(queries, k, filters)
        answers = [self._nearest(query, k, filters) for query in queries]
        return Found(
            keys=np.concatenate([answer.keys for answer in answers]),
            scores=np.concatenate([answer.scores for answer in answers]),
        )

    @_answered
    def fetch(self, keys: Sequence[str]) -> Entries:
        if not self._exists():
            raise GalleryError("the gallery is empty; there is nothing to fetch")
        wanted = list(dict.fromkeys(keys))
        found: dict[str, Mapping[str, Any]] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            condition = f"{KEY} in {json.dumps(wanted[start : start + _AT_ONCE])}"
            rows = self._client.query(self.collection, filter=condition, output_fields=["*"])
            found |= {row[KEY]: row for row in rows}
        return self._decode([found[key] for key in wanted if key in found])

    @_answered
    def delete(self, keys: Sequence[str]) -> int:
        gone = sorted(set(keys) & self.keys())
        for start in range(0, len(gone), _AT_ONCE):
            self._client.delete(self.collection, ids=gone[start : start + _AT_ONCE])
        if gone:
            self.compact()
        return len(gone)

    @_answered
    def count(self, filters: Filters | None = None) -> int:
        if not self._exists():
            return 0
        rows = self._client.query(self.collection, filter=_where(filters), output_fields=["count(*)"])
        return int(rows[0]["count(*)"])

    @_answered
    def compact(self) -> None:
        if self._exists():
            self._client.flush(self.collection)
            self._client.compact(self.collection)

    @_answered
    def drop(self) -> None:
        if self._exists():
            self._client.drop_collection(self.collection)
        shutil.rmtree(self._file.parent, ignore_errors=True)

    def _exists(self) -> bool:
        return bool(self._client.has_collection(self.collection))

    def _layout(self) -> dict[str, Any]:
        if not self._file.exists():
            return {"width": 0, "next": 0, "columns": list(REQUIRED), "arrays": {}}
        layout: dict[str, Any] = json.loads(self._file.read_text(encoding="utf-8"))
        return layout

    def _create(self, entries: Entries) -> None:
        from pymilvus import DataType

        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field(KEY, DataType.VARCHAR, is_primary=True, max_length=64)
        schema.add_field(_POSITION, DataType.INT64)
        schema.add_field(_LIFT, DataType.FLOAT_VECTOR, dim=entries.lift.shape[1])
        schema.add_field(_CELLS, DataType.JSON)
        schema.add_field(_ORDERED, DataType.JSON)
        for name in (_ROW, *(_ARRAY + name for name in entries.arrays)):
            schema.add_field(name, DataType.VARCHAR, max_length=_LONGEST)
        index = self._client.prepare_index_params()
        index.add_index(_LIFT, index_type="AUTOINDEX", metric_type="IP")
        self._client.create_collection(self.collection, schema=schema, index_params=index, consistency_level="Strong")

    def _nearest(self, query: NDArray[np.float32], k: int, filters: Filters | None) -> Found:
        """The best of many candidates, scored anew; of more where the last of them may tie with the last wanted."""
        limit = max(_CANDIDATES, _OVERSAMPLING * k)
        while True:
            [found] = self._client.search(
                self.collection,
                data=[query],
                limit=min(limit, _MOST),
                filter=_where(filters),
                output_fields=[_POSITION, _LIFT],
            )
            order = np.argsort([hit["entity"][_POSITION] for hit in found])
            lift = np.array([found[place]["entity"][_LIFT] for place in order], dtype=np.float32)
            names = np.array([found[place][KEY] for place in order], dtype=object)
            rows, scores = best_rows(query[np.newaxis], lift, min(k, len(names)))
            last = float(found[-1]["distance"])
            if len(found) < limit or limit >= _MOST or last < scores[0, -1] - _TIED * abs(scores[0, 0]):
                return Found(keys=names[rows], scores=scores)
            limit *= 4

    def _nearest_of_all(self, queries: NDArray[np.float32], k: int, filters: Filters | None) -> Found:
        """The best of all that match, read page by page, where more are wanted than one search answers with."""
        rows = [
            (row[_POSITION], row[KEY], scores)
            for page in self._pages(filters, [KEY, _POSITION, _LIFT])
            for row, scores in zip(page, _scores(queries, page), strict=True)
        ]
        rows.sort(key=itemgetter(0))
        names = np.array([key for _, key, _ in rows], dtype=object)
        scores = np.stack([scores for _, _, scores in rows], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return Found(keys=names[order], scores=np.take_along_axis(scores, order, axis=1))

    def _pages(self, filters: Filters | None, fields: Sequence[str]) -> Iterator[Sequence[Mapping[str, Any]]]:
        """All that matches, as much at once as the server gives."""
        pages = self._client.query_iterator(
            self.collection, batch_size=_PAGE, filter=_where(filters), output_fields=list(fields)
        )
        while page := pages.next():
            yield page
        pages.close()

    def _decode(self, rows: Sequence[Mapping[str, Any]]) -> Entries:
        layout = self._layout()
        arrays = {}
        for name, (dtype, *shape) in layout["arrays"].items():
            data = b"".join(base64.b64decode(row[_ARRAY + name]) for row in rows)
            arrays[name] = unflat(np.frombuffer(data, dtype=dtype).reshape(len(rows), -1), name, {name: shape})
        lift = np.array([row[_LIFT] for row in rows], dtype=np.float32).reshape(len(rows), layout["width"])
        return Entries(table=table_of((row[_ROW] for row in rows), layout["columns"]), lift=lift, arrays=arrays)


def _scores(queries: NDArray[np.float32], page: Sequence[Mapping[str, Any]]) -> NDArray[np.float32]:
    """(N, Q) scores of a page's entries."""
    lift = np.array([row[_LIFT] for row in page], dtype=np.float32)
    return np.stack([exact_scores(query, lift) for query in queries], axis=1)


def _encode(entries: Entries, first: int) -> list[dict[str, Any]]:
    texts = {str(name): [written(value) for value in column] for name, column in entries.table.items()}
    ordered = ordered_columns(entries.table)
    arrays = {_ARRAY + name: _texts(name, array) for name, array in entries.arrays.items()}
    return [
        {
            KEY: key,
            _POSITION: first + place,
            _LIFT: entries.lift[place],
            _ROW: row,
            _CELLS: {name: cells[place] for name, cells in texts.items() if cells[place]},
            _ORDERED: {name: cells[place] for name, cells in ordered.items() if cells[place] is not None},
            **{name: cells[place] for name, cells in arrays.items()},
        }
        for place, (key, row) in enumerate(zip(entries.table[KEY], row_texts(entries.table), strict=True))
    ]


def _texts(name: str, array: NDArray[Any]) -> list[str]:
    texts = [base64.b64encode(row.tobytes()).decode("ascii") for row in flat(array)]
    if texts and len(texts[0]) > _LONGEST:
        raise GalleryError(
            f"the field {name!r} takes {len(texts[0])} bytes a picture, and Milvus keeps {_LONGEST}; "
            f"use the embedded store for this model"
        )
    return texts


def _where(filters: Filters | None) -> str:
    """The filters as Milvus asks for cells."""
    return " and ".join(f"({_condition(column, values)})" for column, values in (filters or {}).items())


def _condition(column: str, wanted: Condition) -> str:
    cell = f"{_CELLS}[{_quoted(column)}]"
    if isinstance(wanted, Except):
        texts = sorted({written(value) for value in wanted.values})
        unequal = [f"{cell} != {_quoted(text)}" for text in texts if text]
        others = f"exists {cell} and " if "" in texts else f"not exists {cell} or "
        parts = [f"({others}({' and '.join(unequal)}))" if unequal else f"exists {cell}"]
        parts += [] if wanted.within is None else [f"({_condition(column, wanted.within)})"]
        return " and ".join(parts)
    if isinstance(wanted, Range):
        ordered = f"{_ORDERED}[{_quoted(ordered_name(column, wanted))}]"
        ends = zip((">=", "<="), wanted.ends, strict=True)
        return " and ".join(f"{ordered} {sign} {end!r}" for sign, end in ends if end is not None)
    texts = sorted({written(value) for value in wanted})
    return " or ".join(f"{cell} == {_quoted(text)}" if text else f"not exists {cell}" for text in texts)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
