"""Plots as SVG text that takes the page's own colours and letters, with a text for those who cannot see it."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

__all__ = ["Points", "line_plot", "point_plot", "step_plot"]

_COLOURS = ("#3b78e0", "#d9742f", "#2f9e6e", "#a765c4", "#8a8a8a", "#c8527f", "#1f9bb0", "#9a8420")
_FEW = 4  # points that a line alone would hide
_INK = "#010203"  # stands for the page's own colour of letters
_SIZE = (4.6, 2.9)  # inches of 72 points


@dataclass(frozen=True)
class Points:
    """A cloud of points of one colour (a number) and shape: `o` or `^`."""

    name: str
    x: ArrayLike
    y: ArrayLike
    colour: int
    shape: str = "o"


def line_plot(
    series: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    x: str,
    y: str,
    alt: str,
    from_zero: bool = False,
    log_x: bool = False,
) -> Markup:
    """Named lines (x values, y values) as an SVG element."""
    figure, axes = _axes(x, y)
    for colour, (name, (xs, ys)) in zip(itertools.cycle(_COLOURS), series.items(), strict=False):
        few = len(xs) < _FEW  # type: ignore[arg-type]
        axes.plot(xs, ys, color=colour, linewidth=1.7, label=name, marker="o" if few else None)
    if log_x:
        axes.set_xscale("log")
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))  # ranks, steps, people
    if from_zero:
        axes.set_ylim(bottom=0)
    if len(series) > 1:
        _legend(axes)
    return _svg(figure, alt)


def step_plot(edges: ArrayLike, series: Mapping[str, ArrayLike], *, x: str, y: str, alt: str) -> Markup:
    """Histograms over the same `edges` (B + 1,), each of heights (B,), one before the other."""
    figure, axes = _axes(x, y)
    for colour, (name, heights) in zip(itertools.cycle(_COLOURS), series.items(), strict=False):
        axes.stairs(heights, edges, fill=True, color=colour, alpha=0.35)
        axes.stairs(heights, edges, color=colour, linewidth=1.4, label=name)
    axes.set_ylim(bottom=0)
    _legend(axes)
    return _svg(figure, alt)


def point_plot(clouds: Sequence[Points], *, alt: str) -> Markup:
    """Clouds of points on a plane whose axes mean nothing; clouds of one name share an entry of the legend."""
    figure, axes = _axes("", "")
    for cloud in clouds:
        colour = _COLOURS[cloud.colour % len(_COLOURS)]
        axes.scatter(
            cloud.x, cloud.y, s=18, color=colour, alpha=0.8, marker=cloud.shape, linewidths=0, label=cloud.name
        )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    figure.legend(
        handles.values(), handles.keys(), frameon=False, labelcolor=_INK, loc="outside right upper", fontsize=9
    )
    return _svg(figure, alt)


def _axes(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x, color=_INK)
    axes.set_ylabel(y, color=_INK)
    axes.tick_params(colors=_INK)
    for side, spine in axes.spines.items():
        spine.set_visible(side in {"left", "bottom"})
        spine.set_color(_INK)
    axes.grid(alpha=0.25)
    return figure, axes


def _legend(axes: Axes) -> None:
    axes.legend(frameon=False, labelcolor=_INK, fontsize=9)


def _svg(figure: Figure, alt: str) -> Markup:
    """The figure as an SVG element; letters stay letters, and ids do not change from one writing to the next."""
    text = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "vireid"}):
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(text, format="svg", transparent=True, metadata=metadata)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # every drawing numbers its groups from one
    return Markup(svg.replace("<svg", f'<svg role="img" aria-label="{escape(alt)}"', 1))
