"""Run the runs of a study: each as commands in processes of their own, several at a time.

A run's lock is handed to its processes. So one that outlives a study which was killed still holds it, and the study
that comes after waits for it instead of training in the same folder.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from vireid.errors import UsageError
from vireid.study.journal import Entry, Journal, State
from vireid.study.registration import code_version
from vireid.study.runs import StudyRun
from vireid.training.interruption import Interruption
from vireid.types import Say, silent

__all__ = ["PROGRAM", "Worker", "execute", "workers_for"]

PROGRAM = (sys.executable, "-m", "vireid")
_PAUSE = 0.05  # seconds between two looks at the processes
_TOLD = 600  # characters of an error that are kept


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A place where one run works at a time: what its commands are told, and what their environment adds."""

    device: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def workers_for(count: int | None = None, devices: Sequence[str] = ()) -> list[Worker]:
    """`count` workers (default: one a device), spread over the devices; `cuda:1` is the second visible one.

    Each gets its share of the cores, unless OMP_NUM_THREADS is set.

    Raises:
        UsageError: a device that is not cpu, cuda or cuda:N.
    """
    number = count or max(1, len(devices))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = os.environ.get("OMP_NUM_THREADS", str(max(1, cores // number)))
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    found = []
    for place in range(number):
        kind, colon, index = (devices[place % len(devices)] if devices else "").partition(":")
        if kind not in {"", "cpu", "cuda"} or bool(colon) != index.isdecimal() or (colon and kind != "cuda"):
            raise UsageError(f"unknown device {kind + colon + index!r} (allowed: cpu, cuda, cuda:0, cuda:1, ...)")
        if index and visible and int(index) >= len(visible):
            raise UsageError(f"there is no cuda:{index}: CUDA_VISIBLE_DEVICES shows {len(visible)}")
        chosen = {"CUDA_VISIBLE_DEVICES": visible[int(index)] if visible else index} if index else {}
        found.append(Worker(device=kind or None, environment={"OMP_NUM_THREADS": threads, **chosen}))
    return found


def execute(
    runs: Sequence[StudyRun],
    workers: Sequence[Worker],
    journal: Journal,
    *,
    program: Sequence[str] = PROGRAM,
    say: Say = silent,
) -> Generator[tuple[StudyRun, Entry], None, None]:
    """Work off `runs`, giving each with what became of it; a failing run does not keep others from running.

    Raises:
        KeyboardInterrupt: asked to stop (Ctrl-C, SIGTERM); the commands at work have left a checkpoint.
    """
    waiting, free, active = list(runs), list(workers), list[_Work]()
    held: set[str] = set()
    code = code_version()
    with Interruption() as interruption:
        try:
            while (waiting or active) and not interruption.asked:
                for run in list(waiting):
                    if not free:
                        break
                    work = _Work.begin(run, free[0], journal, program, code)
                    if work:
                        waiting.remove(run)
                        active.append(work)
                        free.pop(0)
                    elif run.name not in held:
                        held.add(run.name)
                        say(f"{run.name}: a process of an earlier call is still at work on it; waiting for it")
                for work in list(active):
                    entry = work.advance()
                    if entry:
                        active.remove(work)
                        free.append(work.worker)
                        yield work.run, entry
                time.sleep(_PAUSE)
            for work in active:
                work.interrupt()
            while active:
                yield active[0].run, active[0].stopped()
                active.pop(0)
        finally:
            for work in active:
                work.kill()
        if interruption.asked:
            raise KeyboardInterrupt


class _Work:
    """A run at work: one command after the other."""

    def __init__(
        self, run: StudyRun, worker: Worker, journal: Journal, program: Sequence[str], *, lock: IO[str]
    ) -> None:
        self.run, self.worker = run, worker
        self._journal, self._program, self._lock = journal, program, lock
        self._began = time.monotonic()
        self._commands = self._steps()
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def begin(
        cls, run: StudyRun, worker: Worker, journal: Journal, program: Sequence[str], code: Mapping[str, Any]
    ) -> _Work | None:
        """Start on a run; None if another process holds it."""
        run.log.parent.mkdir(parents=True, exist_ok=True)
        lock = run.lock.open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return None
        run.log.write_bytes(b"")
        attempts = journal[run.name].attempts + 1
        journal.update(run.name, state="running", attempts=attempts, error=None, command=run.command(), code=code)
        work = cls(run, worker, journal, program, lock=lock)
        work._start(next(work._commands, None))
        return work

    def advance(self) -> Entry | None:
        """None while there is something left to do; else what became of the run."""
        code = self._process.poll() if self._process else 0
        if code is None:
            return None
        if code != 0:
            return self._end("failed", error=_told(self.run.log, code))
        words = next(self._commands, None)
        if words is not None:
            self._start(words)
            return None
        left = self.run.left()
        return (
            self._end("failed", error=f"no evaluation under {', '.join(left)} was left") if left else self._end("done")
        )

    def interrupt(self) -> None:
        """Ask the command to finish its step and leave."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)

    def stopped(self) -> Entry:
        """Wait for the command that was asked to leave."""
        if self._process:
            self._process.wait()
        return self._end("stopped")

    def kill(self) -> None:
        if self._process:
            self._process.kill()
        self.stopped()

    def _steps(self) -> Iterator[list[str]]:
        """What is left to do, looked at when it is asked for."""
        run, device = self.run, self.worker.device
        if not (self._journal[run.name].trained and (run.path / "bundle").is_dir()):
            yield run.training(device)
            self._journal.update(run.name, trained=True)  # asked for the next step: training has ended well
        for protocol in run.left():
            yield run.evaluation(protocol, device)

    def _start(self, words: list[str] | None) -> None:
        if words is None:
            return
        with self.run.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._program, *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | self.worker.environment,
                pass_fds=[self._lock.fileno()],
                start_new_session=True,  # Ctrl-C reaches the study alone, which passes it on once
            )

    def _end(self, state: State, *, error: str | None = None) -> Entry:
        seconds = self._journal[self.run.name].seconds + time.monotonic() - self._began
        self._lock.close()
        return self._journal.update(
            self.run.name,
            state=state,
            error=error,
            seconds=round(seconds, 1),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
        )


def _told(log: Path, code: int) -> str:
    """Why a command failed: its message, or the last line that it wrote."""
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    begins = [place for place, line in enumerate(lines) if line.startswith("vireid: ")]
    text = "\n".join(lines[begins[-1] :]).removeprefix("vireid: ") if begins else (lines or [""])[-1]
    ended = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return f"{text[:_TOLD]} ({ended}; see {log})" if text else f"{ended}, without a word"
