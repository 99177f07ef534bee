"""What became of an imported checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["ImportReport"]

_SHOWN = 3  # names of a group that the report spells out


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """Where every weight of a checkpoint went.

    mapped: released name -> own name (timm's name for start weights). left_over: reason -> released names that have no
    place here. notes: what the file says of itself (epoch, accuracy), unchecked. remarks: what differs from the
    released code, or is taken for granted because the file does not say it.
    """

    file: str
    sha256: str
    paper: str
    mapped: Mapping[str, str]
    left_over: Mapping[str, tuple[str, ...]]
    notes: Mapping[str, Any]
    remarks: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "file": self.file,
            "sha256": self.sha256,
            "paper": self.paper,
            "mapped": dict(self.mapped),
            "left_over": {reason: list(names) for reason, names in self.left_over.items()},
            "notes": dict(self.notes),
            "remarks": list(self.remarks),
        }

    def lines(self) -> list[str]:
        """The report for people."""
        told = [f"{self.file} (SHA-256 {self.sha256[:16]}...): {len(self.mapped)} tensors mapped"]
        for reason, names in self.left_over.items():
            shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
            told.append(f"left over, {len(names)} tensors: {reason} ({shown})")
        said = ", ".join(f"{name} {value}" for name, value in self.notes.items() if not isinstance(value, list))
        if said:
            told.append(f"the file says of itself: {said}")
        return [*told, *(f"note: {remark}" for remark in self.remarks)]
