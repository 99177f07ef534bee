"""How the table of a gallery is laid into the columns of an engine, which knows neither odd names nor mixed types.

Every value is kept as JSON with its row, with its type, and as the text that filters compare. Where a text reads as a
number or a time it is also kept as such, for ranges.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vireid.errors import GalleryError
from vireid.gallery.filters import written
from vireid.gallery.ranges import Range, number_of, time_of
from vireid.gallery.store import KEY, UNORDERED, Condition, Except, Filters

__all__ = [
    "engine_name",
    "flat",
    "is_searched",
    "joined",
    "ordered_columns",
    "ordered_name",
    "plain_name",
    "row_texts",
    "table_of",
    "unflat",
    "where",
]

_PREFIX, _NUMBERS, _TIMES = "c_", "number_", "time_"
_LONGEST = 65535  # UTF-8 bytes of a cell; Milvus takes no more


def engine_name(column: str) -> str:
    """A column's name in lower-case letters, digits and underscores; everything else as `_HEX_`."""
    return _PREFIX + re.sub(r"[^a-z0-9]", lambda found: f"_{ord(found.group()):x}_", column)


def plain_name(name: str) -> str | None:
    """Inverse of `engine_name`; None for a column of the engine's own."""
    if not name.startswith(_PREFIX):
        return None
    return re.sub(r"_([0-9a-f]+)_", lambda found: chr(int(found.group(1), 16)), name.removeprefix(_PREFIX))


def row_texts(table: pd.DataFrame) -> list[str]:
    """Every row as one JSON object.

    Raises:
        GalleryError: a row of more than 65,535 bytes.
    """
    names = list(table.columns)
    texts = [
        json.dumps(dict(zip(names, cells, strict=True)), ensure_ascii=False, allow_nan=False)
        for cells in zip(*(table[name].tolist() for name in names), strict=True)
    ]
    for text in texts:
        if len(text.encode()) > _LONGEST:
            raise GalleryError(f"a picture's metadata takes more than {_LONGEST} bytes: {text[:100]}...")
    return texts


def table_of(texts: Iterable[str], columns: Sequence[str]) -> pd.DataFrame:
    """The table of rows that `row_texts` wrote; None where a row lacks one of `columns`."""
    rows = [json.loads(text) for text in texts]
    return pd.DataFrame({name: [row.get(name) for row in rows] for name in columns}, dtype=object)


def ordered_columns(table: pd.DataFrame) -> dict[str, list[float | None]]:
    """The cells that read as numbers, and those that read as times, of each column where there are any."""
    columns = {}
    for name in table.columns:
        if name in UNORDERED:
            continue
        for prefix, reading in ((_NUMBERS, number_of), (_TIMES, time_of)):
            values = [reading(written(cell)) for cell in table[name]]
            if any(value is not None for value in values):
                columns[prefix + engine_name(str(name))] = values
    return columns


def ordered_name(column: str, wanted: Range) -> str:
    """The name in `ordered_columns` of what a range is asked of."""
    return (_TIMES if wanted.of_times else _NUMBERS) + engine_name(column)


def is_searched(name: str) -> bool:
    """Whether a column of an engine is asked by filters."""
    return name == KEY or name.startswith((_PREFIX, _NUMBERS, _TIMES))


def where(filters: Filters, *, held: Collection[str]) -> str:
    """The filters as a condition in SQL for a table of the columns `held`."""
    return " AND ".join(f"({_condition(column, wanted, held)})" for column, wanted in filters.items())


def _condition(column: str, wanted: Condition, held: Collection[str]) -> str:
    name = engine_name(column)
    if isinstance(wanted, Except):
        without = f"NOT ({_condition(column, wanted.values, held)})"
        others = without if "" in map(written, wanted.values) else f"({without} OR {name} IS NULL)"
        return others if wanted.within is None else f"({_condition(column, wanted.within, held)}) AND {others}"
    if isinstance(wanted, Range):
        ordered = ordered_name(column, wanted)
        if ordered not in held:
            return "false"
        ends = zip((">=", "<="), wanted.ends, strict=True)
        return " AND ".join(f"{ordered} {sign} {end!r}" for sign, end in ends if end is not None)
    texts = sorted({written(value) for value in wanted})
    known_texts = [text for text in texts if text]
    parts = [f"{name} IN ({joined(known_texts)})"] if known_texts else []
    return " OR ".join([*parts, f"{name} IS NULL"] if "" in texts else parts)


def joined(texts: Iterable[str]) -> str:
    """Texts quoted as SQL does."""
    return ", ".join("'" + text.replace("'", "''") + "'" for text in texts)


def flat(array: NDArray[Any]) -> NDArray[Any]:
    """(N, ...) as (N, values)."""
    return np.ascontiguousarray(array.reshape(len(array), -1))


def unflat(array: NDArray[Any], name: str, shapes: Mapping[str, Sequence[int]]) -> NDArray[Any]:
    """Inverse of `flat` for an array of `shapes[name]` a row."""
    return array.reshape(len(array), *shapes[name])
