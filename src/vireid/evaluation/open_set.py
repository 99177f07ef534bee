"""Figures for searches whose person may be absent, and for single comparisons.

A closed protocol asks for order alone, since somebody in the gallery is always right. Here a score is compared with a
threshold: at or above it, it is a match. Terms and definitions follow ISO/IEC 19795-1 (biometric performance testing
and reporting, principles and framework):

- FPIR, false-positive identification rate: the share of non-mated searches (the person is not enrolled) with a match.
- FNIR, false-negative identification rate: the share of mated searches that miss the person, because its best score is
  below the threshold or because it stands below the rank down to which one looks.
- FPR and TPR: the share of impostor pairs (two people) and of genuine pairs that match; the standard's false match
  rate, and one minus its false non-match rate.

The threshold of a rate is the least one at which the observed rate does not exceed it. Nothing is interpolated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vireid.errors import UsageError
from vireid.evaluation.ranking import checked, rank
from vireid.matching.arrays import Array, to_numpy
from vireid.types import CmcKind

__all__ = [
    "Comparisons",
    "OpenSet",
    "Searches",
    "auc",
    "collect",
    "fnir",
    "fnir_at_fpir",
    "join",
    "mean_false_matches",
    "roc_curve",
    "share_of_matches",
    "threshold_at",
    "tpr_at_fpr",
]

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_BLOCK = 1 << 22  # scores looked at at once


@dataclass(frozen=True, kw_only=True)
class OpenSet:
    """How a closed protocol becomes an open one: some people are taken out of the gallery, and still searched for.

    share: of the gallery's identities that are held out, from 0 (none) to below 1; rounded to whole identities.
    seed: of the draw. A trial's identities, rising, are put in the order of
    `numpy.random.default_rng([seed, trial]).permutation`; the first ones are held out.
    """

    share: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise UsageError(f"share is {self.share}; the share of identities held out is from 0 to below 1")
        if self.seed < 0:
            raise UsageError(f"seed is {self.seed}; it must not be negative")

    def enrolled(self, gallery_ids: NDArray[Any], *, trial: int) -> BoolArray:
        """(G,) gallery pictures whose identity stays."""
        identities, owner = np.unique(gallery_ids, return_inverse=True)
        order = np.random.default_rng([self.seed, trial]).permutation(len(identities))
        stays = np.ones(len(identities), np.bool_)
        stays[order[: round(self.share * len(identities))]] = False
        return stays[owner]

    def to_json(self) -> dict[str, Any]:
        return {"held_out_share": self.share, "seed": self.seed}


@dataclass(frozen=True, kw_only=True, eq=False)
class Searches:
    """What identification needs to know of searches.

    enrolled: number of identities in the gallery.
    mated: (M,) best score of the person's own pictures; position: (M,) where that stands, as the CMC counts.
    non_mated: (N,) best score in the gallery, -inf where all of it is forbidden.
    left_out: number of searches that are neither: the person is enrolled, but the protocol forbids every picture.
    """

    enrolled: int
    mated: FloatArray
    position: IntArray
    non_mated: FloatArray
    left_out: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparisons:
    """Scores of pairs that the protocol permits: of one person (P,), of two people (N,)."""

    genuine: FloatArray
    impostor: FloatArray


def collect(
    scores: Array,
    query_ids: Array,
    gallery_ids: Array,
    *,
    invalid: Array | None = None,
    enrolled: Array | None = None,
    cmc: CmcKind | str = CmcKind.IMAGE,
) -> tuple[Searches, Comparisons]:
    """Sort out the scores of a closed protocol.

    Args:
        scores: (Q, G), higher is better. query_ids: (Q,), gallery_ids: (G,). invalid: (Q, G) bool. cmc: see `rank`.
        enrolled: (G,) bool, gallery pictures that searches see (None: all). Comparisons are of the whole gallery.

    Raises:
        UsageError: as `rank`.
    """
    values, forbidden = checked(scores, query_ids, gallery_ids, invalid)
    query, gallery = to_numpy(query_ids), to_numpy(gallery_ids)
    there = np.ones(len(gallery), np.bool_) if enrolled is None else to_numpy(enrolled)
    rows = max(1, _BLOCK // max(1, len(gallery)))
    parts = [
        _collect(values[part], query[part], gallery, None if forbidden is None else forbidden[part], there, cmc)
        for part in (slice(start, start + rows) for start in range(0, max(1, len(query)), rows))
    ]
    return join([searches for searches, _ in parts], [comparisons for _, comparisons in parts])


def join(searches: Sequence[Searches], comparisons: Sequence[Comparisons]) -> tuple[Searches, Comparisons]:
    """Blocks of queries of one gallery as one."""
    return Searches(
        enrolled=searches[0].enrolled,
        mated=np.concatenate([part.mated for part in searches]),
        position=np.concatenate([part.position for part in searches]),
        non_mated=np.concatenate([part.non_mated for part in searches]),
        left_out=sum(part.left_out for part in searches),
    ), Comparisons(
        genuine=np.concatenate([part.genuine for part in comparisons]),
        impostor=np.concatenate([part.impostor for part in comparisons]),
    )


def threshold_at(negatives: FloatArray, rate: float) -> float:
    """The least threshold at which no more than `rate` of `negatives` (N,) match.

    With negatives the best scores of non-mated searches, the threshold of an FPIR; with those of impostor pairs, of an
    FPR. -inf if all may match.

    Raises:
        UsageError: no negatives, a rate outside [0, 1], or infinite scores that no threshold keeps out.
    """
    if not 0 <= rate <= 1:
        raise UsageError(f"rate is {rate}; a rate is from 0 to 1")
    count = len(negatives)
    if not count:
        raise UsageError("there is no score of a search or pair that should not match, so no threshold can be set")
    allowed = int(rate * count)
    allowed += (allowed + 1) / count <= rate  # 0.29 * 100 is less than 29 in floating point
    if allowed >= count:
        return float("-inf")
    highest_refused = np.partition(negatives, count - 1 - allowed)[count - 1 - allowed]
    if np.isposinf(highest_refused):
        raise UsageError(f"more than {rate:.3%} of the scores that should not match are infinite")
    return float(np.nextafter(highest_refused, np.asarray(np.inf, negatives.dtype)))


def share_of_matches(scores: FloatArray, threshold: float) -> float:
    """Share of `scores` (N,) at or above the threshold; not-a-number of none."""
    return float(np.mean(scores >= threshold)) if len(scores) else float("nan")


def fnir(searches: Searches, threshold: float, *, rank: int | None = None) -> float:
    """False-negative identification rate: ISO/IEC 19795-1's FNIR(N, R, T), R = `rank`, None for the whole gallery."""
    missed = searches.mated < threshold
    if rank is not None:
        missed |= searches.position > rank
    return float(np.mean(missed)) if len(missed) else float("nan")


