"""What became of every run of a study: kept in one file, failed runs included."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from vireid.files import write_json

__all__ = ["Entry", "Journal", "State"]

State = Literal["waiting", "running", "stopped", "failed", "done"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One run. seconds: of all attempts together. command: how it is trained. code: version that finished it."""

    state: State = "waiting"
    attempts: int = 0
    seconds: float = 0.0
    trained: bool = False
    error: str | None = None
    command: str = ""
    finished: str | None = None
    code: Mapping[str, Any] = field(default_factory=dict)


class Journal:
    """The entries by name of run; every change is on disk at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        stored = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        self.entries = {name: Entry(**values) for name, values in stored.items()}

    def __getitem__(self, name: str) -> Entry:
        return self.entries.get(name, Entry())

    def update(self, name: str, **changes: Any) -> Entry:
        """Change an entry, and write the journal."""
        self.entries[name] = replace(self[name], **changes)
        write_json(self.path, {key: asdict(entry) for key, entry in self.entries.items()})
        return self.entries[name]
