"""Smooth random fields for fabric folds, walls, foliage and light."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vireid.data.synthetic.seeds import Purpose, stream

__all__ = ["TILE", "folds", "smooth"]

Floats = NDArray[np.float32]
TILE = 128


def smooth(rng: np.random.Generator, height: int, width: int, cells: tuple[int, int]) -> Floats:
    """(height, width) field of mean 0 and spread about 1: a coarse random grid, interpolated with soft steps."""
    rows, columns = cells
    grid = rng.standard_normal((rows + 1, columns + 1), dtype=np.float32)
    y, x = np.linspace(0, rows, height, endpoint=False), np.linspace(0, columns, width, endpoint=False)
    top, left = y.astype(int), x.astype(int)
    fy, fx = _ease(y - top).astype(np.float32)[:, None], _ease(x - left).astype(np.float32)
    upper = grid[top][:, left] * (1 - fx) + grid[top][:, left + 1] * fx
    lower = grid[top + 1][:, left] * (1 - fx) + grid[top + 1][:, left + 1] * fx
    field: Floats = upper * (1 - fy) + lower * fy
    return field * np.float32(1.5)


@lru_cache(maxsize=1)
def folds() -> tuple[Floats, Floats]:
    """Two (128, 128) tiles that wrap round: slopes of crumpled cloth across and along."""
    rng = stream(0, Purpose.ASSET, 9)
    spectrum = np.fft.rfft2(rng.standard_normal((TILE, TILE)))
    fy, fx = np.fft.fftfreq(TILE)[:, None] * TILE, np.fft.rfftfreq(TILE)[None, :] * TILE
    radius = np.hypot(fy * 0.7, fx)
    cloth = np.fft.irfft2(spectrum * np.exp(-((radius / 9) ** 2)) * (radius > 1.5))
    across, along = np.roll(cloth, -1, 1) - cloth, np.roll(cloth, -1, 0) - cloth
    scale = 1 / np.std(across)
    return (across * scale).astype(np.float32), (along * scale).astype(np.float32)


def _ease(share: NDArray[np.float64]) -> NDArray[np.float64]:
    return share * share * (3 - 2 * share)
