"""Picture files read, hashed and decoded ahead of the network that waits for them."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vireid.data.ahead import ahead
from vireid.data.images import read_image, resize
from vireid.errors import ImageError

__all__ = ["ReadPicture", "decode", "read_ahead"]


@dataclass(frozen=True, kw_only=True)
class ReadPicture:
    """A picture as far as it was needed: `pixels` is None where its content was known already.

    pixels: (H, W, 3) uint8 in the network's size. problem: why the file cannot be used, None if it can.
    """

    row: Mapping[str, Any]
    sha256: str = ""
    pixels: NDArray[np.uint8] | None = None
    problem: str | None = None


def read_ahead(
    rows: Sequence[Mapping[str, Any]], *, known: Set[str], size: tuple[int, int], depth: int = 128
) -> Generator[ReadPicture]:
    """The pictures of `rows` in order, read up to `depth` ahead so that memory stays bounded."""
    return ahead(lambda row: _read(row, known, size), rows, depth=depth)


def decode(data: bytes, size: tuple[int, int]) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 of `size` = (height, width).

    Raises:
        ImageError: the bytes are no readable picture.
    """
    return resize(read_image(data), size)


def _read(row: Mapping[str, Any], known: Set[str], size: tuple[int, int]) -> ReadPicture:
    try:
        data = Path(row["path"]).read_bytes()
    except OSError as error:
        return ReadPicture(row=row, problem=error.strerror or str(error))
    digest = hashlib.sha256(data).hexdigest()
    if digest in known:
        return ReadPicture(row=row, sha256=digest)
    try:
        return ReadPicture(row=row, sha256=digest, pixels=decode(data, size))
    except ImageError as error:
        # The reader names bytes by their number; here the file's path stands beside the reason.
        return ReadPicture(row=row, problem=str(error).removeprefix(f"<{len(data)} bytes>: "))
