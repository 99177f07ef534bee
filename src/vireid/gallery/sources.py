"""What is to be indexed, from the forms people have it in: a folder, a list of files, a table."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vireid.data.images import FORMATS, SUFFIXES
from vireid.errors import DataError, UsageError, choose
from vireid.gallery.frames import box_text, parse_box, read_frames
from vireid.gallery.header import Source
from vireid.gallery.store import KEY
from vireid.types import Modality

__all__ = ["Listing", "list_images"]

_RESERVED = (KEY, "rank", "score")
_LISTS = (".csv", ".json", ".txt")
_WHOLE = ("identity", "camera")  # numbers that pandas turns into floats where a cell is empty


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Pictures to index: one mapping each (path, modality, camera, metadata), and how many other files lay there."""

    rows: Sequence[Mapping[str, Any]]
    ignored: Mapping[str, int]
    source: Source | None


def list_images(
    images: Any, *, modality: str | None, camera: int | str | None, besides: Path, frames: Path | None = None
) -> Listing:
    """List what `Gallery.build` was given; `besides` (the gallery's own folder) is not searched.

    Raises:
        UsageError: no modality, an unknown one, or one that is given twice; a table without paths.
        DataError: the folder does not exist or holds no pictures.
    """
    if isinstance(images, str | os.PathLike) and Path(images).suffix.lower() in _LISTS:
        images = read_frames(Path(_absolute(images)), frames=frames)
    elif frames is not None:
        raise UsageError(f"frames={frames} is for lists of pictures ({', '.join(_LISTS)}), not for {images}")
    if isinstance(images, pd.DataFrame):
        return Listing(rows=_rows_of_table(images, modality, camera), ignored={}, source=None)
    if modality is None:
        raise UsageError("say which camera saw these pictures: modality='visible' or modality='infrared'")
    chosen = choose(str(modality), list(Modality), "modality")
    if not isinstance(images, str | os.PathLike):
        paths, ignored, source = [_absolute(path) for path in images], Counter[str](), None
    else:
        folder = Path(_absolute(images))
        paths, ignored = _walk(folder, besides)
        source = Source(folder=str(folder), modality=chosen, camera=camera)
    if not paths:
        others = f" ({sum(ignored.values())} other files)" if ignored else ""
        raise DataError(f"{images if source else 'the list'} holds no picture{others}; read are {', '.join(FORMATS)}")
    return Listing(
        rows=[{"path": path, "modality": chosen, "camera": camera} for path in paths],
        ignored=dict(ignored),
        source=source,
    )


def _walk(folder: Path, besides: Path) -> tuple[list[str], Counter[str]]:
    """Absolute paths of all pictures below `folder`, sorted, and the number of other files by suffix."""
    if folder.is_file():
        return [str(folder)], Counter()
    if not folder.is_dir():
        raise DataError(f"{folder} does not exist; give a folder of pictures")
    paths: list[str] = []
    ignored: Counter[str] = Counter()
    for place, names in _folders(folder, besides.absolute()):
        for name in names:
            suffix = Path(name).suffix.lower()
            if suffix in SUFFIXES and not name.startswith("."):
                paths.append(os.path.join(place, name))  # noqa: PTH118 (a Path object for each of a million files)
            else:
                ignored[suffix or name] += 1
    return sorted(paths), ignored


def _folders(folder: Path, besides: Path) -> Iterator[tuple[str, list[str]]]:
    """Folders below `folder` with their file names; links are followed, each folder is entered once."""
    seen = set()
    for place, below, names in os.walk(folder, followlinks=True):
        status = os.stat(place)  # noqa: PTH116
        identity = (status.st_dev, status.st_ino)
        if identity in seen or Path(place) == besides:
            below.clear()
            continue
        seen.add(identity)
        below[:] = sorted(name for name in below if not name.startswith("."))
        yield place, names


def _rows_of_table(table: pd.DataFrame, modality: str | None, camera: int | str | None) -> list[dict[str, Any]]:
    if "path" not in table.columns:
        raise UsageError(f"the table of pictures needs a column 'path' (it has: {', '.join(map(str, table.columns))})")
    for name, value in (("modality", modality), ("camera", camera)):
        if value is not None and name in table.columns:
            raise UsageError(f"{name} is given twice, as a column of the table and as {value!r}; drop one of them")
    if modality is None and "modality" not in table.columns:
        raise UsageError("the table of pictures needs a column 'modality' (visible or infrared)")
    wrong = [str(name) for name in table.columns if not isinstance(name, str) or name in _RESERVED]
    if wrong:
        raise UsageError(f"rename the columns {', '.join(wrong)}; the gallery uses these names itself")
    if table.empty:
        raise DataError("the table of pictures has no rows")
    given = {"modality": modality} if modality is not None else {}
    columns = {str(name): [_plain(value, str(name)) for value in table[name].tolist()] for name in table.columns}
    rows = [
        {"camera": camera, **given, **dict(zip(columns, cells, strict=True))}
        for cells in zip(*columns.values(), strict=True)
    ]
    for number, row in enumerate(rows):
        if not isinstance(row["path"], str) or not row["path"]:
            raise UsageError(f"row {number} of the table has no path")
        row["modality"] = choose(str(row["modality"]), list(Modality), f"modality of {row['path']}")
        row["path"] = _absolute(row["path"])
        if row.get("box") is not None:
            row["box"] = box_text(parse_box(str(row["box"])))
    return rows


def _plain(value: Any, column: str) -> Any:
    """A cell as JSON can hold it; None where nothing is known.

    Raises:
        UsageError: the cell is something else than text, a number, a truth value or a time.
    """
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, float) and column in _WHOLE and value.is_integer():
        return int(value)
    if isinstance(value, float) and not np.isfinite(value):
        raise UsageError(f"column {column!r} of the table holds {value}, which is no number one can filter by")
    if isinstance(value, str | int | float):
        return str(value) if isinstance(value, Modality) else value
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise UsageError(f"column {column!r} of the table holds {value!r}; text, numbers and times can be kept")


def _absolute(path: str | os.PathLike[str]) -> str:
    return os.path.abspath(path)  # noqa: PTH100 (normalises '..' without touching the file system)
