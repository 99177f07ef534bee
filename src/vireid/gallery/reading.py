"""Picture files read, hashed and decoded ahead of the network that waits for them."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping, Sequence, Set
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vireid.data.ahead import ahead
from vireid.data.images import read_image, resize
from vireid.errors import ImageError
from vireid.gallery.frames import crop, parse_box
from vireid.types import Embeddings

__all__ = ["ReadPicture", "read_again", "read_ahead", "read_rows"]


@dataclass(frozen=True, kw_only=True)
class ReadPicture:
    """A picture as far as it was needed: `pixels` is None where its content was known already.

    pixels: (H, W, 3) uint8 in the network's size. embedded: one row, in the place of pixels, where another process has
    embedded them. problem: why the file cannot be used, None if it can.
    """

    row: Mapping[str, Any]
    sha256: str = ""
    pixels: NDArray[np.uint8] | None = None
    embedded: Embeddings[NDArray[Any]] | None = None
    problem: str | None = None


def read_ahead(
    rows: Sequence[Mapping[str, Any]], *, known: Set[str], size: tuple[int, int], depth: int = 128
) -> Generator[ReadPicture]:
    """The pictures of `rows` in order, their files read up to `depth` ahead so that memory stays bounded.

    A frame is read once for all boxes of it that follow each other.
    """
    with closing(ahead(lambda frame: _read(frame, known, size), _frames(rows), depth=depth)) as found:
        for pictures in found:
            yield from pictures


def read_rows(rows: Sequence[Mapping[str, Any]], *, known: Set[str], size: tuple[int, int]) -> Generator[ReadPicture]:
    """As `read_ahead`, each when it is asked for."""
    for frame in _frames(rows):
        yield from _read(frame, known, size)


def _frames(rows: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    return [list(group) for _, group in groupby(rows, key=itemgetter("path"))]


def read_again(row: Mapping[str, Any], size: tuple[int, int]) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 of `size` = (height, width), the box's part where the row has one.

    Raises:
        ImageError: the file is no readable picture.
    """
    return _part(read_image(row["path"]), row, size)


def _read(rows: Sequence[Mapping[str, Any]], known: Set[str], size: tuple[int, int]) -> list[ReadPicture]:
    """The pictures of one file: itself, or the parts that the rows' boxes say."""
    try:
        data = Path(rows[0]["path"]).read_bytes()
    except OSError as error:
        return [ReadPicture(row=row, problem=error.strerror or str(error)) for row in rows]
    digest = hashlib.sha256(data).hexdigest()
    whole: NDArray[np.uint8] | None = None
    pictures = []
    for row in rows:
        key = _key(digest, row)
        if key in known:
            pictures.append(ReadPicture(row=row, sha256=key))
            continue
        try:
            whole = read_image(data) if whole is None else whole
            pictures.append(ReadPicture(row=row, sha256=key, pixels=_part(whole, row, size)))
        except ImageError as error:
            # The reader names bytes by their number; here the file's path stands beside the reason.
            pictures.append(ReadPicture(row=row, problem=str(error).removeprefix(f"<{len(data)} bytes>: ")))
    return pictures


def _key(digest: str, row: Mapping[str, Any]) -> str:
    """A picture's name by its content: that of the file, and the box where it is a part of it."""
    return hashlib.sha256(f"{digest} {row['box']}".encode()).hexdigest() if row.get("box") else digest


def _part(whole: NDArray[np.uint8], row: Mapping[str, Any], size: tuple[int, int]) -> NDArray[np.uint8]:
    return resize(crop(whole, parse_box(row["box"])) if row.get("box") else whole, size)
