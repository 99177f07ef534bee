"""How training went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vireid.evaluation.results import metric_label
from vireid.report.blocks import Block, Drawing, Section, Text
from vireid.report.material import Material, each
from vireid.report.plots import line_plot

__all__ = ["loss_series", "total_series", "training", "validation_series"]

_SMOOTHING = 10  # steps that are averaged for a point of a curve

Records = Sequence[Mapping[str, Any]]
Series = tuple[list[float], list[float]]


def training(runs: Sequence[Material]) -> Section:
    """Losses of one run, or the sums of several; validation where there was one."""
    known = [run for run in runs if any("losses" in record for record in run.records)]
    if not known:
        return Section("Training", [Text("These are bundles without their runs: training left no records here.")])
    blocks: list[Block] = []
    if len(known) == 1:
        losses = loss_series(known[0].records)
        ends = "; ".join(f"{name}: {y[0]:.3g} to {y[-1]:.3g}" for name, (_, y) in losses.items())
        blocks.append(_drawing(losses, "loss", f"Losses, means of {_SMOOTHING} steps. {ends}."))
    else:
        sums = {run.name: total_series(run.records) for run in known}
        ends = "; ".join(f"{name}: {y[0]:.3g} to {y[-1]:.3g}" for name, (_, y) in sums.items())
        blocks.append(_drawing(sums, "sum of losses", f"Sums of losses, means of {_SMOOTHING} steps. {ends}."))
    validations = {run.name: validation_series(run.records) for run in known}
    for metric in dict.fromkeys(name for found in validations.values() for name in found):
        lines = {name: found[metric] for name, found in validations.items() if metric in found}
        ends = each({name: f"{y[-1]:.3g} at the end" for name, (_, y) in lines.items()})
        told = f"{metric_label(metric)} on identities held out of training. {ends}."
        blocks.append(_drawing(lines, metric_label(metric), told))
    return Section("Training", blocks)


def loss_series(records: Records) -> dict[str, Series]:
    """Every loss over the steps that had it: phases may have losses of their own."""
    steps = [record for record in records if "losses" in record]
    names = dict.fromkeys(name for record in steps for name in record["losses"])
    return {name: _means([(r["step"], r["losses"][name]) for r in steps if name in r["losses"]]) for name in names}


def total_series(records: Records) -> Series:
    """The sum of all losses."""
    return _means([(record["step"], record["loss"]) for record in records if "losses" in record])


def validation_series(records: Records) -> dict[str, Series]:
    """Every figure of the validations over the step that each came after."""
    found: dict[str, Series] = {}
    for record in records:
        for name, value in record.get("validation", {}).items():
            steps, values = found.setdefault(name, ([], []))
            steps.append(record["step"])
            values.append(value)
    return found


def _means(points: Sequence[tuple[float, float]]) -> Series:
    groups = [points[start : start + _SMOOTHING] for start in range(0, len(points), _SMOOTHING)]
    return [group[0][0] for group in groups], [sum(value for _, value in group) / len(group) for group in groups]


def _drawing(series: Mapping[str, Series], y: str, told: str) -> Drawing:
    return Drawing(line_plot(series, x="step", y=y, alt=told, from_zero=True), told)
