"""List files: missing, of another form, or naming pictures that are not there."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from vireid.data.doctor.findings import Finding, error
from vireid.data.layout import Line, read_identities, read_lines
from vireid.errors import DataError

__all__ = ["Paths", "Resolved", "lines_of", "numbers_of", "resolve", "told"]


@dataclass(frozen=True, eq=False)
class Paths:
    """Paths of pictures, found again when a list writes them otherwise."""

    exact: frozenset[str]

    @cached_property
    def folders(self) -> frozenset[str]:
        """The top folders that hold any."""
        return frozenset(path.partition("/")[0] for path in self.exact)

    @cached_property
    def by_stem(self) -> Mapping[str, str]:
        """Without the ending, and in small letters."""
        return {path[: path.rfind(".")].lower(): path for path in sorted(self.exact)}


@dataclass
class Resolved:
    """Lines of all lists of a set: where they lead, and under which code they are wrong."""

    wrong: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def lead(
        self, name: str, lines: Iterable[Line], paths: Paths, *, folder: str, other: str
    ) -> list[tuple[Line, str]]:
        """The lines of list `name` with the picture that each means; those that mean none are left out.

        folder: where the pictures of this list lie; other: where those of the other modality do.
        """
        found = []
        for line in lines:
            code, path = resolve(line.path, paths, folder=folder, other=other)
            # A folder without any picture is told as a whole.
            if code and (code != "lists.pictures-missing" or folder in paths.folders):
                self.wrong[code].append(f"{name} line {line.number}: {line.path}")
            if path:
                found.append((line, path))
        return found


def resolve(text: str, paths: Paths, *, folder: str, other: str) -> tuple[str | None, str | None]:
    """What is wrong with a listed path (None: nothing), and which picture it means (None: none)."""
    if text in paths.exact:
        return (None, text) if text.startswith(f"{folder}/") else ("lists.swapped", None)
    start = text.rfind(f"{folder}/")
    for candidate in (text[start:] if start > 0 else "", f"{folder}/{text}"):
        if candidate in paths.exact:
            return "lists.path-prefix", candidate
    if text.startswith(f"{folder}/") and (turned := other + text[len(folder) :]) in paths.exact:
        return "lists.folders-swapped", turned
    alike = paths.by_stem.get(text[: text.rfind(".")].lower())
    if alike:
        return "lists.ending", alike
    return ("lists.swapped" if text.startswith(f"{other}/") else "lists.pictures-missing"), None


_WRONG = {
    "lists.path-prefix": (
        "with other folders in front than the data set has",
        "the lists were written for other folders: with an absolute path, the data set's name in front, or none at all",
        "take the lists as published: paths begin at the data set's own folder",
    ),
    "lists.ending": (
        "that differ from the file's name in capitals or in the ending",
        "pictures were converted or renamed after the lists had been made (.JPG or .png instead of .jpg)",
        "take the pictures as published, or rename them back",
    ),
    "lists.swapped": (
        "that are of the other modality than their list",
        "the lists of visible and infrared pictures were swapped or copied over one another",
        "take the lists as published, each under its own name",
    ),
    "lists.folders-swapped": (
        "that lie in the folder of the other modality",
        "the folders of visible and infrared pictures were swapped",
        "put the folders back under their own names (Visible and Thermal, vis and nir)",
    ),
    "lists.pictures-missing": (
        "that do not exist",
        "pictures were not unpacked, or the lists belong to another version or another data set",
        "unpack the pictures again; if most lines are wrong, the lists are: take them from the set's own download",
    ),
}


def told(resolved: Resolved) -> Iterator[Finding]:
    """The findings about listed paths."""
    for code, (what, cause, remedy) in _WRONG.items():
        lines = resolved.wrong.get(code, [])
        if lines:
            yield error(
                code,
                found=f"lines that name pictures {what}: {len(lines):,}",
                expected="none",
                cause=cause,
                remedy=remedy,
                examples=lines,
            )


def lines_of(root: Path, name: str, findings: list[Finding]) -> list[Line]:
    """The lines of a list file; a finding and nothing if it cannot be read."""
    if not (root / name).is_file():
        return []  # missing lists are told together
    try:
        return read_lines(root / name)
    except DataError as problem:
        findings.append(_unreadable(name, problem))
        return []


def numbers_of(root: Path, name: str, findings: list[Finding], *, may_be_empty: bool = False) -> list[int]:
    """The identities in a list file; a finding and nothing if it cannot be read."""
    if not (root / name).is_file():
        return []
    try:
        identities = read_identities(root / name, may_be_empty=may_be_empty)
    except DataError as problem:
        findings.append(_unreadable(name, problem))
        return []
    lines = [line for line in (root / name).read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    if len(lines) > 1:
        findings.append(
            error(
                "lists.one-per-line",
                found=f"{len(lines):,} lines in {name}, of which the first holds {len(identities)} identities",
                expected="all identities in the first line, with commas between",
                cause="the list was written anew with one identity a line; every reader takes the first line only",
                remedy=f"restore {name} from the data set's download",
            )
        )
        return sorted({int(word) for line in lines for word in line.replace(",", " ").split() if word.isdecimal()})
    return identities


def _unreadable(name: str, problem: DataError) -> Finding:
    return error(
        "lists.unreadable",
        found=str(problem),
        expected=f"{name} as published",
        cause="the list was edited, cut off, or saved by a program that changes its form",
        remedy=f"restore {name} from the data set's download",
    )
