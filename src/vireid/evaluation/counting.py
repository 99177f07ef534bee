"""Positions in a ranking by counting, compiled. Imported when something is ranked: numba takes half a second.

A correct picture's position is one plus the number of valid pictures before it: those with a greater score, and those
with an equal score and a smaller gallery index. So nothing is sorted: every row of scores is compared with its few
correct scores, many at once. Loops run over indices and counters keep the width of what is compared, because only
then the compiler uses wide instructions; indices are unsigned where it could not know that they are not negative.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["count_rows"]

IntArray = NDArray[np.int64]
KeyArray = NDArray[np.signedinteger[Any]]
BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
CompiledT = TypeVar("CompiledT", bound=Callable[..., Any])


def _compiled(function: CompiledT) -> CompiledT:
    """Compile at the first call, to run outside the interpreter's lock, and keep the result for later processes."""
    try:
        return cast(CompiledT, njit(nogil=True, cache=True)(function))
    except RuntimeError:  # no folder to keep it in can be written: every process compiles for itself
        return cast(CompiledT, njit(nogil=True)(function))


@_compiled
def _fill_keys(keys: KeyArray, bits: KeyArray, invalid: BoolArray) -> bool:
    """Write whole numbers in the order of the scores; True where a valid score is not a number.

    keys, bits: (G,); bits holds the whole numbers that the scores' bits spell: they rise with positive scores and fall
    with negative ones. invalid: (G,), or empty where all are valid. The least key is left to invalid pictures: it is
    before nothing.
    """
    kind = keys.dtype.type
    most = kind(np.iinfo(keys.dtype).max)
    least, zero, found = kind(~most), kind(0), kind(0)
    infinity = kind(0x7F800000) if keys.itemsize == 4 else kind(0x7FF0000000000000)
    if len(invalid):
        for g in range(len(bits)):
            key = bits[g] if bits[g] > least else zero  # the least spells minus zero
            key = key if key >= zero else kind(key ^ most)
            keys[g] = least if invalid[g] else key
            found = kind(found | ((kind(bits[g] & most) > infinity) & (not invalid[g])))
    else:
        for g in range(len(bits)):
            key = bits[g] if bits[g] > least else zero
            keys[g] = key if key >= zero else kind(key ^ most)
            found = kind(found | (kind(bits[g] & most) > infinity))
    return bool(found != zero)


@_compiled
def _count_before(before: IntArray, keys: KeyArray, columns: IntArray) -> None:
    """Write how many pictures stand before each of `columns` (M,), which rise.

    Four of them share one walk over the keys. Left of its own column a picture gives way to equal keys too, which is
    to be compared with the next smaller key: so the walk has five stretches.
    """
    kind = keys.dtype.type
    last = len(columns) - 1
    for j in range(0, len(columns), 4):
        a, b, c, d = columns[j], columns[min(j + 1, last)], columns[min(j + 2, last)], columns[min(j + 3, last)]
        key_a, key_b, key_c, key_d = kind(keys[a] - 1), kind(keys[b] - 1), kind(keys[c] - 1), kind(keys[d] - 1)
        of_a = of_b = of_c = of_d = kind(0)
        start, stop = 0, a
        for stretch in range(5):
            part = keys[start:stop]
            for g in range(len(part)):
                key = part[g]
                of_a = kind(of_a + (key > key_a))
                of_b = kind(of_b + (key > key_b))
                of_c = kind(of_c + (key > key_c))
                of_d = kind(of_d + (key > key_d))
            start = stop
            if stretch == 0:
                key_a, stop = keys[a], b
            elif stretch == 1:
                key_b, stop = keys[b], c
            elif stretch == 2:
                key_c, stop = keys[c], d
            else:
                key_d, stop = keys[d], len(keys)
        before[j], before[min(j + 1, last)], before[min(j + 2, last)], before[min(j + 3, last)] = of_a, of_b, of_c, of_d


@_compiled
def _sort(values: IntArray) -> None:
    """Put a few values in rising order; the library's sort takes longer, and much longer to compile."""
    for i in range(1, len(values)):
        value, j = values[i], i
        while j > 0 and values[j - 1] > value:
            values[j] = values[j - 1]
            j -= 1
        values[j] = value


@_compiled
def _identities_before(keys: KeyArray, column: int, owner: IntArray, seen: IntArray, mark: int, found: IntArray) -> int:
    """Number of identities with a picture before `column`. owner: (G,); seen: (I,), holds `mark` nowhere yet."""
    key = keys[column]
    count = np.uint64(0)
    part, owners = keys[:column], owner[:column]
    for g in range(len(part)):
        found[count] = owners[g]  # overwritten unless counted: no branch to mispredict
        count = np.uint64(count + np.uint64(part[g] >= key))
    part, owners = keys[column:], owner[column:]
    for g in range(len(part)):
        found[count] = owners[g]
        count = np.uint64(count + np.uint64(part[g] > key))
    identities = 0
    for i in range(np.int64(count)):
        identities += seen[found[i]] != mark
        seen[found[i]] = mark
    return identities


@_compiled
def count_rows(
    bits: KeyArray,
    invalid: BoolArray,
    own: IntArray,
    members: IntArray,
    starts: IntArray,
    owner: IntArray,
    by_identity: bool,
    ap: FloatArray,
    inp: FloatArray,
    first: IntArray,
) -> bool:
    """Write AP and INP (not-a-number without a match) and the position that the CMC counts (0 without) of every row.

    bits: (Q, G) scores, see `_fill_keys`. invalid: (Q, G), or (Q, 0) where all pairs are valid. own: (Q,) identity of
    the query as a place in `starts` (I + 1,), -1 for none; its pictures are members[starts[i] : starts[i + 1]], rising.
    owner: (G,) identity of every picture. Returns whether a valid score is not a number.
    """
    size = bits.shape[1]
    keys, found = np.empty(size, bits.dtype), np.empty(size + 1, np.int64)
    seen = np.full(len(starts), -1, np.int64)
    broken = False
    for q in range(len(bits)):
        broken |= _fill_keys(keys, bits[q], invalid[q])
        ap[q], inp[q], first[q] = np.nan, np.nan, 0
        if own[q] < 0:
            continue
        columns = members[starts[own[q]] : starts[own[q] + 1]]
        if invalid.shape[1]:
            columns = columns[~invalid[q][columns]]
        if len(columns) == 0:
            continue
        before = np.empty(len(columns), np.int64)
        _count_before(before, keys, columns)
        best = np.argmin(before)
        first[q] = before[best] + 1
        if by_identity and before[best] > 1:  # before that, no identity can stand twice
            first[q] = 1 + _identities_before(keys, columns[best], owner, seen, q, found)
        _sort(before)
        precision = 0.0
        for k in range(len(before)):
            precision += (k + 1) / (before[k] + 1)
        ap[q] = precision / len(before)
        inp[q] = len(before) / (before[-1] + 1)
    return broken
