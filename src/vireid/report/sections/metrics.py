"""How well the runs find people, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vireid.evaluation.comparison import Figure, Group
from vireid.evaluation.results import METRICS, metric_label
from vireid.evaluation.statistics import estimate
from vireid.report.blocks import Block, Section, Table, Text
from vireid.report.figures import cells_of, counts_of, ranking_of
from vireid.report.material import Material

__all__ = ["figures_of", "groups_of", "metrics"]

_TOLD = ("rank1", "mAP", "mINP")


def metrics(runs: Sequence[Material]) -> Section:
    """Every run, intervals over people and seeds, and what else was measured with the models."""
    blocks: list[Block] = [
        _table("Percent, mean ± standard deviation over trials.", [(run.name, run.result.to_json()) for run in runs])
    ]
    counts = counts_of(runs[0].result.to_json())
    blocks.append(Text(", ".join(f"{name}: {value}" for name, value in counts.items()) + "."))
    blocks.append(_intervals(runs))
    for run in runs:
        told = {run.result.protocol}
        others = [figure for figure in run.bundle.figures() if figure["protocol"] not in told or figure.get("rerank")]
        if others:
            rows = [(f"{_dataset(figure)}, {figure['protocol']} ({ranking_of(figure)})", figure) for figure in others]
            blocks.append(_table(f"Measured with the model of {run.name} before, in percent.", rows))
    return Section("How well it finds people", blocks)


def groups_of(runs: Sequence[Material]) -> list[Group]:
    """Runs that differ by seed alone, together; called by their first run."""
    found: dict[str, list[Material]] = {}
    for run in runs:
        found.setdefault(run.configuration, []).append(run)
    return [
        Group(name=" + ".join(run.name for run in group), runs=tuple(run.queries for run in group))
        for group in found.values()
    ]


def figures_of(group: Group) -> list[Figure]:
    """Rank-1, mAP and mINP of one configuration with their uncertainty."""
    samples = {metric: group.sample(metric) for metric in _TOLD}
    return [Figure(metric=metric, sample=sample, estimate=estimate(sample)) for metric, sample in samples.items()]


def _intervals(runs: Sequence[Material]) -> Table:
    rows = []
    for group in groups_of(runs):
        for figure in figures_of(group):
            low, high = figure.interval
            between = "-" if figure.std_runs is None else f"{figure.std_runs:.1f}"
            cells = [f"{figure.estimate.value:.1f}", f"{low:.1f} to {high:.1f}", between, str(len(group.runs))]
            rows.append([group.name, metric_label(figure.metric), *cells])
    return Table(
        "95 % intervals over the people of the test, and over training seeds where several runs differ by the seed "
        "alone. Which differences between methods are real, the command vireid compare says.",
        ["runs", "metric", "percent", "interval", "std over seeds", "number"],
        rows,
        names=2,
    )


def _table(caption: str, rows: Sequence[tuple[str, Mapping[str, Any]]]) -> Table:
    cells = [
        [name, *(mean if spread == "-" else f"{mean} ± {spread}" for mean, spread in cells_of(row, digits=1).values())]
        for name, row in rows
    ]
    return Table(caption, ["", *(metric_label(name) for name in METRICS)], cells)


def _dataset(figure: Mapping[str, Any]) -> str:
    return str(figure["fingerprint"]["dataset"])
