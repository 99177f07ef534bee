"""At which position of its ranked gallery each query finds its identity."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vireid.errors import UsageError
from vireid.types import CmcKind

__all__ = ["GalleryIdentities", "Positions", "find_positions", "sorted_queries"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_MANY = 1 << 10  # correct pictures of a query above which sorting its gallery costs less than counting for each
_FEW, _SMALL = 64, 1 << 18  # queries and scores that are ranked before the compiled code would be loaded


class GalleryIdentities:
    """The gallery's pictures by identity.

    identities: (I,) rising; owner: (G,) place among them of every picture.
    members: (G,) columns, one identity after the other, in gallery order inside each; those of identity i are
    members[starts[i] : starts[i + 1]].
    """

    def __init__(self, gallery_ids: NDArray[np.generic]) -> None:
        self.identities, owner, self.counts = np.unique(gallery_ids, return_inverse=True, return_counts=True)
        self.owner = owner.astype(np.int64)
        self.members = np.argsort(self.owner, kind="stable")
        self.starts = np.concatenate([[0], np.cumsum(self.counts)])

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

    @classmethod
    def empty(cls, count: int) -> "Positions":
        return cls(np.empty(count), np.empty(count), np.empty(count, np.int64))

    def __getitem__(self, part: slice) -> "Positions":
        return Positions(self.ap[part], self.inp[part], self.first[part])


def find_positions(
    scores: NDArray[np.floating],
    own: IntArray,
    gallery: GalleryIdentities,
    *,
    invalid: BoolArray | None,
    cmc: CmcKind,
    sort: BoolArray,
    out: Positions,
) -> None:
    """Write the positions for a block of queries, by counting or, where `sort` says so, by sorting the gallery.

    scores and invalid: (Q, G); own: (Q,) as from `gallery.of`; sort: (Q,), see `sorted_queries`.

    Raises:
        UsageError: a valid pair's score is not a number.
    """
    # In memory as the compiled code wants it: most often it lies like that already.
    values = np.require(scores, np.dtype(f"f{scores.dtype.itemsize}"), ["C", "A", "W"])
    if not sort.all():
        _count(values, np.where(sort, -1, own), gallery, invalid=invalid, cmc=cmc, out=out)
    for q in np.flatnonzero(sort):
        valid = np.arange(len(gallery.owner)) if invalid is None else np.flatnonzero(~invalid[q])
        _refuse(bool(np.isnan(values[q, valid]).any()))
        ranked = gallery.owner[valid[np.argsort(-values[q, valid], kind="stable")]]
        out.ap[q], out.inp[q], out.first[q] = _positions_of(ranked, own[q], cmc)


def sorted_queries(own: IntArray, gallery: GalleryIdentities) -> BoolArray:
    """(Q,) queries whose gallery is better sorted: all of a small task, and those with very many correct pictures."""
    if len(own) <= _FEW and len(own) * len(gallery.owner) <= _SMALL:
        return np.ones(len(own), np.bool_)
    many: BoolArray = np.append(gallery.counts, 0)[own] > _MANY  # -1: no identity, the 0 at the end
    return many


def _count(
    values: NDArray[np.floating],
    own: IntArray,
    gallery: GalleryIdentities,
    *,
    invalid: BoolArray | None,
    cmc: CmcKind,
    out: Positions,
) -> None:
    from vireid.evaluation.counting import count_rows

    forbidden = np.empty((len(own), 0), np.bool_) if invalid is None else np.require(invalid, None, ["C", "A", "W"])
    bits = values.view(f"i{values.dtype.itemsize}")
    by_identity = cmc is CmcKind.IDENTITY
    places = gallery.members, gallery.starts, gallery.owner
    _refuse(count_rows(bits, forbidden, own, *places, by_identity, out.ap, out.inp, out.first))


def _refuse(not_a_number: bool) -> None:
    if not_a_number:
        raise UsageError("a score is not a number; are the embeddings finite?")


def _positions_of(ranked: IntArray, own: int, cmc: CmcKind) -> tuple[float, float, int]:
    """AP, INP and first position of identity `own` in a ranking of identities."""
    places = 1 + np.flatnonzero(ranked == own)
    if not len(places):
        return float("nan"), float("nan"), 0
    first = places[0] if cmc is CmcKind.IMAGE else 1 + len(np.unique(ranked[: places[0] - 1]))
    return float(np.mean(np.arange(1, len(places) + 1) / places)), len(places) / int(places[-1]), int(first)
