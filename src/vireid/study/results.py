"""What a study found: figures of every row, the registered contrasts with their verdicts, and every run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatch
from typing import Any

from vireid.evaluation.comparison import ALPHA, LEVEL, POWER, Difference, Figure, Group, adjust
from vireid.evaluation.records import QueryRecords
from vireid.evaluation.statistics import estimate
from vireid.study.journal import Journal
from vireid.study.plan import Contrast
from vireid.study.runs import StudyRuns

__all__ = ["METRICS", "ContrastResult", "Results", "RowResult", "results_of"]

METRICS = ("rank1", "mAP", "mINP")
Evaluated = Mapping[str, Mapping[str, QueryRecords]]  # run -> protocol -> its queries


@dataclass(frozen=True, kw_only=True, eq=False)
class RowResult:
    """A row on one data set under one protocol; `runs` of the `planned` ones are there."""

    row: str
    data: str
    protocol: str
    planned: int
    runs: int
    figures: Mapping[str, Figure]

    def to_json(self) -> dict[str, Any]:
        plain = {name: getattr(self, name) for name in ("row", "data", "protocol", "planned", "runs")}
        return plain | {"metrics": {name: figure.to_json() for name, figure in self.figures.items()}}


@dataclass(frozen=True, kw_only=True, eq=False)
class ContrastResult:
    """A contrast; missing: its runs that are not there, without which nothing is concluded."""

    name: str
    contrast: Contrast
    difference: Difference | None
    missing: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """confirmed | contradicted | not resolved | incomplete; of these runs alone where a side has one seed."""
        if self.missing or self.difference is None:
            return "incomplete"
        value, (low, high) = self.difference.estimate.value, self.difference.interval
        if self.contrast.margin is not None:
            outside = low >= self.contrast.margin or high <= -self.contrast.margin
            found = "confirmed" if self.difference.real else "contradicted" if outside else "not resolved"
        elif self.difference.real:
            found = "confirmed" if (value > 0) == (self.contrast.direction == "greater") else "contradicted"
        else:
            found = "not resolved"
        return found if self.difference.seeds_counted or found == "not resolved" else f"{found} for these runs"

    def to_json(self) -> dict[str, Any]:
        found = self.difference.to_json() if self.difference else {}
        registered = self.contrast.model_dump(mode="json")
        return {"name": self.name, **registered, **found, "missing": list(self.missing), "verdict": self.verdict}


@dataclass(frozen=True, kw_only=True, eq=False)
class Results:
    """exploratory: differences to the first row that nobody registered; their p-values are not adjusted."""

    runs: StudyRuns
    registration: Mapping[str, Any]
    rows: Sequence[RowResult]
    contrasts: Sequence[ContrastResult]
    exploratory: Sequence[tuple[str, str, Difference]]  # data, protocol, difference
    journal: Sequence[Mapping[str, Any]]

    def to_json(self) -> dict[str, Any]:
        study = self.runs.study
        return {
            "study": study.name,
            "question": study.question,
            "registration": dict(self.registration),
            "level": LEVEL,
            "alpha": ALPHA,
            "power": POWER,
            "rows": [row.to_json() for row in self.rows],
            "contrasts": [contrast.to_json() for contrast in self.contrasts],
            "exploratory": [
                {"data": data, "protocol": protocol, **_exploratory(found)}
                for data, protocol, found in self.exploratory
            ],
            "runs": list(self.journal),
        }


def results_of(runs: StudyRuns, registration: Mapping[str, Any], journal: Journal) -> Results:
    """Everything that the evaluations which are there say."""
    evaluated = {run.name: run.evaluated() for run in runs.all}
    return Results(
        runs=runs,
        registration=registration,
        rows=_rows(runs, evaluated),
        contrasts=_contrasts(runs, evaluated),
        exploratory=_not_registered(runs, evaluated),
        journal=[_listed(run.name, evaluated[run.name], journal) for run in runs.all],
    )


def _rows(runs: StudyRuns, evaluated: Evaluated) -> list[RowResult]:
    found = []
    for data in runs.data_used:
        for protocol in runs.study.protocols_of(data):
            for row in runs.study.rows:
                planned, group = _group(runs, evaluated, row, (data,), protocol)
                if not planned:
                    continue
                samples = {metric: group.sample(metric) for metric in METRICS} if group else {}
                figures = {
                    metric: Figure(metric=metric, sample=sample, estimate=estimate(sample))
                    for metric, sample in samples.items()
                }
                found.append(
                    RowResult(
                        row=row,
                        data=data,
                        protocol=protocol,
                        planned=len(planned),
                        runs=len(group.runs) if group else 0,
                        figures=figures,
                    )
                )
    return found


def _contrasts(runs: StudyRuns, evaluated: Evaluated) -> list[ContrastResult]:
    """All contrasts; those that can be told are one family."""
    told: dict[str, Difference] = {}
    missing: dict[str, tuple[str, ...]] = {}
    for name, contrast in runs.study.contrasts.items():
        sides, lacking = [], []
        for row in (contrast.row, contrast.baseline):
            planned, group = _group(runs, evaluated, row, contrast.data, contrast.protocol)
            sides.append(group)
            there = [run for run in planned if _matching(evaluated[run], contrast.protocol)]
            lacking += [run for run in planned if run not in there]
        missing[name] = tuple(lacking)
        a, b = sides
        if a and b and set(a.splits) == set(b.splits):
            found = Difference.of(a, b, contrast.metric)
            margin = contrast.margin
            told[name] = found if margin is None else replace(found, p=found.estimate.p_outside(margin))
    adjusted = dict(zip(told, adjust(list(told.values()), lacking=len(missing) - len(told)), strict=True))
    return [
        ContrastResult(name=name, contrast=contrast, difference=adjusted.get(name), missing=missing[name])
        for name, contrast in runs.study.contrasts.items()
    ]


def _not_registered(runs: StudyRuns, evaluated: Evaluated) -> list[tuple[str, str, Difference]]:
    study, found = runs.study, []
    registered = {(data, frozenset({one.row, one.baseline})) for one in study.contrasts.values() for data in one.data}
    first, *others = study.rows
    for data in runs.data_used:
        protocol = study.protocols_of(data)[0]
        _, baseline = _group(runs, evaluated, first, (data,), protocol)
        for row in others:
            _, group = _group(runs, evaluated, row, (data,), protocol)
            if baseline and group and (data, frozenset({row, first})) not in registered:
                found.append((data, protocol, Difference.of(group, baseline, "mAP")))
    return found


def _group(
    runs: StudyRuns, evaluated: Evaluated, row: str, data: Sequence[str], protocol: str
) -> tuple[list[str], Group | None]:
    """Names of the planned runs of a row, and the group of those that were evaluated; None where none was."""
    planned = [run.name for run in runs.all if run.planned.row == row and run.planned.data in data]
    records = [one for run in planned for one in _matching(evaluated[run], protocol)]
    return planned, Group(name=row, runs=tuple(records)) if records else None


def _matching(evaluations: Mapping[str, QueryRecords], protocol: str) -> list[QueryRecords]:
    return [records for name, records in evaluations.items() if fnmatch(name, protocol)]


def _listed(run: str, evaluations: Mapping[str, QueryRecords], journal: Journal) -> dict[str, Any]:
    figures = {
        protocol: {metric: records.result[metric] for metric in METRICS} for protocol, records in evaluations.items()
    }
    return {"run": run, **asdict(journal[run]), "figures": figures}


def _exploratory(found: Difference) -> dict[str, Any]:
    return {key: value for key, value in found.to_json().items() if key not in {"p_holm", "verdict"}}
