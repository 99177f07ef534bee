"""Contact sheets: people in rows, cameras in columns."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from vireid.errors import DataError

__all__ = ["contact_sheet"]


def contact_sheet(
    root: Path, *, rows: int = 8, per_camera: int = 2, first: int = 0, split: str | None = None
) -> Image.Image:
    """A sheet of a finished synthetic set: one person a row, near-twins under each other, `per_camera` pictures each.

    Args:
        root: the set's folder.
        rows: people shown.
        per_camera: pictures of every camera; places where a camera never saw the person stay grey.
        first: people skipped.
        split: `train`, `val` or `test` (RegDB: `all`); None shows any.

    Raises:
        DataError: `root` holds no finished synthetic set.
    """
    table_file = root / "factors.parquet"
    if not table_file.is_file():
        raise DataError(f"{table_file} does not exist; give the folder of a finished synthetic set")
    table = pd.read_parquet(table_file, columns=["path", "identity", "split", "modality", "camera", "true_group"])
    table = table if split is None else table[table["split"] == split]
    people = table.sort_values(["true_group", "identity"], kind="stable")["identity"].drop_duplicates()
    cameras = sorted(set(zip(table["modality"], table["camera"], strict=True)), reverse=True)
    shown = people.iloc[first : first + rows].tolist()
    height, width = np.asarray(Image.open(root / table["path"].iloc[0])).shape[:2]
    sheet = np.full((len(shown) * height, len(cameras) * per_camera * width, 3), 128, dtype=np.uint8)
    for row, identity in enumerate(shown):
        for column, (modality, camera) in enumerate(cameras):
            seen = (table["identity"] == identity) & (table["modality"] == modality) & (table["camera"] == camera)
            paths = table.loc[seen, "path"].tolist()
            for index, path in enumerate(paths[:: max(1, len(paths) // per_camera)][:per_camera]):
                left = (column * per_camera + index) * width
                picture = np.asarray(Image.open(root / path).convert("RGB"))
                sheet[row * height : (row + 1) * height, left : left + width] = picture
    return Image.fromarray(sheet)
