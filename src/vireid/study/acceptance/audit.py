"""The acceptance audit: every part of every seed measured once, kept as JSON, and judged as one table."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from vireid.data.synthetic import GENERATOR, PRESETS
from vireid.errors import UsageError, choose
from vireid.files import write_json, write_text
from vireid.study.acceptance.findings import Finding
from vireid.study.acceptance.parts import PARTS, Measured
from vireid.study.acceptance.subject import Subject
from vireid.study.acceptance.table import Table, assemble
from vireid.types import Say, Track, silent, untracked

__all__ = ["audit"]

SETTINGS, RESULT, PAGE = "settings.json", "audit.json", "audit.md"


def audit(
    out: Path,
    *,
    preset: str = "demo",
    seeds: Sequence[int] = (0,),
    parts: Sequence[str] = (),
    changes: Sequence[str] = (),
    workers: int = 1,
    device: str | None = None,
    track: Track = untracked,
    say: Say = silent,
) -> Table:
    """Measure what is missing below `out`, and judge all that is there.

    Leaves `audit.json` and `audit.md` beside one folder per seed, with sets, runs and one file per finished part.

    Args:
        out: folder of the audit; new, empty, or of the same audit.
        parts: names of `PARTS` to measure; none means all.
        changes: `key=value` for the recipe of all trained parts; `start=FILE` gives other start weights.

    Raises:
        UsageError: an unknown preset or part, no or repeated seeds, or `out` holds another audit.
        MissingExtraError: scikit-learn or scikit-image is not installed.
    """
    choose(preset, PRESETS, "preset")
    chosen = [choose(part, PARTS, "part") for part in parts] or list(PARTS)
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise UsageError(f"the seeds are {list(seeds)}; give one or more different ones, from 0")
    _claim(out, {"preset": preset, "generator": GENERATOR, "changes": list(changes)})
    subjects = [
        Subject(
            folder=(out / f"seed-{seed}").absolute(),
            preset=preset,
            seed=seed,
            workers=workers,
            changes=tuple(changes),
            device=device,
            track=track,
            say=say,
        )
        for seed in seeds
    ]
    for subject in subjects:
        for part in chosen:
            if _file(subject, part).is_file():
                continue
            say(f"seed {subject.seed}: {part}")
            _measure(subject, part)
    table = assemble({subject.seed: _measured(subject, PARTS) for subject in subjects}, PARTS)
    _write(out, table, preset, seeds)
    return table


def _claim(out: Path, settings: dict[str, Any]) -> None:
    file = out / SETTINGS
    if file.is_file():
        stated = json.loads(file.read_text(encoding="utf-8"))
        other = [key for key in settings if stated.get(key) != settings[key]]
        if other:
            told = ", ".join(f"{key} {stated.get(key)!r} (asked for: {settings[key]!r})" for key in other)
            raise UsageError(f"{out} holds another audit: {told}; choose another folder or remove this one")
        return
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise UsageError(f"{out} holds something other than an audit; choose a new or empty folder")
    write_json(file, settings)


def _file(subject: Subject, part: str) -> Path:
    return subject.folder / "parts" / f"{part}.json"


def _measure(subject: Subject, part: str) -> None:
    began = time.perf_counter()
    found = PARTS[part](subject)
    values = {
        "seconds": round(time.perf_counter() - began, 1),
        "findings": [finding.to_json() for finding in found.findings],
        "raw": dict(found.raw),
    }
    write_json(_file(subject, part), values)


def _measured(subject: Subject, parts: Iterable[str]) -> dict[str, Measured]:
    found = {}
    for part in parts:
        file = _file(subject, part)
        if file.is_file():
            values = json.loads(file.read_text(encoding="utf-8"))
            findings = tuple(Finding.from_json(each) for each in values["findings"])
            found[part] = Measured(findings=findings, raw=values["raw"])
    return found


def _write(out: Path, table: Table, preset: str, seeds: Sequence[int]) -> None:
    head = {"generator": GENERATOR, "preset": preset, "seeds": list(seeds)}
    rows = [row.to_json() for row in table.rows]
    write_json(out / RESULT, head | {"accepted": table.accepted, "missing": list(table.missing), "items": rows})
    told = f"Generator {GENERATOR}, preset `{preset}`, SYSU-MM01's layout, seeds {', '.join(map(str, seeds))}.\n\n"
    write_text(out / PAGE, told + table.markdown())
