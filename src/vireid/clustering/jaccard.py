"""The k-reciprocal Jaccard distance as a sparse graph: pictures are near if they have the same neighbours.

Zhong, Zheng, Cao and Li, Re-ranking Person Re-identification with k-reciprocal Encoding, CVPR 2017, in the form that
clustering methods of the field use: no mixing in of the plain distance, no division by the greatest distance, and the
k1 neighbours include the picture itself.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from vireid.clustering.memory import Reserve, memory_plan
from vireid.clustering.neighbours import Features, by_rows, check_unit, is_tensor, nearest, where_asked
from vireid.errors import UsageError

__all__ = ["check_parameters", "jaccard_graph", "reciprocal_weights"]

IntArray = NDArray[np.integer[Any]]
FloatArray = NDArray[np.floating[Any]]

_PAIRS = 1 << 14  # pairs of vectors that a device multiplies at once
_SMALLER_K = "take a smaller k1 or k2, or fewer pictures"
_SMALLER_EPS = "take a smaller eps; where most pictures are copies of one another, drop the copies first"


def jaccard_graph(
    features: Features,
    *,
    k1: int,
    k2: int,
    eps: float,
    groups: Any | None = None,
    neighbours: IntArray | None = None,
    device: str | None = None,
    memory: int | None = None,
) -> csr_array:
    """Jaccard distances of at most `eps`, as a symmetric sparse matrix with a stored diagonal of zeros.

    R(i, k) are the pictures among the first k of i that list i among their first k. R(i, k1) is joined by R(c, h) of
    those members c of whose R(c, h) it holds more than two thirds; h is k1 / 2, rounded half to even, plus 1. Weights
    over the joined set are a softmax of minus the squared Euclidean distance, and are averaged over the k2 nearest. The
    distance of two pictures is 1 - m / (2 - m), m being the sum of the smaller of their weights.

    Args:
        features: (N, D) unit rows, NumPy or torch. Half precision is raised to float32.
        k1: neighbours that must be mutual, k2: neighbours averaged over; both count the picture itself, and both are
            cut to N where there are fewer pictures.
        eps: distances above it are left out; from 0 to below 1 (pictures without a common neighbour are at 1).
        groups: (N,) e.g. modalities. Weights are then averaged over the members of each group among the k2 nearest
            first, and over the groups that occur second, so that no group outweighs another. None: one mean.
        neighbours: (N, >= max(k1, k2)) of `nearest`, or of any other index: the row itself first, then falling
            similarity. None computes them.
        device: compare features there with torch; None: where they are.
        memory: bytes that may be taken; None takes what is free.

    Returns:
        (N, N) CSR, float64, columns rising.

    Raises:
        UsageError: a parameter out of range, features that are no unit rows, shapes that do not fit, or a step that
            would need more memory than there is.
        MissingExtraError: a device was asked for and torch is not installed.
    """
    check_parameters(k1, k2, eps)
    held = where_asked(features, device)
    check_unit(held)
    count = len(held)
    if count == 0:
        return csr_array((0, 0), dtype=np.float64)
    reserve = Reserve(memory)
    itemsize = held.element_size() if is_tensor(held) else held.itemsize
    plan = memory_plan(count, k1=k1, k2=k2, itemsize=itemsize)
    reserve.check(sum(size for _, size in plan.fixed), "the lists of neighbours", _SMALLER_K)
    if neighbours is None:
        neighbours = nearest(held, max(k1, k2), memory=memory)
    ranked = _checked_neighbours(neighbours, count, max(k1, k2))
    weights = reciprocal_weights(held, ranked[:, :k1], k1, reserve=reserve)
    if k2 > 1:
        weights = _averaged(weights, ranked[:, :k2], _shares(ranked[:, :k2], groups), reserve)
    elif groups is not None:
        _shares(ranked[:, :1], groups)
    return _graph(weights, eps, reserve)


def check_parameters(k1: int, k2: int, eps: float) -> None:
    """Raises: UsageError: one of them is out of range."""
    for name, value in (("k1", k1), ("k2", k2)):
        if value < 1:
            raise UsageError(f"{name} is {value}; it counts neighbours, the picture itself among them, from 1")
    if not 0 <= eps < 1:
        raise UsageError(
            f"eps is {eps}; it is a Jaccard distance from 0 to below 1 (at 1 all pairs are, also those that share "
            f"no neighbour)"
        )


def reciprocal_weights(features: Features, ranked: IntArray, k1: int, *, reserve: Reserve) -> csr_array:
    """(N, N) sparse weights of each picture's reciprocal neighbours, before averaging; every row has sum one.

    features: checked, as `where_asked` returns them. ranked: (N, min(k1, N)) neighbours.
    """
    from vireid.clustering.compiled import expand

    members, sizes = _mutual(ranked)
    halves, half_sizes = _mutual(ranked[:, : round(k1 / 2) + 1])
    begins = np.zeros(len(ranked) + 1, np.int64)
    sets = members, sizes, halves, half_sizes
    none = np.empty(0, np.int32)
    by_rows(lambda start, stop: expand(*sets, start, stop, begins, none), len(ranked))
    np.cumsum(begins, out=begins)
    reserve.check(int(begins[-1]) * 12, "the weights of the neighbourhoods", _SMALLER_K)
    columns = np.empty(begins[-1], np.int32)
    by_rows(lambda start, stop: expand(*sets, start, stop, begins, columns), len(ranked))
    values = np.exp(2 * _products(features, begins, columns) - 2)
    values /= np.repeat(np.add.reduceat(values, begins[:-1]), np.diff(begins))
    return _rows(values, columns, begins)


def _checked_neighbours(neighbours: IntArray, count: int, k: int) -> IntArray:
    ranked = np.asarray(neighbours)
    if ranked.ndim != 2 or len(ranked) != count or ranked.shape[1] < min(k, count) or ranked.dtype.kind not in "iu":
        raise UsageError(
            f"neighbours are {ranked.dtype} of shape {ranked.shape}; {count} features with k1 and k2 up to {k} ask for "
            f"whole numbers of shape ({count}, {min(k, count)})"
        )
    if ranked.min() < 0 or ranked.max() >= count:
        raise UsageError(f"neighbours name row {ranked.min() if ranked.min() < 0 else ranked.max()} of {count}")
    if (ranked[:, 0] != np.arange(count)).any():
        row = int(np.flatnonzero(ranked[:, 0] != np.arange(count))[0])
        raise UsageError(f"row {row} of the neighbours begins with {ranked[row, 0]}; every row begins with itself")
    return ranked.astype(np.int32, copy=False)


def _mutual(ranked: IntArray) -> tuple[IntArray, IntArray]:
    from vireid.clustering.compiled import mutual

    ranked = np.ascontiguousarray(ranked)
    members, sizes = np.empty_like(ranked), np.empty(len(ranked), np.int32)
    by_rows(lambda start, stop: mutual(ranked, start, stop, members, sizes), len(ranked))
    return members, sizes


def _products(features: Features, begins: IntArray, columns: IntArray) -> NDArray[np.float64]:
    """(P,) inner products of the vectors of each row and its columns."""
    if not is_tensor(features):
        from vireid.clustering.compiled import pair_products

        products = np.empty(len(columns))
        by_rows(lambda start, stop: pair_products(features, begins, columns, start, stop, products), len(features))
        return products
    torch = sys.modules["torch"]
    rows = np.repeat(np.arange(len(features)), np.diff(begins))
    parts = []
    for start in range(0, len(rows), _PAIRS):
        pair = (torch.from_numpy(side[start : start + _PAIRS]).to(features.device).long() for side in (rows, columns))
        first, second = (features[side] for side in pair)
        parts.append((first * second).sum(dim=1).double().cpu().numpy())
    return np.concatenate(parts)


def _shares(nearest_rows: IntArray, groups: Any | None) -> NDArray[np.float64]:
    """(N, k2) share of each of the nearest in the average; every row has sum one."""
    count, k2 = nearest_rows.shape
    if groups is None:
        return np.full((count, k2), 1 / k2)
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    if group.shape != (count,):
        raise UsageError(f"groups have shape {group.shape}; give one for each of the {count} features")
    of_nearest = group[nearest_rows]
    members = (of_nearest[:, :, None] == np.arange(len(names))).sum(axis=1)
    present = (members > 0).sum(axis=1)
    shares: NDArray[np.float64] = 1 / (present[:, None] * np.take_along_axis(members, of_nearest, axis=1))
    return shares


def _averaged(weights: csr_array, nearest_rows: IntArray, shares: NDArray[np.float64], reserve: Reserve) -> csr_array:
    from vireid.clustering.compiled import average_rows

    old = weights.indptr, weights.indices, weights.data
    near = np.ascontiguousarray(nearest_rows)
    begins = np.zeros(len(near) + 1, np.int64)
    none = np.empty(0, np.int32), np.empty(0)
    by_rows(lambda start, stop: average_rows(*old, near, shares, start, stop, begins, *none), len(near))
    np.cumsum(begins, out=begins)
    reserve.check(2 * int(begins[-1]) * 12, "the averaged weights, by row and by column,", _SMALLER_K)
    new = np.empty(begins[-1], np.int32), np.empty(begins[-1])
    by_rows(lambda start, stop: average_rows(*old, near, shares, start, stop, begins, *new), len(near))
    return _rows(new[1], new[0], begins)


def _graph(weights: csr_array, eps: float, reserve: Reserve) -> csr_array:
    from vireid.clustering.compiled import mirror, near_pairs

    count = weights.shape[0]
    columns = weights.tocsc()
    both = weights.indptr, weights.indices, weights.data, columns.indptr, columns.indices, columns.data
    pairs = np.zeros(count + 1, np.int64)
    none = np.empty(0, np.int32), np.empty(0)
    by_rows(lambda start, stop: near_pairs(*both, eps, start, stop, pairs, *none), count)
    np.cumsum(pairs, out=pairs)
    stored = 2 * int(pairs[-1]) + count
    reserve.check(12 * (int(pairs[-1]) + stored), f"the graph of {stored} distances of at most {eps}", _SMALLER_EPS)
    found = np.empty(pairs[-1], np.int32), np.empty(pairs[-1])
    by_rows(lambda start, stop: near_pairs(*both, eps, start, stop, pairs, *found), count)
    begins = np.zeros(count + 1, np.int64)
    np.cumsum(np.diff(pairs) + np.bincount(found[0], minlength=count) + 1, out=begins[1:])
    indices, values = np.empty(stored, np.int32), np.empty(stored)
    mirror(pairs, *found, begins, indices, values)
    return _rows(values, indices, begins)


def _rows(values: FloatArray, columns: IntArray, begins: IntArray) -> csr_array:
    """A square CSR matrix whose columns rise; entries of zero stay."""
    index = np.int32 if begins[-1] < 2**31 else np.int64
    count = len(begins) - 1
    matrix = csr_array((values, columns.astype(index, copy=False), begins.astype(index)), shape=(count, count))
    matrix.has_sorted_indices = True
    return matrix
