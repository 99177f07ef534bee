"""Filters: which entries of a gallery a search may answer with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vireid.errors import UsageError, choose
from vireid.gallery.store import Filters
from vireid.types import Modality

__all__ = ["check_filters", "describe_filters", "matching_rows", "written"]


def check_filters(filters: Mapping[str, Any] | None, columns: Iterable[str]) -> Filters:
    """Filters in their full form: every value a list.

    Raises:
        UsageError: a column that the gallery does not have, an empty list, or a modality that does not exist.
    """
    checked: dict[str, list[Any]] = {}
    for column, wanted in (filters or {}).items():
        choose(column, columns, "filter column")
        several = isinstance(wanted, list | tuple | set | frozenset | np.ndarray)
        values = list(wanted) if several else [wanted]
        if not values:
            raise UsageError(f"filter {column!r} has no value; leave it out to accept all")
        if column == "modality":
            values = [choose(str(value), list(Modality), "modality") for value in values]
        checked[column] = values
    return checked


def matching_rows(words: Mapping[str, pd.Series[str]], filters: Filters) -> NDArray[np.bool_]:
    """(N,) bool, rows that match all filters; `words` holds the filtered columns as they are `written`."""
    kept = [words[column].isin([written(value) for value in wanted]).to_numpy() for column, wanted in filters.items()]
    every: NDArray[np.bool_] = np.all(np.stack(kept), axis=0)
    return every


def written(value: Any) -> str:
    """A value as text, so that 2, 2.0 and "2" are one camera; unknown (None) is the empty text."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def describe_filters(filters: Filters) -> str:
    """Filters as people read them: `camera=1|2, modality=visible`."""
    return ", ".join(
        f"{column}={'|'.join(written(v) or '(unknown)' for v in values)}" for column, values in filters.items()
    )
