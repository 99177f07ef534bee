"""What the doctor says: checks, findings and the diagnosis made of them."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

__all__ = ["CHECKS", "Check", "Diagnosis", "Finding", "Level", "error", "few", "spans", "warning"]

CHECKS = (
    "layout",
    "lists",
    "identities",
    "counts",
    "files",
    "arrays",
    "permutation",
    "pictures",
    "sizes",
    "colours",
    "duplicates",
    "reader",
)
"""The checks in the order in which they are told; the first word of a finding's code is one of them."""

_FORMAT = 1  # of the JSON report; raise it when a field changes its meaning
_EXAMPLES = 8
_SPANS = 6


class Level(StrEnum):
    """How a check ended.

    error: what the readers see is not the data set that its layout or its own statement promises.
    warning: something to know; the readers see the right data all the same.
    """

    OK = "ok"
    SKIPPED = "skipped"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong, by a code that stays the same between versions: `check.what`.

    cause: the preparation step that probably went wrong. remedy: what to do. examples: files, folders or lines.
    """

    code: str
    level: Level
    found: str
    expected: str
    cause: str
    remedy: str
    examples: tuple[str, ...] = ()

    @property
    def check(self) -> str:
        return self.code.partition(".")[0]


@dataclass(frozen=True, kw_only=True)
class Check:
    """How one of `CHECKS` ended, with what was looked at."""

    name: str
    level: Level
    found: str
    expected: str = ""


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """All that was found out about a data set.

    root: the folder that was examined. fingerprint: that of the data, None where the reader refuses it.
    pictures: how many pictures the reader uses.
    """

    root: Path
    layout: str
    name: str
    version: str
    fingerprint: str | None
    pictures: int
    checks: tuple[Check, ...]
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether there is no error; warnings do not count."""
        return not self.count(Level.ERROR)

    def count(self, level: Level) -> int:
        """How many findings are of `level`."""
        return sum(finding.level is level for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """The whole diagnosis as JSON values."""
        return {
            "format": _FORMAT,
            "root": str(self.root),
            "layout": self.layout,
            "name": self.name,
            "version": self.version,
            "fingerprint": self.fingerprint,
            "pictures": self.pictures,
            "healthy": self.healthy,
            "errors": self.count(Level.ERROR),
            "warnings": self.count(Level.WARNING),
            "checks": [asdict(check) for check in self.checks],
            "findings": [{**asdict(finding), "examples": list(finding.examples)} for finding in self.findings],
        }


def error(code: str, *, found: str, expected: str, cause: str, remedy: str, examples: Iterable[str] = ()) -> Finding:
    """A finding that makes the data set unfit; the first few examples are kept."""
    return Finding(
        code=code,
        level=Level.ERROR,
        found=found,
        expected=expected,
        cause=cause,
        remedy=remedy,
        examples=few(examples),
    )


def warning(code: str, *, found: str, expected: str, cause: str, remedy: str, examples: Iterable[str] = ()) -> Finding:
    """A finding that changes no result; the first few examples are kept."""
    return Finding(
        code=code,
        level=Level.WARNING,
        found=found,
        expected=expected,
        cause=cause,
        remedy=remedy,
        examples=few(examples),
    )


def few(examples: Iterable[str]) -> tuple[str, ...]:
    """The first examples, and how many more there are."""
    everything = list(examples)
    more = len(everything) - _EXAMPLES
    return (*everything[:_EXAMPLES], *([f"and {more:,} more"] if more > 0 else []))


def spans(numbers: Iterable[int]) -> str:
    """Ascending numbers as text, runs of them as 334-361."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    words = [str(low) if low == high else f"{low}-{high}" for low, high in runs]
    return ", ".join(words[:_SPANS]) + (", ..." if len(words) > _SPANS else "")
