"""Conduct a study: make its data once, register it, work off its runs, write what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from vireid.data import open_dataset
from vireid.data.synthetic import synthesize
from vireid.errors import UsageError
from vireid.files import alone
from vireid.study.execution import PROGRAM, Worker, execute
from vireid.study.journal import Journal
from vireid.study.page import write_results
from vireid.study.plan import load_study
from vireid.study.registration import refuse_changes, register
from vireid.study.results import Results, results_of
from vireid.study.runs import StudyRun, StudyRuns
from vireid.types import Say, Track, silent, untracked

__all__ = ["PlannedRun", "conduct", "outline"]

_JOURNAL, _LOCK = "runs.json", ".lock"


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """A run as the plan lists it."""

    name: str
    state: str
    error: str | None
    command: str


def outline(file: Path, out: Path) -> list[PlannedRun]:
    """Every run of a study and how far it is; nothing is written.

    Raises:
        UsageError: mistakes in the file.
    """
    runs = StudyRuns(load_study(file), file.parent, out)
    journal = Journal(out / _JOURNAL)
    return [
        PlannedRun(
            name=run.name,
            state="waiting" if run.left() and journal[run.name].state == "done" else journal[run.name].state,
            error=journal[run.name].error,
            command=run.command(),
        )
        for run in runs.all
    ]


def conduct(
    file: Path,
    out: Path,
    *,
    workers: Sequence[Worker],
    program: Sequence[str] = PROGRAM,
    track: Track = untracked,
    say: Say = silent,
) -> Results:
    """Everything that is left to do of the study in `file`, into `out`; results are written also where runs fail.

    program: words that `vireid`'s arguments are appended to.

    Raises:
        UsageError: mistakes in the file; it was changed after registration; another process conducts the study.
        DataError: data are missing or lack a protocol.
        KeyboardInterrupt: stopped; the same call goes on.
    """
    runs = StudyRuns(load_study(file), file.parent, out)
    out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UsageError(f"another process conducts the study in {out}; wait for it, or stop it") from None
    try:
        refuse_changes(runs.study, file, out)
        _prepare(runs, len(workers), track, say)
        registration = register(runs.study, file, out)  # after what may show the file to be wrong, before any run
        journal = Journal(out / _JOURNAL)
        left = [run for run in runs.all if run.left()]
        say(f"{len(runs.all)} runs, {len(left)} of them to do, {len(workers)} at a time")
        try:
            _work_off(left, workers, journal, program, track, say)
        finally:
            results = results_of(runs, registration, journal)
            write_results(results, out)
        return results
    finally:
        lock.release()


def _work_off(
    runs: Sequence[StudyRun],
    workers: Sequence[Worker],
    journal: Journal,
    program: Sequence[str],
    track: Track,
    say: Say,
) -> None:
    outcomes = execute(runs, workers, journal, program=program, say=say)
    try:
        for run, entry in track(outcomes, description="runs", total=len(runs)):
            figures = [f"mAP {found.result['mAP']:.1f} under {name}" for name, found in run.evaluated().items()]
            say(f"{run.name}: {entry.state} ({entry.error or ', '.join(figures) or 'the same command goes on'})")
    finally:
        outcomes.close()


def _prepare(runs: StudyRuns, workers: int, track: Track, say: Say) -> None:
    """Render data where they are to be rendered; wrong protocols are found before anything is trained."""
    for name, source in runs.data_used.items():
        root, plan = runs.root_of(name), source.synthesize
        if plan:
            say(f"data {name}: {root}")
            with alone(root.with_name(f".{root.name}{_LOCK}"), "renders these data", say):  # studies may share them
                synthesize(
                    root,
                    layout=plan.layout,
                    preset=plan.preset,
                    seed=plan.seed,
                    workers=workers,
                    knockouts=plan.knockouts,
                    track=track,
                )
        dataset = open_dataset(source.layout, root)
        for protocol in runs.study.protocols_of(name):
            dataset.protocol(protocol)
