"""The loops of clustering, compiled. Imported when a graph is made: numba takes half a second.

Each works on rows start..stop, so that threads can share them; what it writes does not depend on how they are shared.
Sparse rows are (begins, columns, values) as in SciPy's CSR, columns rising.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = [
    "average_rows",
    "compiled",
    "expand",
    "keep_best",
    "mirror",
    "mutual",
    "near_pairs",
    "pair_products",
]

Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]
CompiledT = TypeVar("CompiledT", bound=Callable[..., Any])


def compiled(function: CompiledT) -> CompiledT:
    """Compile at the first call, to run outside the interpreter's lock, and keep the result for later processes.

    Sums may be taken in another order than written: eight at once instead of one after the other.
    """
    freedom = {"reassoc", "contract", "nsz"}
    try:
        return cast(CompiledT, njit(nogil=True, fastmath=freedom, cache=True)(function))
    except RuntimeError:  # no folder to keep it in can be written: every process compiles for itself
        return cast(CompiledT, njit(nogil=True, fastmath=freedom)(function))


@compiled
def _sink(values: Ints, place: int, count: int) -> None:
    while 2 * place + 1 < count:
        child = 2 * place + 1
        if child + 1 < count and values[child] < values[child + 1]:
            child += 1
        if values[place] >= values[child]:
            break
        values[place], values[child] = values[child], values[place]
        place = child


@compiled
def _sort(values: Ints) -> None:
    """Put a few whole numbers in rising order: a heap sort, since some rows hold thousands."""
    count = len(values)
    for begin in range(count // 2 - 1, -1, -1):
        _sink(values, begin, count)
    for end in range(count - 1, 0, -1):
        values[0], values[end] = values[end], values[0]
        _sink(values, 0, end)


@compiled
def keep_best(scores: Floats, first: int, most: float, start: int, stop: int, ranked: Ints) -> None:
    """Write the columns of the greatest scores of rows start..stop into ranked (N, k), each row's own column first.

    scores: (B, N), rows first..first + B of all. Equal scores stand in order of columns, and so do all above `most`.
    """
    size, places = scores.shape[1], ranked.shape[1]
    best, limit = np.empty(places, scores.dtype), scores.dtype.type(most)
    for row in range(start, stop):
        values, found = scores[row], ranked[first + row]
        own = first + row
        found[0] = own
        held = 1
        for column in range(size):
            value = min(values[column], limit)
            if held == places and (places == 1 or not value > best[places - 1]):
                continue
            if column == own:
                continue
            if held < places:
                held += 1
            place = held - 1
            while place > 1 and value > best[place - 1]:
                best[place], found[place] = best[place - 1], found[place - 1]
                place -= 1
            best[place], found[place] = value, column


@compiled
def mutual(ranked: Ints, start: int, stop: int, members: Ints, sizes: Ints) -> None:
    """Write which of the listed pictures (N, k) list the row in return: members (N, k) and how many, sizes (N,)."""
    for row in range(start, stop):
        size = 0
        for other in ranked[row]:
            for listed in ranked[other]:
                if listed == row:
                    members[row, size] = other
                    size += 1
                    break
        sizes[row] = size


@compiled
def expand(
    members: Ints, sizes: Ints, halves: Ints, half_sizes: Ints, start: int, stop: int, begins: Ints, columns: Ints
) -> None:
    """Join each row's members with the half sets of those members that share more than two thirds of theirs with them.

    With `columns` empty only the sizes are counted, into begins[row + 1]; else the columns are written in rising order.
    """
    mark = np.full(len(members), -1, np.int64)  # 2 row: a mutual neighbour, 2 row + 1: joined by one of them
    fill = len(columns) > 0
    joined = np.empty(members.shape[1] * (halves.shape[1] + 1), members.dtype)
    for row in range(start, stop):
        size = sizes[row]
        for place in range(size):
            joined[place] = members[row, place]
            mark[members[row, place]] = 2 * row
        for place in range(sizes[row]):
            other = members[row, place]
            half = halves[other, : half_sizes[other]]
            shared = 0
            for each in half:
                shared += mark[each] == 2 * row
            if 3 * shared > 2 * len(half):
                for each in half:
                    if mark[each] < 2 * row:
                        mark[each] = 2 * row + 1
                        joined[size] = each
                        size += 1
        if fill:
            _sort(joined[:size])
            columns[begins[row] : begins[row + 1]] = joined[:size]
        else:
            begins[row + 1] = size


@compiled
def pair_products(vectors: Floats, begins: Ints, columns: Ints, start: int, stop: int, products: Floats) -> None:
    """Write the inner product of each row's vector with those of its columns."""
    for row in range(start, stop):
        own = vectors[row]
        for place in range(begins[row], begins[row + 1]):
            other = vectors[columns[place]]
            total = own.dtype.type(0)
            for d in range(len(own)):
                total += own[d] * other[d]
            products[place] = total


