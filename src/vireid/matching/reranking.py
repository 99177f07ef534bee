"""k-reciprocal re-ranking: pictures are alike if they have the same neighbours.

Zhong, Zheng, Cao and Li, Re-ranking Person Re-identification with k-reciprocal Encoding, CVPR 2017, as public code
computes it: queries and gallery together form one set of N pictures, whose neighbourhoods are held as sparse rows.
"""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from vireid.errors import UsageError
from vireid.matching.arrays import Array, same_kind, to_numpy
from vireid.matching.topk import best_of

__all__ = ["Forbidden", "KReciprocal", "k_reciprocal"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.floating[Any]]

_BLOCK = 1 << 22  # matrix elements, or weights to compare, held at once
_TOLERANCE = 0.01  # what bfloat16 embeddings may exceed a cosine of one by


class Forbidden(StrEnum):
    """What pairs that a protocol forbids do in re-ranking.

    take-part: they are neighbours like others and are removed from the ranking afterwards, as in public code.
    left-out: they are no neighbours of one another.
    """

    TAKE_PART = "take-part"
    LEFT_OUT = "left-out"


@dataclass(frozen=True, kw_only=True)
class KReciprocal:
    """The parameters of `k_reciprocal`, as a step of an evaluation."""

    k1: int = 20
    k2: int = 6
    lambda_: float = 0.3
    forbidden: Forbidden = Forbidden.TAKE_PART

    def __post_init__(self) -> None:
        _check_parameters(self.k1, self.k2, self.lambda_)

    def __call__(self, query_gallery: Array, query_query: Array, gallery_gallery: Array, *, invalid: Array) -> Array:
        """Re-ranked scores (Q, G); invalid: (Q, G) bool, the pairs that the protocol forbids."""
        return k_reciprocal(
            query_gallery,
            query_query,
            gallery_gallery,
            k1=self.k1,
            k2=self.k2,
            lambda_=self.lambda_,
            invalid=invalid if self.forbidden is Forbidden.LEFT_OUT else None,
        )

    def to_json(self) -> dict[str, Any]:
        return {"name": "k-reciprocal", **{key.rstrip("_"): value for key, value in asdict(self).items()}}


def k_reciprocal(
    query_gallery: Array,
    query_query: Array,
    gallery_gallery: Array,
    *,
    k1: int = 20,
    k2: int = 6,
    lambda_: float = 0.3,
    invalid: Array | None = None,
) -> Array:
    """Re-ranked scores (Q, G) from cosine scores; higher is better, the greatest possible is 0.

    Distances are 2 - 2 cos, each column divided by its maximum. A picture's k1 reciprocal neighbours are joined by
    those of its neighbours' half-k1 sets of which they hold more than two thirds; weights exp(-distance), normalised
    per picture and averaged over its k2 nearest, give a Jaccard distance. The score is
    -((1 - lambda_) Jaccard + lambda_ distance). Neighbours at equal distance stand in order: queries, then gallery.

    Args:
        query_gallery: (Q, G), query_query: (Q, Q), gallery_gallery: (G, G) cosine scores.
        k1: neighbours that must be mutual. k2: neighbours averaged over; 1 averages over none.
        lambda_: weight of the plain distance, from 0 to 1.
        invalid: (Q, G) bool, pairs that are left out of every neighbourhood. None: all pairs take part.

    Returns:
        The kind and the type of `query_gallery`; computed on the processor.

    Raises:
        UsageError: shapes that do not fit, a parameter out of range, or scores that are not cosines.
    """
    _check_parameters(k1, k2, lambda_)
    cosines = _Cosines(query_gallery, query_query, gallery_gallery, invalid)
    ranked, farthest = cosines.neighbours(max(k1 + 1, k2))
    mutual = _reciprocal(ranked[:, : k1 + 1])
    members = _expanded(mutual, _reciprocal(ranked[:, : round(k1 / 2) + 1]))
    weights = _weights(members, cosines, farthest)
    if k2 > 1:
        weights = _averaged(weights, ranked[:, :k2])
    return same_kind(_scores(weights, cosines, farthest, lambda_), query_gallery)


