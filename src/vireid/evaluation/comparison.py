"""Compare configurations that were evaluated under one protocol: figures, differences, and which of them are real."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from vireid.errors import UsageError
from vireid.evaluation.records import QueryRecords
from vireid.evaluation.samples import Sample
from vireid.evaluation.statistics import RESAMPLES, Estimate, difference, estimate, holm, sign_flip
from vireid.files import digest_of

__all__ = [
    "ALPHA",
    "LEVEL",
    "POWER",
    "Comparison",
    "Difference",
    "Figure",
    "Group",
    "adjust",
    "compare",
    "refuse_unlike",
]

ALPHA, POWER, LEVEL = 0.05, 0.8, 0.95


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """Evaluated runs of one configuration that differ by seed; on RegDB also by split, each with its own model.

    Raises:
        UsageError: no runs, one model twice, or two runs of one seed (and split), which say nothing of other seeds.
    """

    name: str
    runs: tuple[QueryRecords, ...]

    def __post_init__(self) -> None:
        if not self.runs:
            raise UsageError(f"{self.name} has no runs")
        bundles = [run.origin.bundle for run in self.runs]
        if len(set(bundles)) < len(bundles):
            raise UsageError(f"{self.name} holds one model twice; give each run once")
        seeds = [(run.origin.seed, digest_of(dict(run.fingerprint))) for run in self.runs]
        if len(set(seeds)) < len(seeds):
            twice = next(seed for seed, _ in seeds if [other for other, _ in seeds].count(seed) > 1)
            raise UsageError(
                f"{self.name} holds several runs of seed {twice}, which say nothing of other seeds; give one of them, "
                "or name groups: NAME=RUN,RUN"
            )

    @cached_property
    def splits(self) -> dict[str, list[QueryRecords]]:
        """Runs by fingerprint: one entry but for the splits of RegDB."""
        found: dict[str, list[QueryRecords]] = {}
        for run in sorted(self.runs, key=lambda run: (run.result["protocol"], run.origin.seed)):
            found.setdefault(digest_of(dict(run.fingerprint)), []).append(run)
        return found

    def sample(self, metric: str) -> Sample:
        """One run a seed, or, over several splits, the mean over seeds of each."""
        splits = list(self.splits.values())
        return Sample.of(splits if len(splits) > 1 else [[run] for run in splits[0]], metric)


@dataclass(frozen=True, kw_only=True, eq=False)
class Figure:
    """A metric of one group, in percent."""

    metric: str
    sample: Sample
    estimate: Estimate

    @property
    def std_runs(self) -> float | None:
        """Standard deviation over runs (seeds; splits on RegDB) of their means over trials; None for one run."""
        return float(np.std(self.sample.per_run, ddof=1)) if self.sample.runs > 1 else None

    @property
    def std_trials(self) -> float | None:
        """Standard deviation over trials, root mean square over runs; None for one trial."""
        table = self.sample.per_trial
        return float(np.sqrt(np.var(table, axis=1, ddof=1).mean())) if table.shape[1] > 1 else None

    @property
    def interval(self) -> tuple[float, float]:
        low, high = self.estimate.interval(LEVEL)
        return max(0.0, low), min(100.0, high)

    def to_json(self) -> dict[str, Any]:
        return {
            "mean": self.estimate.value,
            "interval": list(self.interval),
            "std_runs": self.std_runs,
            "std_trials": self.std_trials,
            **_errors(self.estimate),
            "values": self.sample.per_run.tolist(),
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Difference:
    """`a` minus `b` in one metric, in percentage points. p_runs: by sign flips, of these very runs.

    p_holm: adjusted for all `family` differences that are told together.
    """

    a: str
    b: str
    metric: str
    estimate: Estimate
    p: float
    p_runs: float
    p_holm: float
    family: int = 1

    @classmethod
    def of(cls, a: Group, b: Group, metric: str, *, resamples: int = RESAMPLES, seed: int = 0) -> Difference:
        """Of two groups.

        Raises:
            UsageError: unlike fingerprints; splits of RegDB that only one side has.
        """
        refuse_unlike([a, b])
        if set(a.splits) != set(b.splits):
            raise UsageError(f"{a.name} and {b.name} were not evaluated on the same splits; give both all of them")
        sides = a.sample(metric), b.sample(metric)
        found = difference(*sides, matched=len(a.splits) > 1, resamples=resamples, seed=seed)
        flip = sign_flip(*sides, resamples=resamples, seed=seed)
        return cls(a=a.name, b=b.name, metric=metric, estimate=found, p=found.p(), p_runs=flip, p_holm=found.p())

    @property
    def interval(self) -> tuple[float, float]:
        return self.estimate.interval(LEVEL)

    @property
    def seeds_counted(self) -> bool:
        """Whether seeds are part of the uncertainty; otherwise it is about these very runs."""
        return bool(self.estimate.components.seeds)

    @property
    def smallest(self) -> float:
        """The smallest true difference that this design finds at 5 % (Holm's strictest level) with 80 % power."""
        return self.estimate.components.smallest(alpha=ALPHA / self.family, power=POWER)

    @property
    def real(self) -> bool:
        return self.p_holm < ALPHA

    @property
    def verdict(self) -> str:
        return ("real" if self.seeds_counted else "real for these runs") if self.real else "not resolved"

    def to_json(self) -> dict[str, Any]:
        return {
            "a": self.a,
            "b": self.b,
            "metric": self.metric,
            "difference": self.estimate.value,
            "interval": list(self.interval),
            **_errors(self.estimate),
            "p": self.p,
            "p_holm": self.p_holm,
            "p_runs": self.p_runs,
            "smallest_resolvable": self.smallest,
            "seeds_counted": self.seeds_counted,
            "verdict": self.verdict,
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Groups under one protocol; differences are to the first group."""

    groups: tuple[Group, ...]
    figures: dict[str, tuple[Figure, ...]]
    differences: tuple[Difference, ...]

    @property
    def notes(self) -> list[str]:
        """What a reader has to know before believing the table."""
        found = []
        rankings = {group.name: _rankings(group) for group in self.groups}
        if len({ranking for told in rankings.values() for ranking in told}) > 1:
            told = "; ".join(f"{name}: {', '.join(ranking)}" for name, ranking in rankings.items())
            found.append(f"rankings were had in unlike ways ({told})")
        trained = {run.origin.trained_on for group in self.groups for run in group.runs}
        if len(trained) > 1:
            found.append("the models were trained on unlike data")
        if any(not one.seeds_counted for one in self.differences):
            found.append("one run says nothing of other seeds: what is real here is so for these very runs")
        return found

    def to_json(self) -> dict[str, Any]:
        first = self.groups[0].runs[0]
        people = next(iter(self.figures.values()))[0].estimate.components.people
        return {
            "protocol": sorted({run.result["protocol"] for group in self.groups for run in group.runs}),
            "fingerprint": dict(first.fingerprint),
            "identities": people,
            "level": LEVEL,
            "alpha": ALPHA,
            "power": POWER,
            "groups": [
                {
                    "name": group.name,
                    "runs": len(group.runs),
                    "seeds": sorted({run.origin.seed for run in group.runs}),
                    "methods": sorted({run.origin.method for run in group.runs}),
                    "ranking": _rankings(group),
                    "metrics": {figure.metric: figure.to_json() for figure in self.figures[group.name]},
                }
                for group in self.groups
            ],
            "differences": [one.to_json() for one in self.differences],
            "notes": self.notes,
        }


def compare(
    groups: Sequence[Group], *, metrics: Sequence[str] = ("rank1", "mAP"), resamples: int = RESAMPLES, seed: int = 0
) -> Comparison:
    """Figures of all groups and their differences to the first one; p-values are adjusted over all differences.

    Raises:
        UsageError: a name twice, unlike fingerprints, an unknown metric.
    """
    names = [group.name for group in groups]
    if not groups or len(set(names)) < len(names):
        raise UsageError(f"groups need names of their own, not {', '.join(names) or 'none at all'}")
    refuse_unlike(groups)
    figures = {}
    for group in groups:
        samples = {metric: group.sample(metric) for metric in metrics}
        options: dict[str, Any] = {"crossed": len(group.splits) == 1, "resamples": resamples, "seed": seed}
        figures[group.name] = tuple(
            Figure(metric=metric, sample=sample, estimate=estimate(sample, **options))
            for metric, sample in samples.items()
        )
    found = [
        Difference.of(group, groups[0], metric, resamples=resamples, seed=seed)
        for metric in metrics
        for group in groups[1:]
    ]
    return Comparison(groups=tuple(groups), figures=figures, differences=tuple(adjust(found)))


def adjust(differences: Sequence[Difference], *, lacking: int = 0) -> list[Difference]:
    """The differences as one family, their p-values adjusted by Holm's method.

    lacking: further differences of the family that were meant to be told and cannot be; each counts as p = 1, so that
    what is not there makes the claim of the others no easier.
    """
    adjusted = holm([*(one.p for one in differences), *[1.0] * lacking])
    return [replace(one, p_holm=p, family=len(adjusted)) for one, p in zip(differences, adjusted, strict=False)]


def refuse_unlike(groups: Sequence[Group]) -> None:
    """Refuse evaluations whose fingerprints differ, but for the splits of RegDB.

    Raises:
        UsageError: one line a field, with both values.
    """
    runs = [(f"{group.name} (seed {run.origin.seed})", run) for group in groups for run in group.runs]
    name, first = runs[0]
    for other_name, other in runs[1:]:
        free = {"protocol", "trials"} if _splits_of_regdb(first, other) else set()
        fields = dict.fromkeys([*first.fingerprint, *other.fingerprint])
        differing = [f for f in fields if f not in free and first.fingerprint.get(f) != other.fingerprint.get(f)]
        if differing:
            raise UsageError(
                "\n".join(
                    f"{name} and {other_name} cannot be compared: {field} is {first.fingerprint.get(field)!r} for "
                    f"{name} and {other.fingerprint.get(field)!r} for {other_name}"
                    for field in differing
                )
            )


def _splits_of_regdb(one: QueryRecords, other: QueryRecords) -> bool:
    return one.fingerprint.get("kind") == other.fingerprint.get("kind") == "regdb"


def _rankings(group: Group) -> list[str]:
    told = []
    for run in group.runs:
        rerank = run.result.get("rerank")
        text = f"{run.result['mode']}, re-ranked ({rerank['name']})" if rerank else str(run.result["mode"])
        told.append(text)
    return list(dict.fromkeys(told))


def _errors(found: Estimate) -> dict[str, float | None]:
    """Standard errors, together and apart."""
    parts = found.components
    return {
        "error": found.error,
        "error_identities": float(np.sqrt(parts.identities)),
        "error_seeds": float(np.sqrt(sum(parts.seeds))) if parts.seeds else None,
    }
