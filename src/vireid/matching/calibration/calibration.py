"""A model's calibration: for every pair of modalities, what a score is worth and how often chance reaches it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vireid.errors import UsageError
from vireid.files import digest_of
from vireid.matching.calibration.fitting import (
    ScoredPairs,
    deal_folds,
    fit_logistic,
    held_out_llr,
    resampled,
)
from vireid.matching.calibration.measures import cllr, equal_error_rate, min_cllr
from vireid.options import Options
from vireid.types import Modality

__all__ = [
    "RESAMPLES",
    "Calibration",
    "PairCalibration",
    "calibrate_pair",
    "expected_false_matches",
    "expected_number",
    "pair_name",
]

FloatArray = NDArray[np.float64]

RESAMPLES = 500
_LEVEL = 0.95
_PER_DECADE = 20  # points of the tail between a count and ten times it


class PairCalibration(Options):
    """Of one pair of modalities: llr = slope * score + intercept, and what was seen when it was made.

    Cllr is of pairs whose people were not fitted on; `min_cllr` and `equal_error_rate` are of the same pairs.
    """

    slope: float = Field(gt=0, description="log-likelihood ratio (natural) for one unit of score")
    intercept: float
    covariance: tuple[float, float, float] = Field(
        description="of slope and intercept over identities drawn anew: variance, covariance, variance"
    )
    identities: int = Field(ge=2)
    genuine_pairs: int = Field(ge=1)
    impostor_pairs: int = Field(ge=1, description="pairs of two people that were looked at")
    cllr: float = Field(ge=0, description="bits; 0 is perfect, 1 says nothing")
    cllr_interval: tuple[float, float] = Field(description="95 %, over identities")
    min_cllr: float = Field(ge=0, description="the least that a monotone map of these scores could reach")
    equal_error_rate: float = Field(ge=0, le=1)
    least_score: float = Field(description="the lowest score that was seen")
    greatest_score: float = Field(description="the highest score that was seen")
    tail_scores: tuple[float, ...] = Field(min_length=1, description="scores of pairs of two people, falling")
    tail_counts: tuple[int, ...] = Field(description="how many of the pairs of two people score at least as high")

    def llr(self, score: NDArray[Any] | float) -> FloatArray:
        """Log-likelihood ratios (natural logarithm) of scores, same shape."""
        return np.asarray(self.slope * np.asarray(score, np.float64) + self.intercept)

    def score(self, llr: float) -> float:
        """The score of a log-likelihood ratio."""
        return (llr - self.intercept) / self.slope

    def error(self, score: NDArray[Any] | float) -> FloatArray:
        """Standard error of `llr` at scores, over which people it was fitted on."""
        values, (slope, both, intercept) = np.asarray(score, np.float64), self.covariance
        return np.sqrt(np.maximum(0.0, slope * values**2 + 2 * both * values + intercept))

    def seen(self, score: float) -> bool:
        """Whether the score lies within what was seen; beyond it the ratio is only the line continued."""
        return self.least_score <= score <= self.greatest_score

    def false_match_rate(self, llr: NDArray[Any] | float) -> FloatArray:
        """Share of pairs of two people that reach each log-likelihood ratio, same shape; never zero.

        Counted, not taken from the line: (1 + pairs that reach it) / (1 + pairs), so that a ratio which none reached
        is told as about one in so many pairs. Between kept scores the greater count is taken, at most 12 % too many.
        """
        wanted = (np.asarray(llr, np.float64) - self.intercept) / self.slope
        rising = np.asarray(self.tail_scores)[::-1]
        higher = len(rising) - np.searchsorted(rising, wanted, side="left")  # kept scores that reach it
        counts = np.concatenate([[0], np.asarray(self.tail_counts)])
        # Fewer pairs reach it than the next kept score, which does not.
        bound = np.concatenate([counts[1:] - 1, [self.impostor_pairs]])
        reached = np.where(higher < len(rising), bound[higher], self.impostor_pairs)
        return np.asarray((1 + np.maximum(reached, counts[higher])) / (1 + self.impostor_pairs))


class Calibration(Options):
    """What a bundle's scores mean; kept beside it as `calibration.json`.

    pairs: by the modality of the query and of the gallery picture, `visible-infrared`; missing: why others are not
    there. identities: the numbers of the people it was made on, in the data set of that kind, name and fingerprint.
    """

    format: int = Field(1, ge=1, le=1)
    bundle: str = Field(description="hash of the model whose scores these are")
    matcher: str
    pairs: Mapping[str, PairCalibration]
    missing: Mapping[str, str] = {}
    dataset: str
    dataset_kind: str
    dataset_fingerprint: str
    people: str = Field(description="which identities: held-out, val, test or all")
    identities: tuple[int, ...]
    identity_names: tuple[str, ...] = ()
    rule: str = Field(description="which pairs of pictures were left out, whoever they show")
    pictures: int = Field(ge=1, description="most pictures of a person before a camera")
    seed: int
    vireid: str
    created: str = Field(description="UTC, ISO 8601")

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of all of it."""
        return digest_of(self.model_dump(mode="json"))

    def of(self, query: Modality | str, gallery: Modality | str) -> PairCalibration | None:
        """The calibration of a query's modality with a gallery picture's; None where there is none."""
        return self.pairs.get(pair_name(query, gallery))

    def needed(self, query: Modality | str, gallery: Modality | str) -> PairCalibration:
        """As `of`.

        Raises:
            UsageError: there is none; says why.
        """
        found = self.of(query, gallery)
        if found is None:
            name = pair_name(query, gallery)
            raise UsageError(
                f"{query} queries with {gallery} pictures are not calibrated: {self.missing.get(name, 'not asked for')}"
            )
        return found


