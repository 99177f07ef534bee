"""At which position of its ranked gallery each query finds its identity, without putting any gallery in order.

A correct picture's position is one plus the number of valid pictures before it: those with a greater score and, of
equal ones, those with a smaller gallery index. So the scores alone are sorted (which processors do many at once), and
each correct score is looked up among them; only exact ties are counted picture by picture.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vireid.errors import UsageError
from vireid.types import CmcKind

__all__ = ["GalleryIdentities", "Positions", "Scratch", "positions"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.floating]
BoolArray = NDArray[np.bool_]


class GalleryIdentities:
    """The gallery's pictures by identity, arranged twice.

    identities: (I,) rising.
    members: (G,) columns, one identity after the other, in gallery order inside each; `starts` and `counts` (I,).
    slots: (G,) columns, the first picture of every identity, then the second of every identity that has two, and so
    on; identities with more pictures stand first, so that slot s covers the first `widths[s]` identities.
    """

    def __init__(self, gallery_ids: NDArray[np.generic]) -> None:
        self.identities, owner, self.counts = np.unique(gallery_ids, return_inverse=True, return_counts=True)
        self.members = np.argsort(owner, kind="stable")
        self.starts = np.cumsum(self.counts) - self.counts
        standing = np.empty(len(self.counts), np.int64)
        standing[np.argsort(-self.counts, kind="stable")] = np.arange(len(self.counts))
        identity = owner[self.members]
        slot = np.arange(len(identity)) - self.starts[identity]
        self.slots = self.members[np.lexsort((standing[identity], slot))]
        self.widths = np.bincount(slot)

    def of(self, query_ids: NDArray[np.generic]) -> IntArray:
        """(Q,) place of each query's identity among `identities`, -1 where the gallery does not hold it."""
        if not len(self.identities):
            return np.full(len(query_ids), -1, np.int64)
        place = np.searchsorted(self.identities, query_ids).clip(max=len(self.identities) - 1)
        return np.where(self.identities[place] == query_ids, place, -1)


@dataclass(frozen=True)
class Positions:
    """Per query: AP and INP (not-a-number without a match), and the position that the CMC counts (0 without)."""

    ap: NDArray[np.float64]
    inp: NDArray[np.float64]
    first: IntArray


