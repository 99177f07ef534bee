"""How good log-likelihood ratios are: Cllr, the best that any monotone map of the scores could reach, equal errors.

A log-likelihood ratio is the natural logarithm of p(score | one person) / p(score | two people). Sources: Brümmer and
du Preez, "Application-independent evaluation of speaker detection" (Computer Speech and Language, 2006), for Cllr and
its minimum; Brümmer and de Villiers, "The BOSARIS toolkit" (2011), for the equal error rate on the convex hull.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
from scipy.special import logit

from vireid.errors import UsageError

__all__ = ["checked_scores", "cllr", "cllr_costs", "equal_error_rate", "isotonic_llr", "min_cllr"]

FloatArray = NDArray[np.float64]


def cllr(genuine: NDArray[Any], impostor: NDArray[Any]) -> float:
    """Cost of log-likelihood ratios in bits: 0 is perfect, 1 what saying nothing (all ratios one) costs.

    genuine: (P,) natural log-likelihood ratios of pairs that show one person; impostor: (N,) of two people. The mean of
    log2(1 + exp(-llr)) over the former and of log2(1 + exp(llr)) over the latter, both kinds weighing alike. A single
    infinite ratio of the wrong sign makes it infinite.

    Raises:
        UsageError: none of a kind, or one that is not a number.
    """
    costs = cllr_costs(*checked_scores(genuine, impostor))
    return float((costs[0].mean() + costs[1].mean()) / 2)


def cllr_costs(genuine: FloatArray, impostor: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(P,) and (N,) bits that every pair costs; see `cllr`."""
    return np.logaddexp(0.0, -genuine) / np.log(2), np.logaddexp(0.0, impostor) / np.log(2)


def isotonic_llr(genuine: NDArray[Any], impostor: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    """The scores (U,), rising, and the log-likelihood ratios (U,) of the best monotone map, by pool adjacent violators.

    genuine: (P,), impostor: (N,) scores, higher is better. Best by Cllr and by every other proper scoring rule, on
    these very pairs: a reference, not a calibration, since it knows who is who. Infinite where a run of scores is of
    one kind.

    Raises:
        UsageError: as `cllr`.
    """
    scores, same, different = _counts(*checked_scores(genuine, impostor))
    share = isotonic_regression(same / (same + different), weights=same + different).x
    # A block of one kind is 0 or 1 up to rounding; the others are at least one pair away from both.
    share = np.where(share < 0.5 / (same.sum() + different.sum()), 0.0, share)
    share = np.where(share > 1 - 0.5 / (same.sum() + different.sum()), 1.0, share)
    return scores, np.asarray(logit(share) - np.log(same.sum() / different.sum()))


def min_cllr(genuine: NDArray[Any], impostor: NDArray[Any]) -> float:
    """Cllr after the best monotone map: what the order of the scores alone makes unavoidable.

    Raises:
        UsageError: as `cllr`.
    """
    first, second = checked_scores(genuine, impostor)
    scores, llr = isotonic_llr(first, second)
    return cllr(llr[np.searchsorted(scores, first)], llr[np.searchsorted(scores, second)])


def equal_error_rate(genuine: NDArray[Any], impostor: NDArray[Any]) -> float:
    """The rate at which as many pairs of one person are missed as pairs of two match, on the ROC curve's convex hull.

    Raises:
        UsageError: as `cllr`.
    """
    first, second = checked_scores(genuine, impostor)
    _, same, different = _counts(first, second)
    llr = isotonic_llr(first, second)[1]
    starts = np.flatnonzero(np.concatenate([[True], llr[1:] != llr[:-1]]))  # blocks of the hull, scores rising
    missed = np.concatenate([[0.0], np.cumsum(np.add.reduceat(same, starts)) / same.sum()])
    matched = 1 - np.concatenate([[0.0], np.cumsum(np.add.reduceat(different, starts)) / different.sum()])
    place = int(np.argmax(missed >= matched))  # the hull crosses the diagonal on the segment that ends here
    above, below = matched[place - 1] - missed[place - 1], missed[place] - matched[place]
    return float(missed[place - 1] + above / (above + below) * (missed[place] - missed[place - 1]))


def checked_scores(genuine: NDArray[Any], impostor: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    """Both as (P,) and (N,) float64.

    Raises:
        UsageError: none of a kind, another shape, or one that is not a number.
    """
    parts = np.asarray(genuine, np.float64), np.asarray(impostor, np.float64)
    for part, what in zip(parts, ("one person", "two people"), strict=True):
        if part.ndim != 1 or not len(part):
            raise UsageError(f"scores of pairs that show {what} have shape {part.shape}; give one or more in a row")
        if np.isnan(part).any():
            raise UsageError(f"a score of a pair that shows {what} is not a number; are the embeddings finite?")
    return parts


def _counts(genuine: FloatArray, impostor: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Distinct scores (U,), rising, and how many pairs of one person and of two have each."""
    scores, place = np.unique(np.concatenate([genuine, impostor]), return_inverse=True)
    same = np.bincount(place[: len(genuine)], minlength=len(scores))
    different = np.bincount(place[len(genuine) :], minlength=len(scores))
    return scores, same.astype(np.float64), different.astype(np.float64)
