"""The runs of a study as commands: what is trained where, what of it is evaluated already, and what is left to do."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from vireid.evaluation.records import QueryRecords, stored_in
from vireid.study.plan import Planned, Row, Source, Study, arguments, source_of

__all__ = ["StudyRun", "StudyRuns"]


@dataclass(frozen=True, eq=False)
class StudyRuns:
    """All runs of a study that lies in `out`; `folder` is that of its file."""

    study: Study
    folder: Path
    out: Path

    @cached_property
    def all(self) -> list[StudyRun]:
        """Seed by seed, so that a study that is looked at early has as much of every row."""
        rows, found = self.study.rows, []
        for place in range(max(len(row.seeds or self.study.seeds) for row in rows.values())):
            for name, row in rows.items():
                seeds = row.seeds or self.study.seeds
                if place < len(seeds):
                    data = row.data or tuple(self.study.data)
                    found += [StudyRun(self, Planned(row=name, data=one, seed=seeds[place])) for one in data]
        return found

    @property
    def data_used(self) -> dict[str, Source]:
        used = {run.planned.data for run in self.all}
        return {name: source for name, source in self.study.data.items() if name in used}

    def root_of(self, data: str) -> Path:
        """Folder of a data set; one that is rendered lies below the study unless its root says otherwise."""
        source = self.study.data[data]
        if source.root is not None:
            return (self.folder / source.root).absolute()
        return (self.out / "data" / source.synthesize.folder).absolute() if source.synthesize else self.out


@dataclass(frozen=True, eq=False)
class StudyRun:
    """One run of a study, in a run folder of its own."""

    of: StudyRuns
    planned: Planned

    @property
    def name(self) -> str:
        return self.planned.name

    @property
    def path(self) -> Path:
        return self.of.out / "runs" / self.name

    @property
    def log(self) -> Path:
        """What its commands said."""
        return self.of.out / "logs" / f"{self.name}.log"

    @property
    def lock(self) -> Path:
        return self.of.out / "logs" / f"{self.name}.lock"

    @property
    def row(self) -> Row:
        return self.of.study.rows[self.planned.row]

    @property
    def protocols(self) -> tuple[str, ...]:
        return self.of.study.protocols_of(self.planned.data)

    def training(self, device: str | None) -> list[str]:
        """Words of `vireid train`, which goes on where a run is."""
        words = ["train", source_of(self.row, self.of.folder), *self._changes(), "--out", str(self.path)]
        words += ["--device", device] if device else []
        return words + (["--resume"] if (self.path / "recipe.yaml").is_file() else [])

    def evaluation(self, protocol: str, device: str | None) -> list[str]:
        """Words of `vireid evaluate`."""
        words = ["evaluate", str(self.path), "--protocol", protocol, "--mode", self.row.mode, "--json"]
        return words + (["--device", device] if device else [])

    def evaluated(self) -> dict[str, QueryRecords]:
        """Evaluations of the row's mode by protocol, as far as they are there."""
        found = {}
        for records in stored_in(self.path) if self.path.is_dir() else []:
            asked = {records.result["mode"], f"cascade:{records.result.get('cascade', {}).get('k')}"}
            if self.row.mode in asked and records.result.get("rerank") is None:
                found[str(records.result["protocol"])] = records
        return {name: found[name] for name in self.protocols if name in found}

    def left(self) -> list[str]:
        """Protocols that are not evaluated yet."""
        done = self.evaluated()
        return [name for name in self.protocols if name not in done]

    def command(self) -> str:
        """How a person would train it."""
        return shlex.join(["vireid", *(word for word in self.training(None) if word != "--resume")])

    def _changes(self) -> list[str]:
        study, given = self.of.study, {**self.of.study.set, **self.row.set}
        source = study.data[self.planned.data]
        ours = {"data.kind": source.layout, "data.root": str(self.of.root_of(self.planned.data))}
        if "data.protocol" not in given:
            ours["data.protocol"] = self.protocols[0]
        return arguments({**given, **ours, "seed": self.planned.seed})
