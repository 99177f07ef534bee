"""What commands print: JSON for machines on standard output, tables for people, progress on standard error."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeVar

import typer

__all__ = ["Device", "Filter", "Json", "parse_filters", "print_json", "print_table", "print_values", "say", "track"]

ItemT = TypeVar("ItemT")

Device = Annotated[str | None, typer.Option(help="cpu or cuda (default: CUDA where there is one).")]
Filter = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="COLUMN=VALUE",
        help="Only these pictures; repeat a column to allow several values, or give ends: 'time>=2026-11-21'.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]


def parse_filters(filters: Sequence[str]) -> dict[str, Any]:
    """What `--filter` said, by column: the values, or a range.

    Raises:
        UsageError: a filter that is not of the form column=value, column>=end or column<=end; values and ends, or two
            ends of one kind, for one column.
    """
    from vireid.errors import UsageError
    from vireid.gallery.ranges import Range

    values: dict[str, list[str]] = {}
    ends: dict[str, dict[str, str]] = {}
    for text in filters:
        column, equals, value = text.partition("=")
        sign = column[-1:] if column.endswith((">", "<")) else ""
        column = column.removesuffix(sign)
        if not equals or not column:
            raise UsageError(
                f"--filter {text!r} is not of the form column=value, for example camera=2, or 'time>=2026-11-21'"
            )
        if not sign:
            values.setdefault(column, []).append(value)
        elif sign in ends.setdefault(column, {}):
            raise UsageError(f"--filter {text!r} says a second time where {column} ends; give one {sign}= for a column")
        else:
            ends[column][sign] = value
    if both := sorted(set(values) & set(ends)):
        raise UsageError(f"--filter says values and ends for {both[0]}; give one or the other")
    return {**values, **{column: Range(found.get(">"), found.get("<")) for column, found in ends.items()}}


def print_json(value: Any) -> None:
    """One JSON value on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> None:
    """A table on standard output; title and cells are shown as they are, brackets and all."""
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    table = Table(*(Column(name, overflow="fold") for name in columns))  # a long path is broken, never cut
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console = Console()
    if title:  # a title of the table itself would be broken at the table's width
        console.print(Text(title, style="bold"), soft_wrap=True)
    console.print(table)


def print_values(values: Mapping[str, Any]) -> None:
    """Names and values, one a line."""
    width = max(len(name) for name in values)
    for name, value in values.items():
        sys.stdout.write(f"{name:<{width}}  {value}\n")


def say(text: str) -> None:
    """A remark for people, on standard error."""
    sys.stderr.write(text + "\n")


def track(items: Iterable[ItemT], /, *, description: str, total: int | None = None) -> Iterator[ItemT]:
    """The `Track` of the command line: a bar with the time left, on standard error, gone when done.

    Where standard error is no terminal there is none: a log of frames helps nobody.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield from progress.track(items, total=total, description=description)
