"""Folders and list files of the official layouts, read fast and with errors that say what lies there instead."""

import itertools
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from vireid.data.images import SUFFIXES
from vireid.errors import DataError

__all__ = [
    "Line",
    "detect_layout",
    "is_picture",
    "list_cameras",
    "list_people",
    "list_pictures",
    "read_identities",
    "read_lines",
    "require_layout",
]

_NAMES = {"sysu": "SYSU-MM01", "regdb": "RegDB", "llcm": "LLCM", "manifest": "a manifest"}
_MARKS = {
    "sysu": ("exp", "cam1|cam2|cam3|cam4|cam5|cam6"),
    "regdb": ("Visible", "Thermal"),
    "llcm": ("vis|test_vis", "nir|test_nir"),
    "manifest": ("manifest.csv|manifest.parquet",),
}
_CAMERA = re.compile(r"cam(\d+)")


class Line(NamedTuple):
    """One line of a list file: number (from 1), path relative to the data set's root, and label."""

    number: int
    path: str
    label: int


def detect_layout(folder: Path) -> str | None:
    """The kind of data set that `folder` looks like, None if like none."""
    for kind, marks in _MARKS.items():
        if all(_has(folder, mark) for mark in marks):
            return kind
    return None


def require_layout(root: Path, kind: str, needed: Iterable[str]) -> None:
    """Refuse a root that lacks one of the `needed` files or folders (`a|b`: either will do).

    Raises:
        DataError: says what is missing and, if another data set lies in, above or below `root`, where and which.
    """
    if not root.is_dir():
        what = "is a file, not a folder" if root.exists() else "does not exist"
        raise DataError(f"{root} {what}; give the folder that holds {_NAMES[kind]}")
    missing = [names.replace("|", " or ") for names in needed if not _has(root, names)]
    if not missing:
        return
    found = detect_layout(root)
    if found is not None and found != kind:
        raise DataError(f"{root} holds the layout of {_NAMES[found]}, not of {_NAMES[kind]}; open it as {found!r}")
    for near in (root.parent, *sorted(path for path in root.iterdir() if path.is_dir())):
        if detect_layout(near) == kind:
            raise DataError(f"{root} lacks {', '.join(missing)}; {_NAMES[kind]} lies in {near}: give that folder")
    raise DataError(f"{root} lacks {', '.join(missing)}, which {_NAMES[kind]} has; is it unpacked completely?")


def list_cameras(folder: Path, allowed: Iterable[int]) -> list[int]:
    """Numbers of the `cam<number>` folders in `folder`, ascending.

    Raises:
        DataError: a camera that is not `allowed`, as derived data sets have.
    """
    numbers = sorted(int(match[1]) for name in _folders(folder) if (match := _CAMERA.fullmatch(name)))
    known = sorted(allowed)
    for number in numbers:
        if number not in known:
            raise DataError(
                f"{folder / f'cam{number}'}: unknown camera {number}; this data set has the cameras "
                f"{', '.join(map(str, known))}. A derived copy gives results that cannot be compared: remove the folder"
            )
    return numbers


def list_people(folder: Path) -> dict[int, str]:
    """Names of the folders in `folder` that are numbers, by that number, ascending; {} if there is no such folder.

    Raises:
        DataError: two folders of the same number, such as 1 and 0001.
    """
    numbered = sorted((int(name), name) for name in _folders(folder) if name.isdecimal())
    for (number, name), (following, other) in itertools.pairwise(numbered):
        if number == following:
            raise DataError(f"{folder}: the folders {name} and {other} both stand for identity {number}; merge them")
    return dict(numbered)


def is_picture(name: str) -> bool:
    """Whether a file of this name counts as a picture; hidden files, as macOS leaves them, do not."""
    return name[name.rfind(".") :].lower() in SUFFIXES and not name.startswith(".")


def list_pictures(folder: Path) -> list[str]:
    """Names of the pictures in `folder`, sorted as strings; [] if there is no such folder."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 (thousands of folders: an iterator of Path objects is several times slower)
    except FileNotFoundError:
        return []
    return sorted(name for name in names if is_picture(name))


def read_identities(path: Path, *, may_be_empty: bool = False) -> list[int]:
    """The comma-separated identities in the first line of `path`, ascending.

    Raises:
        DataError: missing file, empty list, a word that is no number, or an identity listed twice.
    """
    words = [word.strip() for word in _text(path).partition("\n")[0].split(",")]
    words = [word for word in words if word]
    if not words and not may_be_empty:
        raise DataError(f"{path}: lists no identity; its first line must hold numbers with commas between them")
    strange = [word for word in words if not word.isdecimal()]
    if strange:
        raise DataError(f"{path}: {strange[0]!r} is no identity; the first line must hold numbers with commas between")
    identities = sorted(int(word) for word in words)
    twice = {identity for identity, following in itertools.pairwise(identities) if identity == following}
    if twice:
        raise DataError(f"{path}: lists identity {min(twice)} twice")
    return identities


def read_lines(path: Path) -> list[Line]:
    """The lines `<path> <label>` of a list file; empty lines are skipped.

    Raises:
        DataError: missing file, no line, a line of another form, or a path listed twice.
    """
    lines = []
    first: dict[str, int] = {}
    for number, text in enumerate(_text(path).splitlines(), start=1):
        if not text.strip():
            continue
        words = text.rsplit(maxsplit=1)
        if len(words) != 2 or not words[1].isdecimal():
            raise DataError(f"{path} line {number}: {text!r} is not of the form 'path label'")
        name = words[0].strip().replace("\\", "/").removeprefix("./")
        if name in first:
            raise DataError(f"{path} line {number}: {name} is already listed in line {first[name]}")
        first[name] = number
        lines.append(Line(number, name, int(words[1])))
    if not lines:
        raise DataError(f"{path}: lists no picture")
    return lines


def _has(folder: Path, names: str) -> bool:
    return any((folder / name).exists() for name in names.split("|"))


def _folders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.is_dir()]
    except FileNotFoundError:
        return []


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; it is part of the data set's download") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not text ({error.reason})") from error
