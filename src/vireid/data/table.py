"""The table of images: how readers make it and what must hold in it."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from vireid.errors import DataError

__all__ = ["Picture", "image_table", "refuse_shared_identities"]


class Picture(NamedTuple):
    """One row; `path` is relative to the data set's root, with forward slashes."""

    path: str
    identity: int
    camera: int
    modality: str
    split: str


def image_table(root: Path, pictures: Sequence[Picture]) -> pd.DataFrame:
    """The table of `pictures` in their order, paths made absolute."""
    base = root.as_posix().rstrip("/")
    return pd.DataFrame(
        {
            "path": [f"{base}/{picture.path}" for picture in pictures],
            "identity": np.array([picture.identity for picture in pictures], dtype=np.int64),
            "camera": np.array([picture.camera for picture in pictures], dtype=np.int64),
            "modality": [picture.modality for picture in pictures],
            "split": [picture.split for picture in pictures],
        }
    )


def refuse_shared_identities(lists: Mapping[str, Collection[Any]], *, where: Path) -> None:
    """Refuse an identity that occurs in two of the named lists.

    Raises:
        DataError: names the identities and both lists.
    """
    names = list(lists)
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            shared = sorted(set(lists[one]) & set(lists[other]))
            if shared:
                shown = ", ".join(map(str, shared[:5])) + (", ..." if len(shared) > 5 else "")
                raise DataError(
                    f"{where}: {len(shared)} identities are in both {one} and {other} ({shown}); "
                    "a model would be tested on people it has seen. Remove them from one of the two"
                )
