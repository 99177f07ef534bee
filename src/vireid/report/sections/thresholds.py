"""Which threshold lets how much through."""

from __future__ import annotations

from dataclasses import dataclass

from vireid.evaluation.open_figures import GALLERY_SIZES, RATES
from vireid.evaluation.open_set import mean_false_matches, share_of_matches, threshold_at
from vireid.matching.calibration import expected_number
from vireid.report.blocks import Section, Table
from vireid.report.material import Material

__all__ = ["Row", "thresholds", "thresholds_of"]


@dataclass(frozen=True)
class Row:
    """fpr, tpr: fractions. false_matches: expected of one search, by pictures in the gallery."""

    fpr: float
    threshold: float
    tpr: float
    false_matches: dict[int, float]


def thresholds(run: Material) -> Section:
    """A table of them."""
    rows = [
        [
            f"{100 * row.fpr:g}",
            f"{row.threshold:.4f}",
            f"{100 * row.tpr:.1f}",
            *map(expected_number, row.false_matches.values()),
        ]
        for row in thresholds_of(run)
    ]
    columns = ["FPR, %", "threshold", "TPR, %", *(f"false in {size:,}" for size in GALLERY_SIZES)]
    caption = (
        "A pair of pictures whose score reaches the threshold counts as one person. FPR: pairs of two people that do; "
        "TPR: pairs of one person that do. False: matches with other people that one search of a gallery of so many "
        "pictures is expected to return. Rates that the pairs of the first trial are too few for are left out."
    )
    return Section("Thresholds", [Table(caption, columns, rows, names=0)])


def thresholds_of(run: Material) -> list[Row]:
    """One row for each false-positive rate that the number of pairs can show."""
    genuine, impostor = run.comparisons.genuine, run.comparisons.impostor
    found = []
    for rate in RATES:
        if rate * len(impostor) >= 1:
            threshold = threshold_at(impostor, rate)
            expected = {size: mean_false_matches(impostor, threshold, size) for size in GALLERY_SIZES}
            found.append(Row(rate, threshold, share_of_matches(genuine, threshold), expected))
    return found
