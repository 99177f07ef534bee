"""From scores to log-likelihood ratios by logistic regression, and how sure that is.

The map is llr = slope * score + intercept, fitted by maximum likelihood with both kinds of pairs weighted to a stated
prior (Brümmer and du Preez, 2006). It is exact where the scores of both kinds are normal with one variance.

Pairs of one person rise and fall together, and a person is in many pairs. So whoever is measured was not fitted on:
the identities are dealt into folds, and a fold's pairs get the map of the other folds. And what is drawn anew for an
interval are identities: a pair of two people counts as often as the product of their draws.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from vireid.errors import DataError, UsageError
from vireid.matching.calibration.measures import checked_scores, cllr_costs

__all__ = ["LEAST_IDENTITIES", "Draws", "ScoredPairs", "deal_folds", "fit_logistic", "held_out_llr", "resampled"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

LEAST_IDENTITIES = 8
"""People without whom nothing is calibrated."""
_FOLDS = 5
_STEPS = 100
_BINS = 512
_DRAWN = 200_000  # pairs of two people that are fitted anew in a draw; it is people that make it unsure, not pairs


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredPairs:
    """Scores of pairs of pictures, with who they show.

    genuine: (P,) scores of pairs of one person, owner: (P,) int64, who it is. impostor: (N,) scores of pairs of two
    people, owners: (N, 2) int64.
    """

    genuine: FloatArray
    owner: IntArray
    impostor: FloatArray
    owners: IntArray

    def __post_init__(self) -> None:
        checked_scores(self.genuine, self.impostor)
        if self.owner.shape != self.genuine.shape or self.owners.shape != (len(self.impostor), 2):
            raise UsageError(
                f"{len(self.genuine)} and {len(self.impostor)} pairs have owners of shapes {self.owner.shape} and "
                f"{self.owners.shape}; give one for each of the former, two for each of the latter"
            )

    @property
    def identities(self) -> IntArray:
        """Who is in a pair, rising."""
        return np.unique(np.concatenate([self.owner, self.owners.ravel()]))

    def drawn(self, count: int, rng: np.random.Generator) -> ScoredPairs:
        """At most `count` of the pairs of two people, and all pairs of one."""
        if len(self.impostor) <= count:
            return self
        kept = rng.choice(len(self.impostor), count, replace=False)
        return replace(self, impostor=self.impostor[kept], owners=self.owners[kept])

    def among(self, people: IntArray) -> ScoredPairs:
        """Pairs of which everybody is one of `people`.

        Raises:
            UsageError: no pair of a kind is left.
        """
        one, two = np.isin(self.owner, people), np.isin(self.owners, people).all(axis=1)
        return ScoredPairs(
            genuine=self.genuine[one],
            owner=self.owner[one],
            impostor=self.impostor[two],
            owners=self.owners[two],
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Draws:
    """What drawing identities anew gave: Cllr (B,) in bits, and (slope, intercept) (C, 2) of the fits that exist."""

    cllr: FloatArray
    line: FloatArray


def fit_logistic(
    genuine: NDArray[Any],
    impostor: NDArray[Any],
    *,
    prior: float = 0.5,
    weights: tuple[NDArray[Any], NDArray[Any]] | None = None,
) -> tuple[float, float]:
    """Slope and intercept of llr = slope * score + intercept (natural logarithm).

    Args:
        genuine, impostor: (P,) and (N,) scores of pairs of one person and of two.
        prior: the share that pairs of one person are weighted to; 0.5 minimises Cllr on these pairs.
        weights: (P,) and (N,), how often each pair counts within its kind (None: once).

    Raises:
        UsageError: a prior outside (0, 1), none of a kind, a score that is not a finite number.
        DataError: all scores are equal; one threshold separates both kinds, so that no ratio is too great; or pairs of
            one person do not score higher.
    """
    same, different = checked_scores(genuine, impostor)
    if not 0 < prior < 1:
        raise UsageError(f"prior is {prior}; it must lie between 0 and 1")
    counts = (np.ones(len(same)), np.ones(len(different))) if weights is None else weights
    there = [np.asarray(count, np.float64) > 0 for count in counts]
    if not (there[0].any() and there[1].any()):
        raise UsageError("all pairs of a kind have weight zero")
    same, different = same[there[0]], different[there[1]]
    _refuse_degenerate(same, different)
    scores = np.concatenate([same, different])
    centre, width = float(scores.mean()), float(scores.std())
    design = np.stack([(scores - centre) / width, np.ones(len(scores))], axis=1)
    sign = np.concatenate([np.ones(len(same)), -np.ones(len(different))])
    parts = [np.asarray(count, np.float64)[mask] for count, mask in zip(counts, there, strict=True)]
    weight = np.concatenate([prior * parts[0] / parts[0].sum(), (1 - prior) * parts[1] / parts[1].sum()])
    slope, intercept = _newton(design, sign, weight, float(logit(prior)))
    if slope <= 0:
        raise DataError("pairs of one person do not score higher than pairs of two, so scores say nothing to calibrate")
    return slope / width, intercept - slope * centre / width


def deal_folds(pairs: ScoredPairs, *, seed: int = 0) -> list[IntArray]:
    """The identities in five parts; in fewer where a part would hold fewer than two who are in pairs of one person.

    Raises:
        DataError: fewer than `LEAST_IDENTITIES` of those.
    """
    mated = np.unique(pairs.owner)
    if len(mated) < LEAST_IDENTITIES:
        raise DataError(
            f"{len(mated)} people with pairs of pictures are too few to calibrate on; at least {LEAST_IDENTITIES} are "
            f"needed, and about a hundred for narrow intervals"
        )
    rng = np.random.default_rng(seed)
    others = np.setdiff1d(pairs.identities, mated)
    order = np.concatenate([rng.permutation(mated), rng.permutation(others)])
    count = min(_FOLDS, len(mated) // 2)
    return [np.sort(order[place::count]) for place in range(count)]


def held_out_llr(pairs: ScoredPairs, folds: list[IntArray]) -> tuple[ScoredPairs, ScoredPairs]:
    """Scores, and log-likelihood ratios by a map that saw none of the people: pairs of which everybody is in one fold.

    Both results hold the same pairs in the same order.

    Raises:
        DataError: the pairs of the other folds have no map. UsageError: a fold holds no pair of a kind.
    """
    people = np.concatenate(folds)
    scored, calibrated = [], []
    for fold in folds:
        slope, intercept = _fitted(pairs.among(np.setdiff1d(people, fold)))
        inside = pairs.among(fold)
        scored.append(inside)
        calibrated.append((slope * inside.genuine + intercept, slope * inside.impostor + intercept))
    raw = _joined(scored, [(part.genuine, part.impostor) for part in scored])
    return raw, _joined(scored, calibrated)


def resampled(pairs: ScoredPairs, llr: ScoredPairs, *, resamples: int, seed: int = 0) -> Draws:
    """Draw identities anew, with all of their pairs.

    pairs: with scores, from whom the map is fitted anew, on scores rounded to 512 steps. llr: with log-likelihood
    ratios, whose Cllr is worked out anew. Draws that leave no pair of a kind, or none that can be fitted, are left out.
    """
    rng = np.random.default_rng(seed)
    pairs = pairs.drawn(_DRAWN, rng)
    identities = np.union1d(pairs.identities, llr.identities)
    costs = cllr_costs(llr.genuine, llr.impostor)
    places = [np.searchsorted(identities, part) for part in (pairs.owner, pairs.owners, llr.owner, llr.owners)]
    bins = _Bins.of(pairs)
    found, lines = [], []
    for _ in range(resamples):
        drawn = np.bincount(rng.integers(len(identities), size=len(identities)), minlength=len(identities))
        weight = drawn.astype(np.float64)
        one, two = weight[places[2]], weight[places[3]].prod(axis=1)
        if one.any() and two.any():
            found.append((np.average(costs[0], weights=one) + np.average(costs[1], weights=two)) / 2)
        line = bins.line(weight[places[0]], weight[places[1]].prod(axis=1))
        if line is not None:
            lines.append(line)
    return Draws(cllr=np.array(found), line=np.array(lines, np.float64).reshape(-1, 2))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Bins:
    """Scores rounded to the middle of equal steps; which step each pair of either kind is in."""

    middle: FloatArray
    same: IntArray
    different: IntArray

    @classmethod
    def of(cls, pairs: ScoredPairs) -> _Bins:
        both = np.concatenate([pairs.genuine, pairs.impostor])
        edges = np.linspace(both.min(), both.max(), _BINS + 1)
        same, different = (_step_of(part, edges) for part in (pairs.genuine, pairs.impostor))
        return cls(middle=(edges[1:] + edges[:-1]) / 2, same=same, different=different)

    def line(self, same: FloatArray, different: FloatArray) -> tuple[float, float] | None:
        """The map of weighted pairs; None where there is none."""
        weights = (
            np.bincount(self.same, same, minlength=len(self.middle)),
            np.bincount(self.different, different, minlength=len(self.middle)),
        )
        try:
            return fit_logistic(self.middle, self.middle, weights=weights)
        except (DataError, UsageError):
            return None


def _step_of(scores: FloatArray, edges: FloatArray) -> IntArray:
    return np.clip(np.searchsorted(edges, scores, "right") - 1, 0, _BINS - 1).astype(np.int64)


def _fitted(pairs: ScoredPairs) -> tuple[float, float]:
    return fit_logistic(pairs.genuine, pairs.impostor)


def _joined(parts: list[ScoredPairs], values: list[tuple[FloatArray, FloatArray]]) -> ScoredPairs:
    return ScoredPairs(
        genuine=np.concatenate([one for one, _ in values]),
        owner=np.concatenate([part.owner for part in parts]),
        impostor=np.concatenate([two for _, two in values]),
        owners=np.concatenate([part.owners for part in parts]),
    )


def _refuse_degenerate(same: FloatArray, different: FloatArray) -> None:
    if not (np.isfinite(same).all() and np.isfinite(different).all()):
        raise UsageError("a score is infinite; a log-likelihood ratio is fitted to finite scores")
    if min(same.min(), different.min()) == max(same.max(), different.max()):
        raise DataError("all scores are equal, so they say nothing to calibrate")
    if same.max() <= different.min():
        raise DataError("every pair of one person scores below every pair of two; is it a distance, not a score?")
    if same.min() >= different.max():
        raise DataError(
            f"all {len(same)} pairs of one person score above all {len(different)} pairs of two: no ratio would be too "
            f"great, so none can be fitted; calibrate on more people"
        )


def _newton(design: FloatArray, sign: FloatArray, weight: FloatArray, offset: float) -> tuple[float, float]:
    """The minimum of sum of weight * log(1 + exp(-sign * (design @ beta + offset))), which is convex."""

    def cost(beta: FloatArray) -> float:
        return float(weight @ np.logaddexp(0.0, -sign * (design @ beta + offset)))

    beta, value = np.zeros(2), cost(np.zeros(2))
    for _ in range(_STEPS):
        miss = expit(-sign * (design @ beta + offset))  # probability of the wrong kind
        gradient = -(design.T @ (weight * sign * miss))
        curvature = (design * (weight * miss * (1 - miss))[:, None]).T @ design
        step = np.linalg.solve(curvature + 1e-14 * np.eye(2), gradient)
        decrement = float(gradient @ step)
        if decrement < 1e-18:
            break
        length = 1.0
        while cost(beta - length * step) > value - 1e-4 * length * decrement and length > 1e-8:
            length /= 2
        if length <= 1e-8:  # rounding is all that is left
            break
        beta, value = beta - length * step, cost(beta - length * step)
    return float(beta[0]), float(beta[1])
