"""Renders a planned set into a folder: resumable, and the same bytes for any number of processes."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from vireid.data.synthetic.cameras import Camera, draw_camera
from vireid.data.synthetic.cues import Only
from vireid.data.synthetic.factor_table import write_factors
from vireid.data.synthetic.knockouts import Knockouts
from vireid.data.synthetic.people import Person, draw_people
from vireid.data.synthetic.picture import take
from vireid.data.synthetic.plan import Plan, counts_of
from vireid.data.synthetic.seeds import Purpose, stream
from vireid.data.synthetic.sightings import draw_frame
from vireid.errors import UsageError
from vireid.files import new_file, write_json, write_text
from vireid.types import Track

__all__ = ["GENERATOR", "Settings", "SynthesisReport", "produce"]

GENERATOR = "1.0"
"""Version of what is rendered: raised whenever the same seed would give other bytes."""

EXPECTED, UNFINISHED, FACTORS = "expected.json", ".unfinished.json", "factors.parquet"
PARTIAL = ".partial-"
CHUNK = 48
QUALITY = 90


class Settings(Protocol):
    """All that decides a set's bytes, besides the generator's version; hashable, and small enough to send around."""

    @property
    def seed(self) -> int: ...
    @property
    def knockouts(self) -> Knockouts: ...
    @property
    def only(self) -> Only | None: ...
    @property
    def size(self) -> tuple[int, int]:
        """Picture (height, width)."""
        ...

    def head(self) -> dict[str, Any]:
        """What `expected.json` says before the counts: `name`, `dataset` and all settings."""
        ...

    def plan(self) -> Plan: ...
    def __hash__(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class SynthesisReport:
    """What was made. counts: rows as in `expected.json`; rendered: pictures made by this call; seconds: its time."""

    root: Path
    counts: list[dict[str, Any]]
    images: int
    rendered: int
    seconds: float


def produce(settings: Settings, out: Path, *, workers: int, track: Track) -> SynthesisReport:
    """Render what is missing of a set, then write its lists, truth and expected counts.

    Raises:
        UsageError: `out` holds something else, or `workers` is below 1.
    """
    if workers < 1:
        raise UsageError(f"workers is {workers}; it must be at least 1")
    began = time.perf_counter()
    plan = _plan(settings)
    head = _head(settings)
    finished = _claim(out, head)
    missing = [] if finished else _missing(out, plan)
    for _ in track(_rendered(settings, out, missing, workers), description="render", total=len(missing)):
        pass
    counts = counts_of(plan)
    if not finished:
        _write_lists(out, plan)
        people, cameras = _people(settings), _cameras(settings)
        write_factors(out / FACTORS, plan, people, cameras, seed=settings.seed, knockouts=settings.knockouts)
        for partial in out.rglob(f"{PARTIAL}*"):
            partial.unlink()
        write_json(out / EXPECTED, head | {"counts": counts})
        (out / UNFINISHED).unlink()
    seconds = time.perf_counter() - began
    return SynthesisReport(root=out, counts=counts, images=len(plan.shots), rendered=len(missing), seconds=seconds)


def _head(settings: Settings) -> dict[str, Any]:
    fixed = {
        "format": 1,
        "version": GENERATOR,
        "licence": "CC0-1.0 (rendered, no real people)",
        "synthetic": True,
        "restricted": False,
    }
    return fixed | settings.head()


def _claim(out: Path, head: dict[str, Any]) -> bool:
    """Make `out` ours; True if it already holds the finished set."""
    for name in (EXPECTED, UNFINISHED):
        if not (out / name).is_file():
            continue
        stated = _stated(out / name)
        different = [key for key, value in head.items() if stated.get(key) != value]
        if different:
            told = ", ".join(f"{key} {stated.get(key)!r} (asked for: {head[key]!r})" for key in different)
            raise UsageError(f"{out} holds another set: {told}; choose another folder or remove this one")
        return name == EXPECTED
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise UsageError(f"{out} holds something other than a synthetic set; choose a new or empty folder")
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / UNFINISHED, head)
    return False


def _stated(path: Path) -> dict[str, Any]:
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} is damaged ({error}); remove the folder and render anew") from error
    return stated if isinstance(stated, dict) else {}


@lru_cache(maxsize=2)
def _plan(settings: Settings) -> Plan:
    return settings.plan()


@lru_cache(maxsize=2)
def _people(settings: Settings) -> list[Person]:
    plan = _plan(settings)
    return draw_people(settings.seed, plan.groups, test_identities=plan.test_identities, knockouts=settings.knockouts)


@lru_cache(maxsize=2)
def _cameras(settings: Settings) -> list[Camera]:
    return [draw_camera(settings.seed, mount, settings.knockouts) for mount in _plan(settings).mounts]


def _missing(out: Path, plan: Plan) -> list[int]:
    for folder in sorted({str(Path(shot.path).parent) for shot in plan.shots}):
        (out / folder).mkdir(parents=True, exist_ok=True)
    missing = [index for index, shot in enumerate(plan.shots) if not (out / shot.path).exists()]
    # In no order of people: times of writing must not tell who is shown.
    return [missing[place] for place in stream(0, Purpose.LAYOUT, 9).permutation(len(missing))]


def _rendered(settings: Settings, out: Path, missing: Sequence[int], workers: int) -> Iterator[int]:
    """Render the pictures of these numbers, yielding once per picture."""
    chunks = [missing[start : start + CHUNK] for start in range(0, len(missing), CHUNK)]
    if workers == 1 or len(chunks) < 2:
        for index in missing:
            yield from _render(settings, out, [index])
        return
    pool = ProcessPoolExecutor(max_workers=workers, mp_context=get_context("spawn"), initializer=_serve)
    try:
        waiting = [pool.submit(_render, settings, out, chunk) for chunk in chunks]
        for done in as_completed(waiting):
            yield from done.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _serve() -> None:
    """Set up a worker: it leaves Ctrl-C to the first process, and ends when that one does, however that came about."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _render(settings: Settings, out: Path, numbers: Sequence[int]) -> Sequence[int]:
    plan, people, cameras = _plan(settings), _people(settings), _cameras(settings)
    for number in numbers:
        shot = plan.shots[number]
        camera = cameras[shot.mount]
        frame = draw_frame(settings.seed, camera, shot.person, shot.frame, knockouts=settings.knockouts)
        picture = take(people[shot.person], camera, frame, seed=settings.seed, size=settings.size, only=settings.only)
        _save(out / shot.path, Image.fromarray(picture))
    return numbers


def _save(path: Path, image: Image.Image) -> None:
    """Write by rename, at one quality and without metadata. Not flushed: thousands of flushes would take minutes."""
    partial = path.with_name(f"{PARTIAL}{os.getpid()}-{path.name}")
    if path.suffix == ".bmp":
        image.save(partial, format="BMP")
    else:
        image.save(partial, format="JPEG", quality=QUALITY)
    partial.replace(path)


def _write_lists(out: Path, plan: Plan) -> None:
    for name, text in plan.texts.items():
        write_text(out / name, text)
    if plan.matrices:
        from scipy.io import savemat  # here, because it takes long to import

        for name, variables in plan.matrices.items():
            with new_file(out / name) as temporary:
                savemat(temporary, variables, appendmat=False)
                content = bytearray(temporary.read_bytes())
                # The format's 116 bytes of free text would hold the time of writing.
                content[:116] = b"MATLAB 5.0 MAT-file, written by vireid".ljust(116)
                temporary.write_bytes(content)
