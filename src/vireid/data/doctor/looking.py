"""Every picture opened once, by all cores: whether it can be read, its size, its colour and its content's digest."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vireid.data.ahead import ahead
from vireid.data.images import read_image
from vireid.errors import ImageError
from vireid.types import Track

__all__ = ["GREY", "Look", "look_at"]

GREY = 2.0
"""The largest difference between two channels, of 255, that a picture without colour shows."""

_POINTS = (32, 16)  # of a grid over the picture, at which its colour is measured
_CHUNK = 16  # pictures per turn of a thread
_AHEAD = 4  # turns per thread that may wait for the one who collects
_ZEROS = b"\0" * 16
_JPEG_BEGINS, _JPEG_ENDS = b"\xff\xd8", b"\xff\xd9"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one picture is like; only `problem` counts where that is set.

    spread: the largest difference between two channels at any point of a grid, 0 to 255. colour: how much the
    differences between channels vary over the picture, 0 to 255: a tint of the whole picture does not count.
    digest: of the file's bytes, for finding equal ones.
    """

    problem: str | None = None
    height: int = 0
    width: int = 0
    spread: float = 0.0
    colour: float = 0.0
    digest: bytes = b""


def look_at(root: Path, paths: Sequence[str], *, threads: int | None, track: Track) -> list[Look]:
    """Look at the pictures at `paths` below `root`, in their order.

    Decoding leaves Python's lock, so threads use all cores (None: as many threads as this process may use). Pixels are
    dropped as soon as they were looked at: memory grows with the number of pictures by a few words each.
    """
    number = threads or _cores()
    turns = ahead(
        lambda turn: [_look(root, path) for path in turn], _turns(paths), depth=_AHEAD * number, threads=number
    )
    return list(track(chain.from_iterable(turns), description="read pictures", total=len(paths)))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _turns(paths: Sequence[str]) -> Iterator[Sequence[str]]:
    return (paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK))


def _look(root: Path, path: str) -> Look:
    try:
        data = (root / path).read_bytes()
        pixels = read_image(data)
    except OSError as error:
        return Look(problem=error.strerror or str(error))
    except ImageError as error:
        # The reader names bytes by their number; here the file's path stands beside the reason.
        return Look(problem=str(error).partition("bytes>: ")[2] if data else "no bytes")
    if data.startswith(_JPEG_BEGINS) and data.endswith(_ZEROS) and not data.rstrip(b"\0").endswith(_JPEG_ENDS):
        # Decoders may fill in the rest without a word.
        return Look(problem="ends in zeros: room was made for the file and never filled")
    height, width, _ = pixels.shape
    spread, colour = _colour(pixels)
    digest = hashlib.blake2b(data, digest_size=16).digest()
    return Look(height=height, width=width, spread=spread, colour=colour, digest=digest)


def _colour(pixels: NDArray[np.uint8]) -> tuple[float, float]:
    rows, columns = (max(1, size // points) for size, points in zip(pixels.shape, _POINTS, strict=False))
    grid = pixels[::rows, ::columns].reshape(-1, 3).astype(np.int16)
    differences = grid[:, (0, 2)] - grid[:, (1,)]
    spread = max(float(np.abs(differences).max()), float(np.abs(grid[:, 0] - grid[:, 2]).max()))
    return spread, float(differences.std(axis=0).max())
