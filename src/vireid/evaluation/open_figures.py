"""Open-set figures of an evaluation: what is worked out of a trial's scores, and told as means over trials."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vireid.errors import DataError
from vireid.evaluation.open_set import (
    Comparisons,
    OpenSet,
    Searches,
    auc,
    fnir,
    mean_false_matches,
    share_of_matches,
    threshold_at,
)

__all__ = ["GALLERY_SIZES", "RATES", "OpenSetFigures", "open_set_json"]

RATES = (0.1, 0.01, 0.001, 0.0001)
"""False-positive rates whose thresholds are told, where the counts can show them."""
GALLERY_SIZES = (1_000, 10_000, 100_000)
"""Pictures of a gallery for which false matches are foretold."""

Row = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class OpenSetFigures:
    """One trial. Rates are fractions; the rows' keys are target rates.

    identification: per FPIR the threshold, FNIR at rank 1 and at any rank, and the false matches expected of a search.
    verification: per FPR the threshold and the TPR. counts: searches and pairs of each kind.
    """

    counts: Mapping[str, int]
    auc: float
    identification: Mapping[float, Row]
    verification: Mapping[float, Row]

    @classmethod
    def of(cls, searches: Searches, comparisons: Comparisons) -> "OpenSetFigures":
        """Of a trial's scores.

        Raises:
            DataError: no mated or no non-mated search, or no pair of a kind.
        """
        counts = {
            "enrolled_identities": searches.enrolled,
            "mated_searches": len(searches.mated),
            "non_mated_searches": len(searches.non_mated),
            "left_out_searches": searches.left_out,
            "genuine_pairs": len(comparisons.genuine),
            "impostor_pairs": len(comparisons.impostor),
        }
        for name, count in counts.items():
            if not count and name != "left_out_searches":
                wanted = name.replace("non_", "non-").replace("_", " ")
                raise DataError(
                    f"open-set figures need {wanted} and there are none; non-mated searches come of holding out a "
                    f"share of the identities (as 0.5), mated ones of the rest"
                )
        return cls(
            counts=counts,
            auc=auc(comparisons.genuine, comparisons.impostor),
            identification=_rows(len(searches.non_mated), lambda rate: _identification(searches, comparisons, rate)),
            verification=_rows(len(comparisons.impostor), lambda rate: _verification(comparisons, rate)),
        )


def _rows(negatives: int, row: Callable[[float], Row]) -> dict[float, Row]:
    """A row for every rate of which one of the negatives is no more."""
    return {rate: row(rate) for rate in RATES if rate * negatives >= 1}


def _identification(searches: Searches, comparisons: Comparisons, fpir: float) -> Row:
    threshold = threshold_at(searches.non_mated, fpir)
    return {
        "threshold": threshold,
        "fnir_rank1": fnir(searches, threshold, rank=1),
        "fnir": fnir(searches, threshold),
        **{
            f"false_matches_in_{size}": mean_false_matches(comparisons.impostor, threshold, size)
            for size in GALLERY_SIZES
        },
    }


def _verification(comparisons: Comparisons, fpr: float) -> Row:
    threshold = threshold_at(comparisons.impostor, fpr)
    return {"threshold": threshold, "tpr": share_of_matches(comparisons.genuine, threshold)}


def open_set_json(option: OpenSet, trials: Sequence[OpenSetFigures]) -> dict[str, Any]:
    """Means over trials, rates in percent, with `std` (one degree of freedom less; None for a single trial).

    Rows that not every trial could show are left out.
    """
    return {
        **option.to_json(),
        **{name: [trial.counts[name] for trial in trials] for name in trials[0].counts},
        **_mean([{"auc": trial.auc} for trial in trials]),
        "identification": [
            {"fpir": 100 * rate, **_mean([trial.identification[rate] for trial in trials])}
            for rate in RATES
            if all(rate in trial.identification for trial in trials)
        ],
        "verification": [
            {"fpr": 100 * rate, **_mean([trial.verification[rate] for trial in trials])}
            for rate in RATES
            if all(rate in trial.verification for trial in trials)
        ],
    }


def _mean(rows: Sequence[Row]) -> dict[str, Any]:
    table = {name: [_told(name, row[name]) for row in rows] for name in rows[0]}
    return {
        **{name: float(np.mean(column)) for name, column in table.items()},
        "std": {name: float(np.std(column, ddof=1)) if len(column) > 1 else None for name, column in table.items()},
    }


def _told(name: str, value: float) -> float:
    """Rates in percent; thresholds and numbers of pictures as they are."""
    return value if name == "threshold" or name.startswith("false_matches") else 100 * value
