"""Pictures of people whom nobody named: one folder of visible ones and one of infrared ones."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd

from vireid.data.base import UNKNOWN, Dataset
from vireid.data.images import SUFFIXES
from vireid.data.protocol import Protocol
from vireid.errors import DataError
from vireid.types import Modality

__all__ = ["Folders", "open_folders"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Folders(Dataset):
    """All pictures below `visible` and below `infrared`, to learn from without labels; nothing can be tested on them.

    Identity and camera are `UNKNOWN`; the set is called as its folder is.
    """

    kind: ClassVar[str] = "folders"
    official_name: ClassVar[str] = "folders"
    official_licence: ClassVar[str] = "not stated"

    @property
    def name(self) -> str:
        return self.root.name

    @property
    def version(self) -> str:
        return "not stated"

    def known_protocols(self) -> list[str]:
        return ["training"]

    def _serves(self, name: str) -> bool:  # noqa: ARG002
        return False

    def _build(self, name: str) -> Protocol:  # noqa: ARG002
        raise DataError(
            f"{self.root} does not say who is who, so nothing can be tested on it; list the people in a manifest"
        )


def open_folders(root: Path, *, check_counts: bool = True) -> Folders:  # noqa: ARG001 - there are none to check
    """Read the folders `visible` and `infrared` in `root`, of which one may be missing.

    Raises:
        DataError: neither is there, or one is there without pictures.
    """
    present = [modality for modality in Modality if (root / modality).is_dir()]
    if not present:
        raise DataError(f"{root} holds neither a folder visible nor a folder infrared; sort the pictures into these")
    rows = [(path, modality) for modality in present for path in _pictures(root / modality)]
    images = pd.DataFrame(
        {
            "path": [path.as_posix() for path, _ in rows],
            "identity": UNKNOWN,
            "camera": UNKNOWN,
            "modality": [str(modality) for _, modality in rows],
            "split": "train",
        }
    )
    return Folders(root=root, images=images.sort_values("path", ignore_index=True))


def _pictures(folder: Path) -> list[Path]:
    found = [path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")]
    if not found:
        raise DataError(f"{folder} holds no picture ({', '.join(sorted(SUFFIXES))}); put some in, or remove it")
    return found
