"""Vectors at one byte a value: what a large gallery is scanned by, with bounds that leave the answer exact.

A vector is turned (random signs and a Walsh-Hadamard transform, which spread it evenly over its values and keep inner
products) and rounded to 255 steps of its own size. The inner product of a query with what rounding lost is at most the
product of their lengths (Cauchy-Schwarz), and the length of what was lost is kept. So each score is known between two
bounds, and an entry whose upper bound is below k lower bounds is not among the k best.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vireid.clustering.neighbours import by_rows
from vireid.errors import GalleryError
from vireid.files import write_json

__all__ = ["Codes", "CodesFile", "possible"]

_AT_ONCE = 1 << 14  # rows of a thread's turn
_BLOCK, _BLOCKS = 256, 4  # entries of which the best lower bound stands for all; blocks for each entry wanted
_LEAP = 4  # one in so many must be wanted for all to be scanned
_ROUNDING = 1e-5  # by how much, relative to the vectors' lengths, a sum of floats may be wrong
_ABOUT = "codes.json"


@dataclass(frozen=True)
class Codes:
    """N vectors of D values. values: (N, D) int8. scales, errors: (N,) float32. positions: (N,) int64 in the table."""

    values: NDArray[np.int8]
    scales: NDArray[np.float32]
    errors: NDArray[np.float32]
    positions: NDArray[np.int64]

    @classmethod
    def of(cls, lift: NDArray[np.float32], positions: NDArray[np.int64]) -> Codes:
        """The codes of vectors (N, D)."""
        from vireid.gallery.compiled import encode

        count, width = lift.shape
        codes = cls(
            np.empty((count, width), np.int8), np.empty(count, np.float32), np.empty(count, np.float32), positions
        )
        lift, signs = np.ascontiguousarray(lift), _signs(width)
        by_rows(
            lambda start, stop: encode(lift, signs, _ROUNDING, start, stop, codes.values, codes.scales, codes.errors),
            count,
            at_once=_AT_ONCE,
        )
        return codes

    def __len__(self) -> int:
        return len(self.positions)


def possible(
    query: NDArray[np.float32], parts: Sequence[tuple[Codes, NDArray[np.bool_] | None]], k: int
) -> list[NDArray[np.integer[Any]]]:
    """For each part the rows that may be among the k best of all for a query (D,), ties included.

    A part is codes with which of them (N,) are wanted, None for all.
    """
    from vireid.gallery.compiled import turn

    chosen = [_chosen(len(codes), wanted) for codes, wanted in parts]
    total = sum(len(codes) if wanted is None else int(np.count_nonzero(wanted)) for codes, wanted in parts)
    if total <= k:
        return [np.flatnonzero(np.ones(len(c), np.bool_) if wanted is None else wanted) for c, wanted in parts]
    block = _BLOCK
    while block > 1 and total < _BLOCKS * k * block:
        block //= 2
    turned = np.array(query, np.float32)
    turn(turned, _signs(len(turned)))
    length = float(np.linalg.norm(query)) * (1 + _ROUNDING)
    most, least = zip(
        *(_bounds(codes, turned, length, *which, block=block) for (codes, _), which in zip(parts, chosen, strict=True)),
        strict=True,
    )
    lower = np.concatenate(least)
    lowest = np.partition(lower, len(lower) - k)[len(lower) - k]
    found = [np.flatnonzero(upper >= lowest) for upper in most]
    return [near if rows is None else rows[near] for near, (rows, _) in zip(found, chosen, strict=True)]


def _chosen(count: int, wanted: NDArray[np.bool_] | None) -> tuple[NDArray[np.int32] | None, NDArray[np.bool_] | None]:
    """Rows to scan by number where few are wanted, else what is wanted of all; None where that says nothing."""
    if wanted is not None and _LEAP * np.count_nonzero(wanted) < count:
        return np.flatnonzero(wanted).astype(np.int32), None
    return None, wanted


def _bounds(
    codes: Codes,
    query: NDArray[np.float32],
    length: float,
    rows: NDArray[np.int32] | None,
    wanted: NDArray[np.bool_] | None,
    *,
    block: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The upper bound of every entry that is scanned, and the best lower bound of every block."""
    from vireid.gallery.compiled import bounds

    count = len(codes) if rows is None else len(rows)
    picked = np.empty(0, np.int32) if rows is None else rows
    mask = np.empty(0, np.bool_) if wanted is None else wanted
    most, least = np.empty(count, np.float32), np.full(-(-count // block), -np.inf, np.float32)
    held = codes.values, codes.scales, codes.errors
    by_rows(
        lambda start, stop: bounds(*held, query, length, picked, mask, block, start, stop, most, least),
        count,
        at_once=_AT_ONCE,
    )
    return most, least


class CodesFile:
    """Codes in a folder, appended to and mapped into memory. What the folder holds can be made again from the table."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self) -> Codes | None:
        """The codes, as pages that the system reads when they are looked at; None where there are none.

        Raises:
            GalleryError: the files are damaged.
        """
        try:
            about = json.loads((self.folder / _ABOUT).read_text(encoding="utf-8"))
            count, width = int(about["count"]), int(about["width"])
            if not count:
                return None
            values, numbers, positions = (
                np.memmap(self.folder / name, dtype, "c", shape=shape)
                for name, (dtype, shape) in _layout(count, width).items()
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise GalleryError(
                f"{self.folder} is damaged ({error}); remove it and run `vireid gallery compact`"
            ) from error
        scales, errors = (np.ascontiguousarray(column) for column in np.asarray(numbers).T)
        return Codes(np.asarray(values), scales, errors, np.asarray(positions))

    def append(self, parts: Iterable[Codes]) -> None:
        """Add codes behind those that are there; they count, durably, when all are written."""
        before = self.read()
        count, width = (0, 0) if before is None else before.values.shape
        self.folder.mkdir(parents=True, exist_ok=True)
        for part in parts:
            rows = (part.values, np.stack([part.scales, part.errors], axis=1), part.positions)
            width = part.values.shape[1]
            for (name, (dtype, shape)), array in zip(_layout(count, width).items(), rows, strict=True):
                with (self.folder / name).open("ab") as stream:
                    stream.truncate(int(np.prod(shape)) * np.dtype(dtype).itemsize)  # what a killed writer left
                    stream.write(np.ascontiguousarray(array, dtype).tobytes())
                    stream.flush()
                    os.fsync(stream.fileno())
            count += len(part)
        write_json(self.folder / _ABOUT, {"count": count, "width": width})

    def drop(self) -> None:
        """Remove them; nobody takes for whole what a killed process left."""
        (self.folder / _ABOUT).unlink(missing_ok=True)
        if self.folder.exists():
            shutil.rmtree(self.folder)


def _layout(count: int, width: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Files with the type and shape of what they hold."""
    return {
        "values.bin": ("<i1", (count, width)),
        "numbers.bin": ("<f4", (count, 2)),
        "positions.bin": ("<i8", (count,)),
    }


def _signs(width: int) -> NDArray[np.float32]:
    """(D,) of 1 and -1, the same for ever: files hold what they turned."""
    bits = np.unpackbits(np.frombuffer(hashlib.shake_256(b"vireid codes").digest(-(-width // 8)), np.uint8))
    return (1 - 2 * bits[:width].astype(np.float32)).astype(np.float32)
