"""Which data set lies where: by the folders that are there, even when some are missing or misplaced."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vireid.data.counts import EXPECTED_FILE, read_expected
from vireid.data.doctor.findings import Finding, error
from vireid.data.llcm import Llcm
from vireid.data.regdb import Regdb
from vireid.data.sysu import Sysu
from vireid.errors import DataError, UsageError, choose

__all__ = ["LAYOUTS", "NAMES", "NEEDED", "Place", "recognise"]

NAMES = {dataset.kind: dataset.official_name for dataset in (Sysu, Regdb, Llcm)}
LAYOUTS = tuple(NAMES)
NEEDED = {
    "sysu": ("cam1", "cam2", "cam3", "cam4", "cam5", "cam6", "exp"),
    "regdb": ("Visible", "Thermal", "idx"),
    "llcm": ("vis", "nir", "test_vis", "test_nir", "idx"),
}
"""The folders of each layout, below its root."""

_TELLING = {"sysu": "exp/test_id.txt", "regdb": "idx/test_visible_1.txt", "llcm": "idx/test_id.txt"}
_SURE = 2  # marks without which a folder is not taken for a data set: `exp` or `idx` alone may be anything
_LOOKED_INTO = 20
_ARCHIVES = {".zip", ".rar", ".7z", ".tar", ".gz", ".tgz"}


@dataclass(frozen=True, kw_only=True)
class Place:
    """A data set of `layout` in `root`; `findings` tells if that is not the folder that was given."""

    layout: str
    root: Path
    findings: tuple[Finding, ...] = ()


def recognise(folder: Path, layout: str | None = None) -> Place:
    """Find out which of the three layouts lies in `folder`, just below it or just above it.

    Raises:
        UsageError: `layout` is none of `LAYOUTS`, or is not given and cannot be told.
        DataError: `folder` does not exist, is empty, or holds none of them, several of them, or a table of pictures.
    """
    allowed = LAYOUTS if layout is None else (choose(layout, LAYOUTS, "layout"),)
    _require_folder(folder)
    whole = _whole(folder, allowed)
    if whole is not None:
        return _found(whole, _scores(whole, allowed, _SURE), given=folder)
    here = _scores(folder, allowed, _SURE if layout is None else 1)
    if here:
        return _found(folder, here, given=folder)
    for places in _below(folder):
        near = {place: scores for place in places if (scores := _scores(place, allowed, _SURE))}
        if len(near) > 1:
            raise DataError(f"{folder} holds several data sets ({', '.join(p.name for p in near)}); give that of one")
        for root, scores in near.items():
            return _found(root, scores, given=folder)
    raise DataError(_nothing(folder, layout))


def _found(root: Path, scores: dict[str, int], *, given: Path) -> Place:
    return Place(layout=_best(root, scores), root=root, findings=() if root == given else (_elsewhere(given, root),))


def _whole(folder: Path, allowed: tuple[str, ...]) -> Path | None:
    """The data set that `folder` is a folder of, such as LLCM for test_vis, whose cameras look like SYSU-MM01's."""
    above = _scores(folder.parent, allowed, _SURE) if os.access(folder.parent, os.R_OK) else {}
    return folder.parent if any(folder.name in NEEDED[layout] for layout in above) else None


def _require_folder(folder: Path) -> None:
    if folder.is_file() and folder.suffix.lower() in _ARCHIVES:
        raise DataError(f"{folder} is an archive; unpack it and give the folder")
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise DataError(f"{folder} {what}; give the folder that holds {', '.join(NAMES.values())}")
    if not any(folder.iterdir()):
        raise DataError(f"{folder} is empty; unpack the data set there, or give the folder that holds it")
    if any((folder / f"manifest.{kind}").is_file() for kind in ("csv", "parquet")):
        raise DataError(
            f"{folder} holds a table of pictures, which is checked whenever it is read: "
            f"vireid data show {folder} --kind manifest"
        )


def _scores(folder: Path, allowed: tuple[str, ...], enough: int) -> dict[str, int]:
    """How many marks of each layout `folder` shows, for those with `enough`; what it states of itself decides."""
    present = {name.lower() for name in os.listdir(folder)}  # noqa: PTH208 (names only)
    scores = {
        layout: sum(name.lower() in present for name in NEEDED[layout]) + (folder / _TELLING[layout]).is_file()
        for layout in allowed
    }
    for layout in allowed:
        if (folder / EXPECTED_FILE).is_file() and _states(folder, layout):
            return {layout: scores[layout]}
    return {layout: score for layout, score in scores.items() if score >= enough}


def _states(folder: Path, layout: str) -> bool:
    try:
        return read_expected(folder, layout) is not None
    except DataError:  # told by the check of the standard
        return False


def _below(folder: Path) -> Iterator[list[Path]]:
    """Folders one level down, then two; a look into the first few is enough, for a set with a folder too many."""
    first = sorted(path for path in folder.iterdir() if path.is_dir())[:_LOOKED_INTO]
    yield first
    yield [deeper for path in first for deeper in sorted(path.iterdir())[:_LOOKED_INTO] if deeper.is_dir()]


def _best(folder: Path, scores: dict[str, int]) -> str:
    top = max(scores.values())
    best = [layout for layout, score in scores.items() if score == top]
    if len(best) > 1:
        names = " or ".join(NAMES[layout] for layout in best)
        raise UsageError(
            f"cannot tell whether {folder} holds {names}; say which with --layout ({', '.join(LAYOUTS)} are known)"
        )
    return best[0]


def _elsewhere(given: Path, root: Path) -> Finding:
    above = root == given.parent
    return error(
        "layout.root",
        found=f"the data set lies in {root}",
        expected=f"in {given}",
        cause="the folder given is part of the data set" if above else "the archive was unpacked one folder too deep",
        remedy=f"give {root} wherever a data set's folder is asked for" + ("" if above else ", or move its content up"),
    )


def _nothing(folder: Path, layout: str | None) -> str:
    known = {name: NEEDED[name] for name in ([layout] if layout else LAYOUTS)}
    wanted = "; ".join(f"{NAMES[name]}: {', '.join(folders)}" for name, folders in known.items())
    there = sorted(path.name for path in folder.iterdir())
    shown = ", ".join(there[:6]) + (", ..." if len(there) > 6 else "")
    others = list(_scores(folder, LAYOUTS, _SURE))
    if layout and others:
        return f"{folder} does not look like {NAMES[layout]} but like {NAMES[others[0]]}: say --layout {others[0]}"
    return f"{folder} looks like no data set that is known ({wanted}); it holds {shown}"
