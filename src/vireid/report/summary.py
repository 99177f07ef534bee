"""The summary page of one run: what was trained on what, how it tested, and how training went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup

from vireid.evaluation.results import METRICS
from vireid.files import write_text
from vireid.methods.bundle import Bundle
from vireid.report.figures import cells_of, label, ranking_of
from vireid.report.plots import line_plot
from vireid.training.run import Run

__all__ = ["write_summary"]

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
        metrics=[label(name) for name in METRICS],
        losses=Markup(_loss_curve(run.records())),  # our own SVG, no text of a user in it
        links=links or {},
    )
    write_text(out, page)


def _row(figure: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "dataset": figure["fingerprint"]["dataset"],
        "protocol": figure["protocol"],
        "ranking": ranking_of(figure),
        "trials": figure["trials"],
        "cells": [
            mean if spread == "-" else f"{mean} ± {spread}" for mean, spread in cells_of(figure, digits=1).values()
        ],
    }


def _loss_curve(records: Sequence[Mapping[str, Any]]) -> str:
    """Every loss over the steps that had it: phases may have losses of their own."""
    steps = [record for record in records if "losses" in record]
    series = {}
    for name in dict.fromkeys(name for record in steps for name in record["losses"]):
        having = [record for record in steps if name in record["losses"]]
        groups = [having[start : start + _SMOOTHING] for start in range(0, len(having), _SMOOTHING)]
        means = [sum(record["losses"][name] for record in group) / len(group) for group in groups]
        series[name] = ([group[0]["step"] for group in groups], means)
    return line_plot(series, x="step", y="loss", from_zero=True)
