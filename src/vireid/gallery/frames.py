"""Frames with boxes: which part of which picture shows a person, from the formats that detectors and trackers write."""

from __future__ import annotations

import configparser
import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vireid.errors import DataError, ImageError, UsageError, choose

__all__ = ["Box", "box_text", "crop", "parse_box", "read_frames"]

Box: TypeAlias = tuple[int, int, int, int]
"""Left, top, width, height in pixels; the first pixel is 0."""

_SIDES = ("x", "y", "width", "height")
_PEDESTRIAN = 1  # class of MOT ground truth


def read_frames(file: Path, *, frames: Path | None = None) -> pd.DataFrame:
    """A table for `Gallery.build`: `path`, `box` (`x,y,width,height`) where there is one, and what else the file says.

    Args:
        file: by its suffix, `.csv`: a table with a column `path`, columns `x`, `y`, `width`, `height` in pixels where
            the pictures are whole frames, and any metadata; `.json`: COCO annotations (of the category `person` where
            there is one; `track_id` and `identity` of annotations, `camera` and `time` of images are taken over);
            `.txt`: MOT Challenge detections or ground truth (pedestrians that are to be considered), whose frames lie
            in `../img1` and whose pixels count from 1.
        frames: folder to which paths are relative (default: that of the file; for MOT, `../img1`).

    Raises:
        UsageError: another suffix.
        DataError: the file cannot be read as what its suffix says; names the line or the annotation.
    """
    readers = {".csv": _csv, ".json": _coco, ".txt": _mot}
    reader = readers[choose(file.suffix.lower(), readers, "kind of list of pictures")]
    try:
        rows = list(reader(file, frames))
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} cannot be read as {file.suffix} list of pictures: {error!r}") from error
    if not rows:
        raise DataError(f"{file} names no picture")
    columns = dict.fromkeys(name for row in rows for name in row)
    return pd.DataFrame({name: [row.get(name) for row in rows] for name in columns}, dtype=object)


def parse_box(text: str) -> Box:
    """The box that `x,y,width,height` says.

    Raises:
        UsageError: it is no such text, or the box has no area.
    """
    try:
        left, top, width, height = (round(float(part)) for part in text.split(","))
    except ValueError:
        raise UsageError(f"box {text!r} is not of the form x,y,width,height in pixels") from None
    if width < 1 or height < 1:
        raise UsageError(f"box {text!r} has no area")
    return left, top, width, height


def box_text(box: Box) -> str:
    """Inverse of `parse_box`; it names the part, so there is one spelling of it."""
    return ",".join(map(str, box))


def crop(picture: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    """The part of a picture (H, W, 3) within the box; what reaches beyond the edge is cut off.

    Raises:
        ImageError: the box lies outside.
    """
    left, top, width, height = box
    part = picture[max(0, top) : max(0, top + height), max(0, left) : max(0, left + width)]
    if not part.size:
        raise ImageError(f"box {box} lies outside the frame of {picture.shape[1]} x {picture.shape[0]} pixels")
    return part


def _csv(file: Path, frames: Path | None) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        names = reader.fieldnames or []
        if "path" not in names:
            raise DataError(f"{file} has no column 'path' (it has: {', '.join(names)})")
        boxed = [name for name in _SIDES if name in names]
        if boxed and len(boxed) < len(_SIDES):
            raise DataError(f"{file} has the columns {', '.join(boxed)}; a box needs {', '.join(_SIDES)}")
        for row in reader:
            if None in row or None in row.values():
                raise DataError(f"{file}, line {reader.line_num}: expected {len(names)} cells")
            known: dict[str, Any] = {name: value or None for name, value in row.items() if name not in _SIDES}
            known["path"] = str((frames or file.parent) / row["path"])
            yield known | ({"box": _box([float(row[name]) for name in _SIDES])} if boxed else {})


def _coco(file: Path, frames: Path | None) -> Iterator[dict[str, Any]]:
    held = json.loads(file.read_text(encoding="utf-8"))
    people = {category["id"] for category in held.get("categories", []) if category["name"] == "person"}
    images = {image["id"]: image for image in held["images"]}
    for annotation in held["annotations"]:
        if annotation.get("iscrowd") or (people and annotation.get("category_id") not in people):
            continue
        image = images[annotation["image_id"]]
        yield {
            "path": str((frames or file.parent) / image["file_name"]),
            "box": _box(annotation["bbox"]),
            **_given(image, {"camera": "camera", "time": "time"}),
            **_given(annotation, {"track_id": "track", "identity": "identity"}),
        }


def _mot(file: Path, frames: Path | None) -> Iterator[dict[str, Any]]:
    sequence = file.absolute().parent.parent
    information = configparser.ConfigParser()
    information.read(sequence / "seqinfo.ini", encoding="utf-8")
    suffix = information.get("Sequence", "imExt", fallback=".jpg")
    name = information.get("Sequence", "name", fallback=sequence.name)
    truth = file.stem.startswith("gt")
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        cells = [float(cell) for cell in line.split(",")] if line.strip() else []
        if not cells:
            continue
        if len(cells) < 6:
            raise DataError(f"{file}, line {number}: expected frame, id, x, y, width, height, not {line!r}")
        ignored = truth and len(cells) > 7 and (cells[6] == 0 or cells[7] != _PEDESTRIAN)
        if not ignored:
            frame, track = int(cells[0]), int(cells[1])
            yield {
                "path": str((frames or sequence / "img1") / f"{frame:06d}{suffix}"),
                "box": _box([cells[2] - 1, cells[3] - 1, *cells[4:6]]),
                "frame": frame,
                "track": None if track < 0 else f"{name}/{track}",
            }


def _box(sides: list[float]) -> str:
    left, top, width, height = sides
    return box_text((round(left), round(top), max(1, round(width)), max(1, round(height))))


def _given(held: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {ours: held[theirs] for theirs, ours in names.items() if held.get(theirs) is not None}
