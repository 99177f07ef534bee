"""Filters by order: numbers and times between two ends."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from vireid.errors import UsageError

__all__ = ["Range", "number_of", "time_of"]

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@dataclass(frozen=True)
class Range:
    """What lies between two ends, both included; an end that is None is open.

    Both are numbers, or both are times: ISO 8601 (`2026-11-21`, `2026-11-21T18:00`, `2026-11-21T18:00:00+01:00`) or a
    `datetime`; without an offset they are UTC. A day as `high` is meant with all its hours. Cells that read as numbers
    are compared with numbers, cells that read as times with times; all others, and unknown ones, do not match.

    Raises:
        UsageError: an end that is neither, ends of two kinds, no end, or a `low` above `high`.
    """

    low: Any = None
    high: Any = None

    def __post_init__(self) -> None:
        if self.low is None and self.high is None:
            raise UsageError("a range needs an end; leave the filter out to accept all")
        for end in (self.low, self.high):
            if end is not None and number_of(end) is None and time_of(end) is None:
                raise UsageError(f"{end!r} is no end of a range: give a number, or a time such as 2026-11-21T18:00")
        ends = [end for end in (self.low, self.high) if end is not None]
        if len({time_of(end) is None for end in ends}) > 1:
            raise UsageError(f"the range from {self.low} to {self.high} mixes a number and a time")
        low, high = self.ends
        if low is not None and high is not None and low > high:
            raise UsageError(f"the range from {self.low} to {self.high} is empty; its lower end comes first")

    @property
    def of_times(self) -> bool:
        """Whether the ends are times; else they are numbers."""
        return time_of(self.high if self.low is None else self.low) is not None

    @property
    def ends(self) -> tuple[float | None, float | None]:
        """Both as numbers; of times, seconds since 1970 (UTC)."""
        if not self.of_times:
            return number_of(self.low), number_of(self.high)
        high = time_of(self.high)
        if high is not None and _DAY.fullmatch(_text(self.high)):
            high += timedelta(days=1).total_seconds() - 1e-6
        return time_of(self.low), high

    def holds(self, cell: Any) -> bool:
        """Whether a cell of the table lies in it."""
        value = time_of(cell) if self.of_times else number_of(cell)
        low, high = self.ends
        return value is not None and (low is None or value >= low) and (high is None or value <= high)

    def __str__(self) -> str:
        ends = ((">=", self.low), ("<=", self.high))
        return " and ".join(f"{sign}{_text(end)}" for sign, end in ends if end is not None)


def number_of(value: Any) -> float | None:
    """The number that a cell or an end reads as; None where it does not."""
    text = _text(value)
    number = float(text) if _NUMBER.fullmatch(text) else None
    return number if number is not None and abs(number) != float("inf") else None


def time_of(value: Any) -> float | None:
    """Seconds since 1970 (UTC) where a cell or an end reads as a time; None where it does not."""
    text = _text(value)
    if not _DAY.match(text):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, datetime) else str(value)
