"""Filters: which entries of a gallery a search may answer with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vireid.errors import UsageError, choose
from vireid.gallery.ranges import Range
from vireid.gallery.store import UNORDERED, Condition, Except, Filters
from vireid.types import Modality

__all__ = ["allows", "check_filters", "describe_filters", "matching_rows", "written"]


def check_filters(filters: Mapping[str, Any] | None, columns: Iterable[str]) -> Filters:
    """Filters in their full form: every value a list, or a `Range`.

    Raises:
        UsageError: a column that the gallery does not have, an empty list, a modality that does not exist, or a range
            of what has no order.
    """
    checked: dict[str, Condition] = {}
    for column, wanted in (filters or {}).items():
        choose(column, columns, "filter column")
        if isinstance(wanted, Range):
            if column in UNORDERED:
                raise UsageError(f"filter {column!r} cannot be a range: it has no order")
            checked[column] = wanted
            continue
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
    kept = []
    for column, wanted in filters.items():
        values = {cell: allows(wanted, cell) for cell in words[column].unique()}
        kept.append(words[column].map(values).to_numpy(dtype=np.bool_))
    every: NDArray[np.bool_] = np.all(np.stack(kept), axis=0)
    return every


def allows(wanted: Condition, cell: Any) -> bool:
    """Whether a cell meets a condition."""
    if isinstance(wanted, Except):
        return not allows(wanted.values, cell) and (wanted.within is None or allows(wanted.within, cell))
    if isinstance(wanted, Range):
        return wanted.holds(cell)
    return written(cell) in {written(value) for value in wanted}


def written(value: Any) -> str:
    """A value as text, so that 2, 2.0 and "2" are one camera; unknown (None) is the empty text."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def describe_filters(filters: Filters) -> str:
    """Filters as people read them: `camera=1|2, time>=2026-11-21`."""
    return ", ".join(f"{column}{_described(wanted)}" for column, wanted in filters.items())


def _described(wanted: Condition) -> str:
    if isinstance(wanted, Except):
        within = "" if wanted.within is None else f"{_described(wanted.within)} and "
        return f"{within}!{_described(wanted.values)}"
    if isinstance(wanted, Range):
        return str(wanted)
    return "=" + "|".join(written(value) or "(unknown)" for value in wanted)