def pair_name(query: Modality | str, gallery: Modality | str) -> str:
    """What a pair of modalities is called: the query's, then the gallery picture's."""
    return f"{query}-{gallery}"


def calibrate_pair(
    pairs: ScoredPairs, *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[PairCalibration, ScoredPairs]:
    """Calibrate one pair of modalities; also the log-likelihood ratios of pairs whose people were not fitted on.

    The map is fitted on everybody; Cllr is of `held_out_llr`.

    Raises:
        DataError: too few people, or scores that nothing can be fitted to. UsageError: a fold holds no pair of a kind.
    """
    folds = deal_folds(pairs, seed=seed)
    slope, intercept = fit_logistic(pairs.genuine, pairs.impostor)
    raw, llr = held_out_llr(pairs, folds)
    draws = resampled(pairs, llr, resamples=resamples, seed=seed)
    low, high = np.quantile(draws.cllr, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    spread = np.cov(draws.line, rowvar=False)
    scores, counts = _tail(pairs.impostor)
    found = PairCalibration(
        slope=slope,
        intercept=intercept,
        covariance=(float(spread[0, 0]), float(spread[0, 1]), float(spread[1, 1])),
        identities=len(pairs.identities),
        genuine_pairs=len(pairs.genuine),
        impostor_pairs=len(pairs.impostor),
        cllr=cllr(llr.genuine, llr.impostor),
        cllr_interval=(float(low), float(high)),
        min_cllr=min_cllr(raw.genuine, raw.impostor),
        equal_error_rate=equal_error_rate(raw.genuine, raw.impostor),
        least_score=float(min(pairs.genuine.min(), pairs.impostor.min())),
        greatest_score=float(max(pairs.genuine.max(), pairs.impostor.max())),
        tail_scores=tuple(scores.tolist()),
        tail_counts=tuple(counts.tolist()),
    )
    return found, llr


def expected_false_matches(
    searched: Mapping[str, int], calibrations: Mapping[str, PairCalibration], llr: NDArray[Any] | float
) -> FloatArray:
    """Pictures of other people that one search is expected to find at or above log-likelihood ratios, same shape.

    By linearity of expectation the sum over modalities of their number of pictures times the false match rate, whatever
    the pictures' dependence; it supposes that the gallery's people and cameras are like those of the calibration.

    Args:
        searched: pictures by modality. calibrations: by the same modalities.
    """
    parts = [count * calibrations[modality].false_match_rate(llr) for modality, count in searched.items()]
    return np.asarray(np.sum(parts, axis=0)) if parts else np.zeros(np.shape(llr))


def expected_number(value: float) -> str:
    """A number of pictures to be expected, as people read it: 0.03, 1.2, 340."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _tail(impostor: FloatArray) -> tuple[FloatArray, NDArray[np.int64]]:
    """Scores, falling and distinct, with how many reach each: the first ones, then twenty for every tenfold count."""
    falling = np.sort(impostor)[::-1]
    points = int(_PER_DECADE * np.log10(len(falling))) + 2
    places = np.unique(np.round(np.geomspace(1, len(falling), points)).astype(np.int64))
    scores = np.unique(falling[places - 1])[::-1]
    counts = len(falling) - np.searchsorted(falling[::-1], scores, side="left")
    return scores, counts.astype(np.int64)