@compiled
def average_rows(
    begins: Ints,
    columns: Ints,
    values: Floats,
    nearest: Ints,
    shares: Floats,
    start: int,
    stop: int,
    new_begins: Ints,
    new_columns: Ints,
    new_values: Floats,
) -> None:
    """Sum the rows that nearest (N, k) lists, weighed by shares (N, k).

    With `new_columns` empty only the sizes are counted, into new_begins[row + 1].
    """
    total, mark = np.zeros(len(nearest), values.dtype), np.full(len(nearest), -1, np.int64)
    used = np.empty(len(nearest), columns.dtype)
    fill = len(new_columns) > 0
    for row in range(start, stop):
        size = 0
        for place in range(nearest.shape[1]):
            other, share = nearest[row, place], shares[row, place]
            for k in range(begins[other], begins[other + 1]):
                column = columns[k]
                if mark[column] != row:
                    mark[column] = row
                    used[size] = column
                    size += 1
                    total[column] = 0
                total[column] += share * values[k]
        if fill:
            _sort(used[:size])
            begin = new_begins[row]
            for k in range(size):
                new_columns[begin + k] = used[k]
                new_values[begin + k] = total[used[k]]
        else:
            new_begins[row + 1] = size


@compiled
def near_pairs(
    begins: Ints,
    columns: Ints,
    values: Floats,
    column_begins: Ints,
    rows: Ints,
    row_values: Floats,
    eps: float,
    start: int,
    stop: int,
    pair_begins: Ints,
    partners: Ints,
    distances: Floats,
) -> None:
    """Jaccard distances of at most eps between each row and later ones, rows having sum one: 1 - m / (2 - m).

    m is the sum over columns of the smaller of two weights. (column_begins, rows, row_values) are the same weights by
    column, rows rising. With `partners` empty only the sizes are counted, into pair_begins[row + 1].
    """
    count = len(begins) - 1
    shared = np.zeros(count, values.dtype)  # zero: not touched by this row
    used = np.empty(count + 1, columns.dtype)
    fill = len(partners) > 0
    for row in range(start, stop):
        touched = np.uint64(0)
        for k in range(begins[row], begins[row + 1]):
            column, weight = columns[k], values[k]
            low, end = column_begins[column], column_begins[column + 1]
            high = end
            while low < high:
                middle = (low + high) // 2
                if rows[middle] > row:
                    high = middle
                else:
                    low = middle + 1
            others, weights = rows[low:end], row_values[low:end]
            for place in range(len(others)):
                other = np.uint32(others[place])
                before = shared[other]
                used[touched] = other  # overwritten unless it is new: no branch to mispredict
                touched = np.uint64(touched + np.uint64(before == 0))
                shared[other] = before + min(weight, weights[place])
        size = 0
        for k in range(np.int64(touched)):
            other = used[k]
            distance = max(0.0, 1 - shared[other] / (2 - shared[other]))
            shared[other] = 0
            if distance <= eps:
                used[size] = other
                shared[other] = distance
                size += 1
        if fill:
            _sort(used[:size])
            for k in range(size):
                partners[pair_begins[row] + k] = used[k]
                distances[pair_begins[row] + k] = shared[used[k]]
        else:
            pair_begins[row + 1] = size
        for k in range(size):
            shared[used[k]] = 0


@compiled
def mirror(pair_begins: Ints, partners: Ints, distances: Floats, begins: Ints, columns: Ints, values: Floats) -> None:
    """Write the whole graph of pairs with later rows: both directions, and every row at distance zero of itself."""
    count = len(begins) - 1
    place = begins[:count].copy()
    for row in range(count):
        columns[place[row]], values[place[row]] = row, 0
        place[row] += 1
        for k in range(pair_begins[row], pair_begins[row + 1]):
            other = partners[k]
            columns[place[row]], values[place[row]] = other, distances[k]
            columns[place[other]], values[place[other]] = row, distances[k]
            place[row] += 1
            place[other] += 1
