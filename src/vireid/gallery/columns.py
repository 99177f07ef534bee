"""How the table of a gallery is laid into the columns of an engine, which knows neither odd names nor mixed types.

Every value is kept twice: the whole row as JSON, with its types, and each cell as the text that filters compare.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vireid.errors import GalleryError
from vireid.gallery.filters import written
from vireid.gallery.store import Filters

__all__ = ["engine_name", "flat", "joined", "plain_name", "row_texts", "table_of", "unflat", "where"]

_PREFIX = "c_"
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


def where(filters: Filters, *, unknown: str) -> str:
    """The filters as a condition; `unknown` says, with `{}` for the column, how the engine asks for no value."""
    return " AND ".join(f"({_condition(engine_name(c), values, unknown)})" for c, values in filters.items())


def _condition(name: str, values: Sequence[Any], unknown: str) -> str:
    texts = sorted({written(value) for value in values})
    known = [text for text in texts if text]
    parts = [f"{name} IN ({joined(known)})"] if known else []
    return " OR ".join([*parts, unknown.format(name)] if "" in texts else parts)


def joined(texts: Iterable[str]) -> str:
    """Texts quoted as SQL does."""
    return ", ".join("'" + text.replace("'", "''") + "'" for text in texts)


def flat(array: NDArray[Any]) -> NDArray[Any]:
    """(N, ...) as (N, values)."""
    return np.ascontiguousarray(array.reshape(len(array), -1))


def unflat(array: NDArray[Any], name: str, shapes: Mapping[str, Sequence[int]]) -> NDArray[Any]:
    """Inverse of `flat` for an array of `shapes[name]` a row."""
    return array.reshape(len(array), *shapes[name])
