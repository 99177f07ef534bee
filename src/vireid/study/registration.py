"""The registration: what was asked, and by what it will be answered, written down before the first run."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

import vireid
from vireid.errors import UsageError
from vireid.files import new_file, write_json
from vireid.study.evaluations import configuration_of
from vireid.study.plan import Study, recipe_of

__all__ = ["code_version", "refuse_changes", "register", "registration_of"]

_FILE, _COPY = "registration.json", "study.yaml"
_BEFORE = {"data"}  # what may lie there before: made from a file whose data turned out to be wrong
_GIT_SECONDS = 20


def refuse_changes(study: Study, file: Path, out: Path) -> None:
    """Refuse a file or recipes that were changed since `out` was registered, and a folder that holds something else.

    Raises:
        UsageError: says what changed, and when it was registered.
    """
    found = registration_of(out)
    if found is None:
        if any(path.name not in _BEFORE and not path.name.startswith(".") for path in out.iterdir()):
            raise UsageError(f"{out} is not empty and holds no study; choose another --out")
        return
    wanted = _described(study, file)
    if found["study"] != wanted["study"]:
        raise UsageError(f"{out} holds the study {found['study']!r}; choose another --out")
    when = f"since it was registered on {found['registered']}"
    if found["file_sha256"] != wanted["file_sha256"]:
        old, new = (yaml.safe_load(path.read_text(encoding="utf-8")) for path in (out / _COPY, file))
        keys = [key for key in dict.fromkeys([*old, *new]) if old.get(key) != new.get(key)]
        what = ", ".join(keys) or "comments or spelling alone"
        raise UsageError(
            f"{file} was changed {when} (changed: {what}). A registered study stays as it is: its file is "
            f"{out / _COPY}; for the changed one choose another --out"
        )
    changed = [row for row, digest in wanted["recipes"].items() if found["recipes"].get(row) != digest]
    if changed:
        raise UsageError(
            f"the recipes of {', '.join(changed)} were changed {when}: a recipe file, start weights, or defaults of "
            f"vireid; restore them, or choose another --out for the changed study"
        )


def register(study: Study, file: Path, out: Path) -> Mapping[str, Any]:
    """Write the registration of `study` into the folder `out`, unless it is there; `refuse_changes` comes before."""
    found = registration_of(out)
    if found is not None:
        return found
    with new_file(out / _COPY) as temporary:
        temporary.write_bytes(file.read_bytes())
    now = datetime.now(UTC).isoformat(timespec="seconds")
    wanted = {"format": 1, **_described(study, file), "registered": now, "code": code_version()}
    write_json(out / _FILE, wanted)
    return wanted


def registration_of(out: Path) -> Mapping[str, Any] | None:
    """What was registered in `out`; None where nothing was."""
    path = out / _FILE
    found: Mapping[str, Any] | None = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    return found


def code_version() -> dict[str, Any]:
    """Version of vireid, and where it runs from its repository: the commit, and whether files differ from it."""
    told: dict[str, Any] = {"vireid": version("vireid")}
    commit = _git("rev-parse", "HEAD") if _git("ls-files", "__init__.py") else None
    if commit:
        told |= {"commit": commit, "changed": bool(_git("status", "--porcelain", "--untracked-files=no", "."))}
    return told


def _git(*words: str) -> str | None:
    """What git says of the folder of vireid; None without git or repository."""
    folder = Path(vireid.__file__).parent
    try:
        done = subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, text=True, check=True, timeout=_GIT_SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _described(study: Study, file: Path) -> dict[str, Any]:
    """What must not change: the file byte for byte, and what its recipes say now."""
    return {
        "study": study.name,
        "file_sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "recipes": {name: configuration_of(recipe_of(study, row, file.parent)) for name, row in study.rows.items()},
    }
