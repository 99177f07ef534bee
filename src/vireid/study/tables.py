"""Figures and differences as rows of a table; the command line and study pages use the same words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from vireid.evaluation.comparison import Difference, Figure
from vireid.evaluation.results import metric_label

__all__ = [
    "FIGURE_COLUMNS",
    "FOUND_COLUMNS",
    "figure_cells",
    "found_cells",
    "markdown",
    "points",
    "probability",
]

FIGURE_COLUMNS = ("metric", "runs", "mean", "95 % interval", "std runs", "std trials")
FOUND_COLUMNS = ("metric", "points", "95 % interval", "p (Holm)", "smallest", "verdict")


def figure_cells(figure: Figure) -> list[str]:
    """Cells below `FIGURE_COLUMNS`, in percent."""
    low, high = figure.interval
    spreads = ("-" if spread is None else f"{spread:.2f}" for spread in (figure.std_runs, figure.std_trials))
    mean = f"{figure.estimate.value:.2f}"
    return [metric_label(figure.metric), str(figure.sample.runs), mean, f"{low:.1f} to {high:.1f}", *spreads]


def found_cells(found: Difference, verdict: str) -> list[str]:
    """Cells below `FOUND_COLUMNS`, in percentage points."""
    return [
        metric_label(found.metric),
        f"{found.estimate.value:+.2f}",
        points(*found.interval),
        probability(found.p_holm),
        f"{found.smallest:.2f}",
        verdict,
    ]


def points(low: float, high: float) -> str:
    """An interval of differences, signed."""
    return f"{low:+.2f} to {high:+.2f}"


def probability(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def markdown(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table, with a newline at its end."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |\n" for line in lines)
