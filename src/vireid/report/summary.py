"""The summary page of one run: what was trained on what, how it tested, and how training went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup

from vireid.files import write_text
from vireid.methods.bundle import Bundle
from vireid.report.plots import line_plot
from vireid.training.run import Run

__all__ = ["write_summary"]

_METRICS = {
    "rank1": "rank-1",
    "rank5": "rank-5",
    "rank10": "rank-10",
    "rank20": "rank-20",
    "mAP": "mAP",
    "mINP": "mINP",
}
_SMOOTHING = 10  # steps that are averaged for a point of the loss curve


def write_summary(run: Run, out: Path, *, links: Mapping[str, str] | None = None, command: str = "") -> None:
    """Write the page of `run` to `out`, self-contained; `links` are further pages beside it."""
    bundle = Bundle.open(run.path)
    environment = Environment(loader=PackageLoader("vireid.report"), autoescape=select_autoescape(["html"]))
    page = environment.get_template("summary.html").render(
        bundle=bundle,
        recipe=run.recipe(),
        command=command,
        figures=[_row(figure) for figure in bundle.figures()],
        metrics=list(_METRICS.values()),
        losses=Markup(_loss_curve(run.records())),  # our own SVG, no text of a user in it
        links=links or {},
    )
    write_text(out, page)


def _row(figure: Mapping[str, Any]) -> dict[str, Any]:
    cells = []
    for key in _METRICS:
        spread = figure["std"][key]
        cells.append(f"{figure[key]:.1f}" + ("" if spread is None else f" ± {spread:.1f}"))
    return {"protocol": figure["protocol"], "mode": figure["mode"], "trials": figure["trials"], "cells": cells}


def _loss_curve(records: Sequence[Mapping[str, Any]]) -> str:
    steps = [record for record in records if "losses" in record]
    names = list(steps[0]["losses"]) if steps else []
    series = {}
    for name in names:
        values = [record["losses"][name] for record in steps]
        starts = range(0, len(values), _SMOOTHING)
        means = [sum(values[i : i + _SMOOTHING]) / len(values[i : i + _SMOOTHING]) for i in starts]
        series[name] = ([steps[i]["step"] for i in starts], means)
    return line_plot(series, x="step", y="loss", from_zero=True)
