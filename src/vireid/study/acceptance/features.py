"""Features that nobody learned: gradients, textures, grey levels, colours, and what a file says of itself."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from vireid.data import Dataset
from vireid.errors import MissingExtraError
from vireid.study.acceptance.retrieval import Vectors

__all__ = ["COLOURS", "SHAPES", "extract", "file_facts"]

Pictures = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]
IntArray = NDArray[np.int64]
Feature = Callable[[Pictures], Floats]

CELL, ORIENTATIONS = 8, 9
STRIPES = 6
CHUNK = 256


def extract(dataset: Dataset, rows: IntArray, features: Mapping[str, Feature]) -> dict[str, Vectors]:
    """Every feature of these rows (ascending) of the image table; pictures are read once.

    Raises:
        MissingExtraError: a feature needs scikit-image.
    """
    paths = dataset.images["path"].to_numpy()[rows]
    found: dict[str, list[Floats]] = {name: [] for name in features}
    for start in range(0, len(rows), CHUNK):
        pictures = np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths[start : start + CHUNK]])
        for name, feature in features.items():
            values = feature(pictures)
            found[name].append(values.reshape(len(pictures), -1).astype(np.float32))
    return {name: Vectors(rows=rows, values=np.concatenate(parts)) for name, parts in found.items()}


def hog(pictures: Pictures, *, signed: bool) -> Floats:
    """Histograms of oriented gradients over cells of 8 x 8 pixels (Dalal and Triggs, CVPR 2005), roots of shares.

    Unsigned ones take a dark edge on bright cloth for a bright one on dark cloth, which inverted contrast needs.
    """
    grey = _grey(pictures)
    down, right = np.gradient(grey, axis=1), np.gradient(grey, axis=2)
    strength, angle = np.hypot(right, down), np.arctan2(down, right)
    turn = 2 * np.pi if signed else np.pi
    number = np.minimum((angle % turn) / turn * ORIENTATIONS, ORIENTATIONS - 1).astype(np.int64)
    high, wide = grey.shape[1] // CELL, grey.shape[2] // CELL
    cells = np.stack([_summed(np.where(number == k, strength, 0), high, wide) for k in range(ORIENTATIONS)], axis=-1)
    shares: Floats = np.sqrt(cells / (cells.sum(axis=-1, keepdims=True) + 0.1))
    return shares


def lbp(pictures: Pictures) -> Floats:
    """Histograms of uniform local binary patterns (Ojala et al., TPAMI 2002), 8 points at radius 1, in two columns of
    stripes; roots of shares."""
    try:
        from skimage.feature import local_binary_pattern
    except ModuleNotFoundError as error:
        raise MissingExtraError("scikit-image", "study") from error
    grey = np.round(_grey(pictures) * 255).astype(np.uint8)
    uniform: Any = local_binary_pattern  # its package has no types
    codes = np.stack([uniform(picture, 8, 1, "uniform") for picture in grey]).astype(np.int64)
    middle = codes[:, :, codes.shape[2] // 8 : -(codes.shape[2] // 8)]
    histograms = [
        _histogram(cell, 10)
        for stripe in np.array_split(middle, 2 * STRIPES, axis=1)
        for cell in np.array_split(stripe, 2, axis=2)
    ]
    return np.sqrt(np.stack(histograms, axis=1))


def grey_stripes(pictures: Pictures) -> Floats:
    """Mean and spread of equalised grey in stripes of eight rows, over the middle half of the crop."""
    middle = _middle(_grey(pictures))
    order = middle.reshape(len(middle), -1).argsort(axis=1, kind="stable").argsort(axis=1)
    equal = (order / order.shape[1]).reshape(middle.shape)
    stripes = np.array_split(equal, equal.shape[1] // CELL, axis=1)
    return np.stack([value for s in stripes for value in (s.mean(axis=(1, 2)), s.std(axis=(1, 2)))], axis=1)


def rgb_histogram(pictures: Pictures) -> Floats:
    """Histograms of 8 x 8 x 8 colours in six stripes of the crop's middle half, roots of shares."""
    return _colour_histogram(pictures, (8, 8, 8))