class Scratch:
    """Memory for blocks of up to `rows` queries. Fresh pages for every block would cost as much as the sorting."""

    def __init__(self, rows: int, size: int) -> None:
        self.ordered = np.empty((rows, size), np.float32)
        self.limit = np.empty((max(1, _CACHED // max(1, size)), size), np.float32)
        self.before = np.empty((rows, size), np.bool_)
        self.slots = np.empty((rows, size), np.bool_)


def positions(
    scores: FloatArray,
    own: IntArray,
    gallery: GalleryIdentities,
    *,
    invalid: BoolArray | None,
    cmc: CmcKind,
    scratch: Scratch,
) -> Positions:
    """Positions for a block of queries. scores and invalid: (Q, G); own: (Q,) as from `gallery.of`."""
    count, size = scores.shape
    block = _Block(scores, invalid, scratch)
    row, column = _correct_pairs(own, gallery, invalid)
    if not len(row):
        nothing = np.full(count, np.nan)
        return Positions(nothing, nothing.copy(), np.zeros(count, np.int64))
    place, tied = block.places(row, column)
    # Rows rise along the pairs, so sorting these keys sorts the places inside every row.
    key = row * (size + 1)
    ordered = np.sort(key + place) - key
    matches = np.bincount(row, minlength=count)
    ends = np.cumsum(matches)
    nth = np.arange(1, len(row) + 1) - (ends - matches)[row]
    found = np.flatnonzero(matches)
    ap, inp, first = np.full(count, np.nan), np.full(count, np.nan), np.zeros(count, np.int64)
    ap[found] = np.bincount(row, weights=nth / ordered, minlength=count)[found] / matches[found]
    inp[found] = matches[found] / ordered[ends[found] - 1]
    first[found] = ordered[(ends - matches)[found]]
    if cmc is CmcKind.IDENTITY:
        # Up to position two no identity can stand twice before it.
        best = np.flatnonzero((place == first[row]) & (place > 2))
        first[row[best]] = 1 + block.identities_before(row[best], column[best], tied[best], gallery)
    return Positions(ap, inp, first)


def _correct_pairs(own: IntArray, gallery: GalleryIdentities, invalid: BoolArray | None) -> tuple[IntArray, IntArray]:
    """Row and column of every valid pair of one identity, rows rising."""
    known = np.flatnonzero(own >= 0)
    counts = gallery.counts[own[known]]
    row = np.repeat(known, counts)
    begins = np.cumsum(counts) - counts
    column = gallery.members[np.arange(len(row)) + np.repeat(gallery.starts[own[known]] - begins, counts)]
    if invalid is not None:
        keep = ~invalid[row, column]
        row, column = row[keep], column[keep]
    return row, column


class _Block:
    """Scores (Q, G) of some queries, with a coarse copy in rising order: float32, -inf where invalid.

    Rounding keeps the order but for ties, which the exact scores settle; float32 sorts twice as fast as float64.

    Raises:
        UsageError: a valid pair's score is not a number.
    """

    def __init__(self, scores: FloatArray, invalid: BoolArray | None, scratch: Scratch) -> None:
        self._scores, self._invalid, self._scratch = scores, invalid, scratch
        self._ordered = scratch.ordered[: len(scores)]
        rows = len(scratch.limit)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            for start in range(0, len(scores), rows):
                part = slice(start, start + rows)
                ordered = self._ordered[part]
                if invalid is None:
                    ordered[...] = scores[part]
                else:
                    # 0 * -inf is not a number, which `fmin` passes over: vectorised, unlike an assignment by mask.
                    limit = scratch.limit[: len(ordered)]
                    limit[...] = invalid[part]
                    limit *= np.float32(-np.inf)
                    np.fmin(scores[part], limit, out=ordered, dtype=np.float32, casting="same_kind")
                ordered.sort(axis=1)
        if np.isnan(self._ordered[:, -1:]).any():
            raise UsageError("a score is not a number; are the embeddings finite?")

    def places(self, row: IntArray, column: IntArray) -> tuple[IntArray, BoolArray]:
        """(P,) 1-based position of picture `column[i]` in the ranking of `row[i]`, and where ties had to be settled."""
        size = self._scores.shape[1]
        with np.errstate(over="ignore", under="ignore"):
            value = self._scores[row, column].astype(np.float32)
        below, tied = self._count_below(row, value)
        tied |= np.isinf(value)  # the value of invalid pairs, or of what is too great for float32
        place = size - below
        doubtful = np.flatnonzero(tied)
        for start in range(0, len(doubtful), rows := max(1, _CACHED // size)):
            pair = doubtful[start : start + rows]
            place[pair] = 1 + np.count_nonzero(self._before(row[pair], column[pair]), axis=1)
        return place, tied

    def _count_below(self, row: IntArray, value: NDArray[np.float32]) -> tuple[IntArray, BoolArray]:
        """(P,) how many scores of its row are smaller than each value, and whether another one equals it.

        A binary search for all values at once; every value occurs in its row.
        """
        size = self._ordered.shape[1]
        flat = self._ordered.ravel()
        base = row * size
        end = base + size - 1
        at = base.copy()
        step = 1 << (size.bit_length() - 1)
        while step:
            probe = at + (step - 1)
            smaller = flat.take(probe, mode="clip") < value
            smaller &= probe <= end
            at += smaller * step
            step >>= 1
        twin = (at < end) & (flat.take(at + 1, mode="clip") == value)
        return at - base, twin

    def _before(self, row: IntArray, column: IntArray) -> BoolArray:
        """(P, G) which valid pictures stand before picture `column[i]` in the ranking of `row[i]`, by definition."""
        own = self._scores[row]
        value = self._scores[row, column][:, None]
        before: BoolArray = own == value
        before &= np.arange(own.shape[1]) < column[:, None]
        before |= own > value
        if self._invalid is not None:
            before &= ~self._invalid[row]
        return before

    def identities_before(
        self, row: IntArray, column: IntArray, tied: BoolArray, gallery: GalleryIdentities
    ) -> IntArray:
        """(P,) number of identities with a picture before `column[i]`, the first correct one of `row[i]`."""
        count = len(self._scores)
        value = np.full((count, 1), np.inf, self._scores.dtype)  # nothing is before what nobody asked for
        value[row, 0] = self._scores[row, column]
        before = np.greater(self._scores, value, out=self._scratch.before[:count])
        if self._invalid is not None:
            np.greater(before, self._invalid, out=before)  # before and not invalid
        if tied.any():
            before[row[tied]] = self._before(row[tied], column[tied])
        before = before.take(gallery.slots, axis=1, out=self._scratch.slots[:count], mode="clip")
        begin = gallery.widths[0]
        seen = before[:, :begin]
        for width in gallery.widths[1:]:
            seen[:, :width] |= before[:, begin : begin + width]
            begin += width
        return np.asarray(np.count_nonzero(seen, axis=1))[row]


_CACHED = 1 << 16  # scores that a processor's cache holds
