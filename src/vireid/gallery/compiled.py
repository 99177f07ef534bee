"""The loops over a large gallery's codes, compiled. Imported when they are used: numba takes half a second.

Each works on rows start..stop, so that threads can share them; what it writes does not depend on how they are shared.
"""

import numpy as np
from numpy.typing import NDArray

from vireid.clustering.compiled import compiled

__all__ = ["bounds", "encode", "turn"]

Floats = NDArray[np.float32]


@compiled
def turn(row: Floats, signs: Floats) -> None:
    """Turn a vector in place: signs, then Walsh-Hadamard on blocks of powers of two that fill its length."""
    row *= signs
    begin = 0
    while begin < len(row):
        size = 1
        while 2 * size <= len(row) - begin:
            size *= 2
        half = 1
        while half < size:
            for first in range(begin, begin + size, 2 * half):
                for place in range(first, first + half):
                    one, other = row[place], row[place + half]
                    row[place], row[place + half] = one + other, one - other
            half *= 2
        norm = np.float32(1.0 / np.sqrt(size))
        for place in range(begin, begin + size):
            row[place] *= norm
        begin += size


@compiled
def encode(
    lift: Floats,
    signs: Floats,
    slack: float,
    start: int,
    stop: int,
    values: NDArray[np.int8],
    scales: Floats,
    errors: Floats,
) -> None:
    """Vectors turned and rounded to 255 steps; `errors` is the length of what rounding loses, and `slack` of it all."""
    for place in range(start, stop):
        row = lift[place].copy()
        turn(row, signs)
        scale = np.float32(np.abs(row).max() / 127)
        lost, length = 0.0, 0.0
        for column in range(len(row)):
            value = np.rint(row[column] / scale) if scale > 0 else 0.0
            values[place, column] = np.int8(value)
            lost += (row[column] - scale * value) ** 2
            length += row[column] ** 2
        scales[place] = scale
        errors[place] = np.sqrt(lost) + slack * np.sqrt(length)


@compiled
def bounds(
    values: NDArray[np.int8],
    scales: Floats,
    errors: Floats,
    query: Floats,
    length: float,
    rows: NDArray[np.int32],
    wanted: NDArray[np.bool_],
    block: int,
    start: int,
    stop: int,
    most: Floats,
    least: Floats,
) -> None:
    """What the score of each of `rows` (none: all) is at most, and for each `block` of them the best is at least.

    Rows that are not `wanted` (none: all are) are scored and left out: to read on is faster than to leap.
    """
    for place in range(start, stop):
        row = rows[place] if len(rows) else place
        score = np.float32(0.0)
        for column in range(len(query)):
            score += np.float32(values[row, column]) * query[column]
        if len(wanted) and not wanted[row]:
            most[place] = -np.inf
            continue
        score *= scales[row]
        error = np.float32(errors[row] * length)
        most[place] = score + error
        least[place // block] = max(least[place // block], score - error)