def hsv_histogram(pictures: Pictures) -> Floats:
    """Histograms of 12 hues, 5 saturations and 5 values in six stripes of the crop's middle half, roots of shares."""
    flat = pictures.reshape(-1, pictures.shape[2], 3)
    hsv = np.asarray(Image.fromarray(flat).convert("HSV")).reshape(pictures.shape)
    return _colour_histogram(hsv, (12, 5, 5))


SHAPES: dict[str, Feature] = {
    "HOG, unsigned": lambda pictures: hog(pictures, signed=False),
    "HOG, signed": lambda pictures: hog(pictures, signed=True),
    "LBP": lbp,
    "equalised grey stripes": grey_stripes,
}
COLOURS: dict[str, Feature] = {"RGB histogram": rgb_histogram, "HSV histogram": hsv_histogram}


def file_facts(dataset: Dataset, rows: IntArray) -> Vectors:
    """What can be told of a file without decoding its picture, ranked or standardised per camera.

    Size in bytes, picture size, coding tables, the number in its name, and when it was written among the pictures of
    its camera. Folders are left out: in these layouts their names are the labels.
    """
    table = pd.DataFrame([_facts(Path(path)) for path in dataset.images["path"].to_numpy()[rows]])
    camera = dataset.images["camera"].to_numpy()[rows]
    written = table["written"].groupby(camera).rank(pct=True)
    facts = table.drop(columns="written").assign(written=written)
    spread = facts.groupby(camera).transform("std").replace(0, 1)
    standard = ((facts - facts.groupby(camera).transform("mean")) / spread).to_numpy(np.float64)
    return Vectors(rows=rows, values=np.append(standard, np.full((len(standard), 1), 1e-6), axis=1))


def _facts(path: Path) -> dict[str, float]:
    status = path.stat()
    with Image.open(path) as picture:
        tables = repr(sorted(getattr(picture, "quantization", {}).items()))
        extra = repr(sorted((str(k), str(v)) for k, v in picture.info.items()))
        width, height = picture.size
    digest = hashlib.sha256(f"{tables}{extra}".encode()).digest()
    return {
        "bytes": float(np.log(status.st_size)),
        "width": float(width),
        "height": float(height),
        "coding": float(int.from_bytes(digest[:4], "big")),
        "number": float("".join(c for c in path.stem if c.isdecimal()) or 0),
        "written": float(status.st_mtime_ns),
    }


def _grey(pictures: Pictures) -> Floats:
    grey: Floats = pictures.astype(np.float32).mean(axis=3) / 255
    return grey


def _middle(values: NDArray[Any]) -> NDArray[Any]:
    quarter = values.shape[2] // 4
    return values[:, :, quarter : values.shape[2] - quarter]


def _summed(values: Floats, high: int, wide: int) -> Floats:
    kept = values[:, : high * CELL, : wide * CELL].reshape(len(values), high, CELL, wide, CELL)
    total: Floats = kept.sum(axis=(2, 4))
    return total


def _colour_histogram(pictures: Pictures, bins: tuple[int, int, int]) -> Floats:
    scaled = [(pictures[..., k].astype(np.int64) * bins[k]) >> 8 for k in range(3)]
    code = _middle((scaled[0] * bins[1] + scaled[1]) * bins[2] + scaled[2])
    stripes = np.array_split(code, STRIPES, axis=1)
    return np.sqrt(np.stack([_histogram(stripe, int(np.prod(bins))) for stripe in stripes], axis=1))


def _histogram(codes: IntArray, bins: int) -> Floats:
    """(N, bins) shares of every code in (N, ...) codes."""
    flat = codes.reshape(len(codes), -1)
    offset = np.arange(len(flat))[:, None] * bins
    counts = np.bincount((flat + offset).ravel(), minlength=len(flat) * bins).reshape(len(flat), bins)
    shares: Floats = counts / flat.shape[1]
    return shares