def fnir_at_fpir(searches: Searches, fpir: float, *, rank: int | None = None) -> float:
    """`fnir` at the threshold of an FPIR."""
    return fnir(searches, threshold_at(searches.non_mated, fpir), rank=rank)


def tpr_at_fpr(comparisons: Comparisons, fpr: float) -> float:
    """Share of genuine pairs that match at the threshold of an FPR."""
    return share_of_matches(comparisons.genuine, threshold_at(comparisons.impostor, fpr))


def mean_false_matches(impostor: FloatArray, threshold: float, size: int) -> float:
    """False matches that one search of a gallery of `size` pictures is expected to return.

    By linearity of expectation size times the share of impostor pairs (N,) that match, whatever their dependence; it
    supposes only that the gallery's pictures are like those that were compared.
    """
    return size * share_of_matches(impostor, threshold)


def roc_curve(genuine: FloatArray, impostor: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """FPR, TPR and threshold, (T,) each: from no match at all through every distinct score, falling, to all matches."""
    thresholds = np.unique(np.concatenate([genuine, impostor]))[::-1]
    fpr, tpr = (
        np.concatenate([[0], len(scores) - np.searchsorted(np.sort(scores), thresholds)]) / max(1, len(scores))
        for scores in (impostor, genuine)
    )
    return fpr, tpr, np.concatenate([[np.inf], thresholds])


def auc(genuine: FloatArray, impostor: FloatArray) -> float:
    """Area under the ROC curve: how often a genuine pair scores above an impostor pair, equal scores counted half.

    Exact (the Mann-Whitney statistic); not-a-number where there are no pairs of a kind.
    """
    if not len(genuine) or not len(impostor):
        return float("nan")
    ordered = np.sort(impostor)
    wanted = np.sort(genuine)
    below = [np.searchsorted(ordered, wanted, side=side).mean() for side in ("left", "right")]
    return float(sum(below) / 2 / len(ordered))


def _collect(
    scores: NDArray[Any],
    query_ids: NDArray[Any],
    gallery_ids: NDArray[Any],
    invalid: BoolArray | None,
    enrolled: BoolArray,
    cmc: CmcKind | str,
) -> tuple[Searches, Comparisons]:
    permitted = np.ones(scores.shape, np.bool_) if invalid is None else ~invalid
    own = query_ids[:, None] == gallery_ids
    comparisons = Comparisons(genuine=scores[own & permitted], impostor=scores[~own & permitted])
    if np.isnan(comparisons.genuine).any() or np.isnan(comparisons.impostor).any():
        raise UsageError("a score is not a number; are the embeddings finite?")
    searched = permitted & enrolled
    first = np.asarray(rank(scores, query_ids, gallery_ids, invalid=~searched, cmc=cmc).first)
    people = np.unique(gallery_ids[enrolled])
    mated, known = first > 0, np.isin(query_ids, people)
    return Searches(
        enrolled=len(people),
        mated=_best(scores[mated], (own & searched)[mated]),
        position=first[mated],
        non_mated=_best(scores[~known], searched[~known]),
        left_out=int((known & ~mated).sum()),
    ), comparisons


def _best(scores: NDArray[Any], among: BoolArray) -> FloatArray:
    """(Q,) greatest score of every row among some, -inf where there is none."""
    found: FloatArray = np.where(among, scores, -np.inf).max(axis=1, initial=-np.inf).astype(scores.dtype)
    return found
