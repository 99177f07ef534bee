"""The pages of a study: study.json for machines, study.md and study.svg for people."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from vireid.evaluation.comparison import Difference
from vireid.evaluation.results import metric_label
from vireid.files import write_json, write_text
from vireid.study.plan import Contrast
from vireid.study.results import METRICS, Results, RowResult
from vireid.study.tables import FOUND_COLUMNS, found_cells, markdown, points, probability

__all__ = ["contrast_rows", "write_results"]

REGISTERED_COLUMNS = ("contrast", "row", "baseline", "data", "protocol", "metric", "expected")
CONTRAST_COLUMNS = ("contrast", *FOUND_COLUMNS)

_REGISTERED, _OTHER, _INK = "#3b6fd4", "#7a7a7a", "#808080"  # the ink is readable on white and on black

_MEANING = """
Means are over seeds of the mean over the protocol's trials, ± the standard deviation over seeds. Intervals hold 95 %
and come from a bootstrap over test identities (each with all of its queries, galleries as they are) and training seeds
together. Differences are paired by identity. p is two-sided; the verdict uses it adjusted for all registered contrasts
by Holm's method, at 5 %. `smallest` is the true difference that this design would find with 80 % probability: a
difference that is "not resolved" may be anything within its interval. Everything is in percent or percentage points.
"""


def write_results(results: Results, out: Path) -> None:
    """Write study.json, study.md and, where there is a difference to show, study.svg into `out`."""
    write_json(out / "study.json", results.to_json())
    plotted = list(_plotted(results))
    if plotted:
        write_text(out / "study.svg", _forest(plotted))
    write_text(out / "study.md", _page(results, plot=bool(plotted)))


def contrast_rows(results: Results) -> list[list[str]]:
    """Cells below `CONTRAST_COLUMNS`."""
    return [
        [one.name, *found_cells(one.difference, one.verdict)]
        if one.difference
        else [one.name, metric_label(one.contrast.metric), *["-"] * 4, one.verdict]
        for one in results.contrasts
    ]


def _page(results: Results, *, plot: bool) -> str:
    study = results.runs.study
    expected = markdown(REGISTERED_COLUMNS, [_expectation(one.name, one.contrast) for one in results.contrasts])
    contrasts = f"{expected}\n{markdown(CONTRAST_COLUMNS, contrast_rows(results))}" if results.contrasts else "None.\n"
    lacking = "".join(f"- {one.name} lacks {', '.join(one.missing)}\n" for one in results.contrasts if one.missing)
    rows = markdown(("row", "data", "protocol", "runs", *map(metric_label, METRICS)), map(_row, results.rows))
    runs = markdown(("run", "state", "mAP", "minutes", "attempts", "error"), map(_run, results.journal))
    parts = {
        f"# {study.name}": f"{study.question.strip()}\n\n{_registered(results)}",
        "## Registered contrasts": f"{contrasts}\n{lacking}",
        "## Differences": "![differences with their intervals](study.svg)\n" if plot else "",
        "## Rows": rows,
        "## Exploratory differences": _exploratory(results),
        "## Every run": runs,
        "## What the numbers mean": _MEANING,
    }
    return "\n".join(f"{title}\n\n{text.strip()}\n" for title, text in parts.items() if text)


def _registered(results: Results) -> str:
    told = results.registration
    code = told["code"]
    commit = f", commit {code['commit'][:12]}" if "commit" in code else ""
    changed = " with changes to it" if code.get("changed") else ""
    when = f"Registered on {told['registered']} with vireid {code['vireid']}{commit}{changed}."
    return f"{when} SHA-256 of the study file: {told['file_sha256']}."


def _exploratory(results: Results) -> str:
    if not results.exploratory:
        return ""
    columns = ("mAP of", "data", "protocol", "difference", "95 % interval", "p (not adjusted)")
    rows = [
        (f"{one.a} - {one.b}", data, protocol, f"{one.estimate.value:+.2f}", points(*one.interval), probability(one.p))
        for data, protocol, one in results.exploratory
    ]
    return "Nobody registered these: they raise questions.\n\n" + markdown(columns, rows)


def _row(row: RowResult) -> list[str]:
    cells = []
    for metric in METRICS:
        figure = row.figures.get(metric)
        if figure is None:
            cells.append("-")
            continue
        spread = "" if figure.std_runs is None else f" ± {figure.std_runs:.1f}"
        cells.append(f"{figure.estimate.value:.1f}{spread} ({figure.interval[0]:.1f} to {figure.interval[1]:.1f})")
    return [row.row, row.data, row.protocol, f"{row.runs} of {row.planned}", *cells]


def _expectation(name: str, contrast: Contrast) -> list[str]:
    """Cells below `REGISTERED_COLUMNS`."""
    expected = contrast.direction if contrast.margin is None else f"within ±{contrast.margin:g}"
    places = [", ".join(contrast.data), contrast.protocol, metric_label(contrast.metric)]
    return [name, contrast.row, contrast.baseline, *places, expected]


def _run(entry: Mapping[str, Any]) -> list[str]:
    figures = ", ".join(f"{found['mAP']:.1f}" for found in entry["figures"].values())
    error = " ".join((entry["error"] or "").split())
    return [entry["run"], entry["state"], figures, f"{entry['seconds'] / 60:.1f}", str(entry["attempts"]), error]


def _plotted(results: Results) -> Iterator[tuple[str, Difference, bool, float | None]]:
    """Name, difference, whether it was registered, and the margin it should stay in."""
    for one in results.contrasts:
        if one.difference is not None:
            yield f"{one.name} ({metric_label(one.contrast.metric)})", one.difference, True, one.contrast.margin
    for data, _, found in results.exploratory:
        yield f"{found.a} - {found.b} on {data} (mAP)", found, False, None


def _forest(rows: list[tuple[str, Difference, bool, float | None]]) -> str:
    """Differences with their intervals, the registered ones filled, margins shaded, as SVG."""
    with rc_context({"svg.hashsalt": "vireid", "svg.fonttype": "none"}):
        figure = Figure(figsize=(7.0, 1.1 + 0.36 * len(rows)), layout="constrained")
        axes = figure.add_subplot()
        axes.axvline(0, color=_INK, linewidth=1)
        for place, (_, found, registered, margin) in enumerate(rows):
            colour = _REGISTERED if registered else _OTHER
            if margin is not None:
                axes.fill_betweenx([place - 0.35, place + 0.35], -margin, margin, color=colour, alpha=0.15, linewidth=0)
            axes.plot(found.interval, [place, place], color=colour, linewidth=1.8)
            axes.plot(found.estimate.value, place, "o", color=colour, fillstyle="full" if registered else "none")
        axes.set_yticks(range(len(rows)), [name for name, *_ in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlabel("difference in percentage points, 95 % interval", color=_INK)
        axes.tick_params(colors=_INK)
        for side, spine in axes.spines.items():
            spine.set_visible(side == "bottom")
            spine.set_color(_INK)
        text = io.StringIO()
        blank = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(text, format="svg", transparent=True, metadata=blank)
    return text.getvalue()
