"""Ranges: what reads as a number or a time, and ends that make no sense."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from vireid.cli.output import parse_filters
from vireid.errors import UsageError
from vireid.gallery import Range
from vireid.gallery.filters import check_filters, describe_filters
from vireid.gallery.ranges import number_of, time_of
from vireid.gallery.store import Except

COLUMNS = ["sha256", "path", "modality", "camera", "time", "identity"]


@pytest.mark.parametrize(
    ("cell", "number"),
    [(3, 3.0), ("007", 7.0), ("-2.5e2", -250.0), (".5", 0.5), (2.0, 2.0)]
    + [(cell, None) for cell in ("", None, "nan", "inf", "1e999", "1_0", "٣", "0x10", True, "2026-11-21", "3 ")],
)
def test_what_reads_as_a_number(cell: Any, number: float | None) -> None:
    assert number_of(cell) == number


def test_what_reads_as_a_time() -> None:
    noon = datetime(2026, 11, 21, 12, tzinfo=UTC)
    same = [
        "2026-11-21T12:00",
        "2026-11-21 12:00:00",
        "2026-11-21T12:00:00Z",
        "2026-11-21T13:00:00.000+01:00",
        noon,
        noon.astimezone(timezone(timedelta(hours=-5))),
        datetime(2026, 11, 21, 12),
    ]
    assert {time_of(value) for value in same} == {noon.timestamp()}
    assert [time_of(value) for value in ("20261121", "2026-W47-6", "2026-13-01", "noon", 5, None, "")] == [None] * 7


def test_a_last_day_is_meant_whole() -> None:
    day = Range("2026-11-21", "2026-11-21")
    assert [day.holds(cell) for cell in ("2026-11-21", "2026-11-21T23:59:59.9", "2026-11-22")] == [True, True, False]
    assert not Range(None, "2026-11-21T00:00").holds("2026-11-21T00:01")


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        (None, None, "a range needs an end"),
        ("noon", None, "'noon' is no end of a range"),
        (True, None, "True is no end"),
        (3, "2026-11-21", "mixes a number and a time"),
        (5, 4, "from 5 to 4 is empty"),
        ("2026-11-22", "2026-11-21", "is empty"),
    ],
)
def test_ends_that_make_no_sense(low: Any, high: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Range(low, high)


def test_filters_with_ranges_are_checked_and_described() -> None:
    wanted = check_filters({"time": Range("2026-11-21", None), "identity": Range(0, 7), "camera": 2}, COLUMNS)
    assert describe_filters(wanted) == "time>=2026-11-21, identity>=0 and <=7, camera=2"
    assert describe_filters({"track": Except(["a", "b"], Range(0, 3))}) == "track>=0 and <=3 and !=a|b"
    for column in ("path", "modality", "sha256"):
        with pytest.raises(UsageError, match=f"filter '{column}' cannot be a range"):
            check_filters({column: Range(0, 7)}, COLUMNS)


def test_the_command_line_takes_ends() -> None:
    given = ["camera=2", "camera=3", "time>=2026-11-20", "time<=2026-11-21", "identity>=5", "path=a>=b"]
    assert parse_filters(given) == {
        "camera": ["2", "3"],
        "path": ["a>=b"],
        "time": Range("2026-11-20", "2026-11-21"),
        "identity": Range("5", None),
    }
    for wrong, message in (
        (["time>"], "not of the form"),
        ([">=3"], "not of the form"),
        (["time>=1", "time>=2"], "a second time where time ends"),
        (["time>=1", "time=2"], "values and ends for time"),
        (["time>=noon"], "'noon' is no end"),
    ):
        with pytest.raises(UsageError, match=message):
            parse_filters(wrong)
