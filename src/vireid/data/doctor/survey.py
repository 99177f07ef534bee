"""What all three layouts need when their lists and pictures are brought together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vireid.data.doctor.findings import Finding, error, spans
from vireid.data.table import Picture

__all__ = ["Survey", "missing_lists", "shared"]


@dataclass(kw_only=True)
class Survey:
    """pictures: those that a reader uses, as far as lists and folders allow. identities: listed ones by split.

    lists: the lists in words.
    """

    pictures: list[Picture] = field(default_factory=list)
    identities: dict[str, list[int]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    lists: str = ""


def missing_lists(root: Path, names: Sequence[str]) -> list[Finding]:
    """A finding if some of the list files are not there; a folder that is missing as a whole is told elsewhere."""
    absent = [name for name in names if not (root / name).is_file() and (root / name).parent.is_dir()]
    if not absent or not any((root / name).parent.iterdir() for name in absent):
        return []
    matlab = [name for name in absent if (root / name).with_suffix(".mat").is_file()]
    cause = (
        "only the .mat lists were copied; the readers take the .txt lists that come with them"
        if matlab
        else "the lists were left out when the data set was copied, or are those of another data set"
    )
    return [
        error(
            "lists.missing",
            found=f"no {', '.join(absent[:4])}{', ...' if len(absent) > 4 else ''}",
            expected=f"{len(names)} lists",
            cause=cause,
            remedy="copy them from the data set's own download",
            examples=absent,
        )
    ]


def shared(lists: Mapping[str, Iterable[int]]) -> list[Finding]:
    """A finding for each two of the named lists that share identities."""
    names = list(lists)
    return [
        _shared(one, other, both)
        for place, one in enumerate(names)
        for other in names[place + 1 :]
        if (both := set(lists[one]) & set(lists[other]))
    ]


def _shared(one: str, other: str, both: set[int]) -> Finding:
    joined = "train" in one and "val" in other
    return error(
        "identities.shared",
        found=f"{len(both):,} identities are in both {one} and {other} ({spans(both)})",
        expected="none",
        cause=(
            "the validation identities were added to the training list by hand; the reader joins both by itself"
            if joined
            else "the lists of different splits or versions were mixed: a model would be tested on people it has seen"
        ),
        remedy="restore both lists from the data set's own download",
    )
