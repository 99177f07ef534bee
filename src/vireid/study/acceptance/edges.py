"""Edges compared under small shifts: what finds one scene again in another light and with another box around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from vireid.data import Dataset

__all__ = ["EdgeMaps"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.floating[Any]]

SMOOTH, WIDE = 1.5, 6.0
"""Standard deviations in pixels: of the picture before its gradient, and of what counts as no edge (half size)."""
ROWS, COLUMNS = 0.09, 0.11
"""Greatest shifts, as shares of the height and width."""


@dataclass(frozen=True, kw_only=True)
class EdgeMaps:
    """Fourier transforms (N, h, w) of edge maps across and along, at half size, of rows (N,) of the image table."""

    rows: IntArray
    spectra: tuple[NDArray[np.complex64], NDArray[np.complex64]]
    shape: tuple[int, int]
    reach: tuple[int, int]

    @classmethod
    def of(cls, dataset: Dataset, rows: IntArray) -> EdgeMaps:
        """Of these rows, ascending; the pictures are of one size."""
        paths = dataset.images["path"].to_numpy()[rows]
        grey = np.stack([np.asarray(Image.open(path).convert("L"), np.float32) for path in paths])
        light = np.log(gaussian_filter(grey, (0, SMOOTH, SMOOTH)) + 8)
        reach = round(ROWS * grey.shape[1] / 2), round(COLUMNS * grey.shape[2] / 2)
        maps = [_edges(np.abs(np.gradient(light, axis=axis))) for axis in (2, 1)]
        # Room for the greatest shift, so that nothing wraps round.
        shape = maps[0].shape[1] + 2 * reach[0], maps[0].shape[2] + 2 * reach[1]
        spectra = [np.fft.rfft2(each, shape).astype(np.complex64) for each in maps]
        return cls(rows=rows, spectra=(spectra[0], spectra[1]), shape=shape, reach=reach)

    def score(self, query: IntArray, gallery: IntArray) -> FloatArray:
        """(Q, G) greatest correlation of the edges over all small shifts."""
        columns = np.searchsorted(self.rows, gallery)
        scores = np.empty((len(query), len(gallery)), np.float32)
        (down, right) = self.reach
        for place, row in enumerate(np.searchsorted(self.rows, query)):
            product = sum(spectrum[row].conj()[None] * spectrum[columns] for spectrum in self.spectra)
            matched = np.fft.irfft2(product, self.shape)
            near = np.concatenate([matched[:, -down:], matched[:, : down + 1]], axis=1)
            scores[place] = np.concatenate([near[:, :, -right:], near[:, :, : right + 1]], axis=2).max(axis=(1, 2))
        return scores


def _edges(gradient: FloatArray) -> FloatArray:
    """Half size, without the broad level, of unit norm."""
    half = gradient[:, ::2, ::2]
    sharp = half - gaussian_filter(half, (0, WIDE, WIDE))
    edges: FloatArray = sharp / np.maximum(np.sqrt((sharp**2).sum(axis=(1, 2), keepdims=True)), 1e-9)
    return edges
