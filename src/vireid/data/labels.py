"""Labels in list files: re-numbered per file, so they only serve to check that lists belong together."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from vireid.data.layout import Line
from vireid.errors import DataError

__all__ = ["label_identities", "refuse_unequal_labels"]


def label_identities(path: Path, lines: Iterable[Line], identities: Iterable[int]) -> dict[int, int]:
    """The identity of every label in the list `path`; `identities` are those of the lines' pictures.

    Raises:
        DataError: a label that stands for two identities, or an identity with two labels.
    """
    identity_of: dict[int, int] = {}
    label_of: dict[int, int] = {}
    for line, identity in zip(lines, identities, strict=True):
        if identity_of.setdefault(line.label, identity) != identity:
            raise DataError(
                f"{path} line {line.number}: label {line.label} stands for identity {identity} here "
                f"and for {identity_of[line.label]} above"
            )
        if label_of.setdefault(identity, line.label) != line.label:
            raise DataError(
                f"{path} line {line.number}: identity {identity} has the label {line.label} here "
                f"and {label_of[identity]} above"
            )
    return identity_of


def refuse_unequal_labels(one: tuple[Path, Mapping[int, int]], other: tuple[Path, Mapping[int, int]]) -> None:
    """Refuse a visible and an infrared list, each with the identity of every label, that do not agree.

    Raises:
        DataError: names the first label that differs.
    """
    (path, identity_of), (other_path, other_identity_of) = one, other
    for label in sorted({*identity_of, *other_identity_of}):
        identity, other_identity = identity_of.get(label), other_identity_of.get(label)
        if identity != other_identity:
            raise DataError(
                f"label {label} is {_words(identity)} in {path} but {_words(other_identity)} in {other_path}; "
                "the two lists do not belong together"
            )


def _words(identity: int | None) -> str:
    return "missing" if identity is None else f"identity {identity}"