class _Cosines:
    """The cosines of all N = Q + G pictures, queries first, without joining the three matrices."""

    def __init__(self, query_gallery: Array, query_query: Array, gallery_gallery: Array, invalid: Array | None) -> None:
        self.query_gallery = _checked(query_gallery, "query_gallery")
        self.query_query = _checked(query_query, "query_query")
        self.gallery_gallery = _checked(gallery_gallery, "gallery_gallery")
        self.queries, self.gallery = self.query_gallery.shape
        self.count = self.queries + self.gallery
        for name, matrix, side in (
            ("query_query", self.query_query, self.queries),
            ("gallery_gallery", self.gallery_gallery, self.gallery),
        ):
            if matrix.shape != (side, side):
                raise UsageError(f"{name} has shape {matrix.shape}; query_gallery asks for ({side}, {side})")
        self.invalid = None if invalid is None else to_numpy(invalid)
        if self.invalid is not None and self.invalid.shape != self.query_gallery.shape:
            raise UsageError(f"invalid has shape {self.invalid.shape}, query_gallery {self.query_gallery.shape}")

    def neighbours(self, k: int) -> tuple[IntArray, NDArray[np.float64]]:
        """(N, k) nearest pictures of each, itself included, -1 past the last; (N,) greatest distance."""
        ranked, farthest = [], []
        rows = max(1, _BLOCK // self.count)
        for begin, size in ((0, self.queries), (self.queries, self.gallery)):
            for start in range(begin, begin + size, rows):
                block, hidden = self._columns(start, min(start + rows, begin + size))
                ranked.append(best_of(block, k, invalid=hidden)[0])
                least = block.min(axis=1) if hidden is None else block.min(axis=1, where=~hidden, initial=1)
                farthest.append(2 - 2 * least.astype(np.float64))
        greatest = np.concatenate(farthest)
        return np.concatenate(ranked), np.where(greatest > 0, greatest, 1)  # zero: all pictures are the same

    def at(self, row: IntArray, column: IntArray) -> NDArray[np.float64]:
        """(P,) cosines of pairs of pictures."""
        values = np.empty(len(row))
        row_is_query, column_is_query = row < self.queries, column < self.queries
        gallery_row, gallery_column = row - self.queries, column - self.queries
        pair = row_is_query & column_is_query
        values[pair] = self.query_query[column[pair], row[pair]]
        pair = row_is_query & ~column_is_query
        values[pair] = self.query_gallery[row[pair], gallery_column[pair]]
        pair = ~row_is_query & column_is_query
        values[pair] = self.query_gallery[column[pair], gallery_row[pair]]
        pair = ~row_is_query & ~column_is_query
        values[pair] = self.gallery_gallery[gallery_column[pair], gallery_row[pair]]
        return values

    def hidden(self, row: IntArray, column: IntArray) -> NDArray[np.bool_]:
        """(P,) pairs that are left out."""
        result = np.zeros(len(row), np.bool_)
        if self.invalid is None:
            return result
        across = (row < self.queries) != (column < self.queries)
        low, high = np.minimum(row, column)[across], np.maximum(row, column)[across]
        result[across] = self.invalid[low, high - self.queries]
        return result

    def _columns(self, start: int, stop: int) -> tuple[FloatArray, NDArray[np.bool_] | None]:
        """Columns start..stop of the N x N matrix as rows (of one side), and which pairs are left out."""
        if stop <= self.queries:
            block = np.concatenate([self.query_query[:, start:stop].T, self.query_gallery[start:stop]], axis=1)
            hidden = None if self.invalid is None else self.invalid[start:stop]
            before, after = self.queries, 0
        else:
            part = slice(start - self.queries, stop - self.queries)
            block = np.concatenate([self.query_gallery[:, part].T, self.gallery_gallery[:, part].T], axis=1)
            hidden = None if self.invalid is None else self.invalid[:, part].T
            before, after = 0, self.gallery
        return block, None if hidden is None else np.pad(hidden, ((0, 0), (before, after)))


def _check_parameters(k1: int, k2: int, lambda_: float) -> None:
    for name, value in (("k1", k1), ("k2", k2)):
        if value < 1:
            raise UsageError(f"{name} is {value}; it counts neighbours and must be at least 1")
    if not 0 <= lambda_ <= 1:
        raise UsageError(f"lambda_ is {lambda_}; it is a weight from 0 to 1")


def _checked(scores: Array, name: str) -> FloatArray:
    values = to_numpy(scores)
    if values.ndim != 2 or values.dtype.kind != "f":
        raise UsageError(f"{name} is {values.dtype} of shape {values.shape}; give a matrix of cosine scores")
    if values.size and not np.abs(values).max() <= 1 + _TOLERANCE:
        raise UsageError(
            f"{name} holds {values.flat[np.abs(values).argmax()]}, which is no cosine; "
            f"give inner products of rows of unit length"
        )
    return values if values.dtype.itemsize >= 4 else values.astype(np.float32)


def _sets(ranked: IntArray) -> Any:
    """(N, N) sparse, one where the row lists the column; -1 lists nothing."""
    count = len(ranked)
    row, place = np.nonzero(ranked >= 0)
    return csr_array((np.ones(len(row), np.int32), (row, ranked[row, place])), shape=(count, count))


def _reciprocal(ranked: IntArray) -> Any:
    """(N, N) sparse, one where two pictures list each other."""
    forward = _sets(ranked)
    return forward.multiply(forward.T).tocsr()


def _expanded(mutual: Any, half: Any) -> Any:
    """`mutual` with the half set of each member that shares more than two thirds of its own with it."""
    shared = (mutual @ half.T).multiply(mutual).tocoo()
    sizes = half.sum(axis=1)
    accepted = 3 * shared.data > 2 * sizes[shared.col]
    chosen = csr_array(
        (shared.data[accepted].clip(max=1), (shared.row[accepted], shared.col[accepted])), shape=mutual.shape
    )
    return mutual + chosen @ half


def _weights(members: Any, cosines: _Cosines, farthest: NDArray[np.float64]) -> Any:
    """(N, N) sparse, exp(-normalised distance) of the members, every row of sum one."""
    members = members.tocoo()
    row, column = members.row.astype(np.int64), members.col.astype(np.int64)
    keep = ~cosines.hidden(row, column)
    row, column = row[keep], column[keep]
    weight = np.exp(-(2 - 2 * cosines.at(row, column)) / farthest[row])
    weight /= np.bincount(row, weights=weight, minlength=cosines.count)[row]
    return csr_array((weight, (row, column)), shape=members.shape)


def _averaged(weights: Any, nearest: IntArray) -> Any:
    """Every row the mean of those of its nearest pictures."""
    lists = _sets(nearest).astype(np.float64)
    lists.data /= np.repeat(lists.sum(axis=1), np.diff(lists.indptr))
    return (lists @ weights).tocsr()


def _scores(weights: Any, cosines: _Cosines, farthest: NDArray[np.float64], lambda_: float) -> FloatArray:
    """(Q, G) final scores. Only columns that a query and a gallery picture both weigh are ever compared."""
    query, gallery = weights[: cosines.queries].tocsr(), weights[cosines.queries :].tocsc()
    lengths = np.diff(gallery.indptr)[query.indices].astype(np.int64)
    work = np.concatenate([[0], np.cumsum(lengths)])[query.indptr]
    result = np.empty_like(cosines.query_gallery)
    size, start = cosines.gallery, 0
    while start < cosines.queries:
        limit = min(start + max(1, _BLOCK // max(1, size)), cosines.queries)
        stop = max(start + 1, min(limit, int(np.searchsorted(work, work[start] + _BLOCK, side="right")) - 1))
        shared = _shared(query[start:stop], gallery)
        distance = 2 - 2 * cosines.query_gallery[start:stop].astype(np.float64)
        distance /= farthest[start:stop, None]
        result[start:stop] = -((1 - lambda_) * (1 - shared / (2 - shared)) + lambda_ * distance)
        start = stop
    return result


def _shared(query: Any, gallery: Any) -> NDArray[np.float64]:
    """(B, G) sums over all columns of the smaller of two weights; query: CSR (B, N), gallery: CSC (G, N)."""
    rows, size = query.shape[0], gallery.shape[0]
    begins = gallery.indptr[query.indices].astype(np.int64)
    lengths = np.diff(gallery.indptr)[query.indices].astype(np.int64)
    offsets = np.repeat(begins - (np.cumsum(lengths) - lengths), lengths)
    taken = np.arange(len(offsets)) + offsets
    row = np.repeat(np.arange(rows, dtype=np.int64), np.diff(query.indptr))
    cell = np.repeat(row * size, lengths) + gallery.indices[taken]
    smaller = np.minimum(np.repeat(query.data, lengths), gallery.data[taken])
    sums = np.asarray(np.bincount(cell, weights=smaller, minlength=rows * size), np.float64)
    return sums.reshape(rows, size)
