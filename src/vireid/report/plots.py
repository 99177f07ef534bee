"""Plots as SVG text that takes the page's own colours."""

import io
import itertools
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

__all__ = ["line_plot"]

_COLOURS = ("#3b6fd4", "#d4763b", "#3ba272", "#9a60b4", "#7a7a7a")
_FEW = 4  # points that a line alone would hide
_INK = "#808080"  # readable on white and on black


def line_plot(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, x: str, y: str, from_zero: bool = False
) -> str:
    """Named lines (x values, y values) as an SVG element."""
    figure = Figure(figsize=(5.2, 2.8), layout="constrained")
    axes = figure.add_subplot()
    for colour, (name, (xs, ys)) in zip(itertools.cycle(_COLOURS), series.items(), strict=False):
        axes.plot(xs, ys, color=colour, linewidth=1.6, label=name, marker="o" if len(xs) < _FEW else None)
    axes.set_xlabel(x, color=_INK)
    axes.set_ylabel(y, color=_INK)
    if from_zero:
        axes.set_ylim(bottom=0)
    axes.tick_params(colors=_INK)
    for side, spine in axes.spines.items():
        spine.set_visible(side in {"left", "bottom"})
        spine.set_color(_INK)
    axes.grid(alpha=0.2)
    if len(series) > 1:
        axes.legend(frameon=False, labelcolor=_INK)
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    svg = text.getvalue()
    return svg[svg.index("<svg") :]
