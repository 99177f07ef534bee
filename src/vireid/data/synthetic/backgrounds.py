"""Places as panoramas: rooms and streets painted once, in visible, near-infrared and thermal light together."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vireid.data.synthetic.noise import smooth
from vireid.data.synthetic.seeds import Purpose, stream
from vireid.data.synthetic.spectrum import Spectrum

__all__ = ["PLAY", "panorama"]

Floats = NDArray[np.float32]

PLAY = 0.5
"""Panorama rows beyond the crop's height, as a share of it: room for boxes that sit too high or too low."""
LENGTH = 9.0
"""Panorama length in crop widths."""
HORIZON = 0.70
"""Where floor and wall meet, as a share of the crop's height, when the box sits right."""

VISIBLE, NEAR, THERMAL = slice(0, 3), slice(3, 4), slice(4, 5)


@lru_cache(maxsize=32)
def panorama(seed: int, place: int, outdoor: bool, spectrum: Spectrum, height: int, width: int) -> Floats:
    """(rows, columns, 3 or 1) picture of a place, in [0, 1], for crops of `height` x `width`."""
    canvas = _Canvas(seed, place, height, width)
    if outdoor:
        canvas.street()
    else:
        canvas.room()
    canvas.finish()
    channels = {Spectrum.VISIBLE: VISIBLE, Spectrum.NEAR: NEAR, Spectrum.THERMAL: THERMAL}[spectrum]
    return np.ascontiguousarray(np.clip(canvas.pixels[:, :, channels], 0.0, 1.0))


class _Canvas:
    """A panorama being painted; positions are shares of its length (x) and of the crop's height (y)."""

    def __init__(self, seed: int, place: int, height: int, width: int) -> None:
        self.rng = stream(seed, Purpose.PLACE, place, 2)
        self.unit = height
        self.rows, self.columns = int(height * (1 + PLAY)), int(width * LENGTH)
        self.pixels = np.zeros((self.rows, self.columns, 5), dtype=np.float32)
        self.floor = self._row(HORIZON)

    def _row(self, y: float) -> int:
        return int((y + PLAY / 2) * self.unit)

    def material(self, low: float, high: float, *, warmth: float, colourful: float = 0.025) -> Floats:
        """A random grey with a hint of colour, its own near-infrared tone, and a temperature."""
        grey = self.rng.uniform(low, high)
        colour = grey + self.rng.normal(0, colourful, 3)
        near = self.rng.uniform(0.6 * low, min(0.8, high * 1.1))
        return np.array([*colour, near, warmth + self.rng.normal(0, 0.025)], dtype=np.float32)

    def rectangle(self, x: float, y: float, wide: float, high: float, value: Floats) -> None:
        top, left = max(0, self._row(y)), max(0, int(x * self.columns))
        bottom, right = self._row(y + high), int(left + wide * self.unit)
        self.pixels[top:bottom, left:right] = value

    def blob(self, x: float, y: float, wide: float, high: float, value: Floats, *, leafy: bool = True) -> None:
        rows, columns = int(high * self.unit), int(wide * self.unit)
        rough = 1.0 if leafy else 0.1
        ragged = smooth(self.rng, rows, columns, (7, 7)) * 0.22 * rough
        py, px = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
        inside = np.hypot(py, px) + ragged < 0.8
        top, left = self._row(y), int(x * self.columns)
        area = self.pixels[max(0, top) : top + rows, left : left + columns]
        inside = inside[max(0, -top) :][: area.shape[0], : area.shape[1]]
        leaves = (max(2, rows // 5), max(2, columns // 5))
        speckle = (
            1
            + 0.22
            * rough
            * smooth(self.rng, rows, columns, leaves)[max(0, -top) :][: area.shape[0], : area.shape[1], None]
        )
        area[inside] = (value * speckle)[inside]

    def ground(self, wall: Floats, floor: Floats, lines: int) -> None:
        self.pixels[: self.floor] = wall
        depth = np.linspace(0.82, 1.1, self.rows - self.floor, dtype=np.float32)[:, None, None]
        self.pixels[self.floor :] = floor * depth
        joint = self.pixels[self.floor]
        for step in range(1, lines):
            row = self.floor + int((self.rows - self.floor) * (step / lines) ** 1.7)
            self.pixels[row] = joint[0] * 0.86
        rows = np.arange(self.floor, self.rows)
        for start in np.linspace(-0.1, 1.1, 6 * lines):
            slant = (start - 0.5) * (0.4 + (rows - self.floor) / self.unit) * self.columns * 0.9
            columns = (self.columns * 0.5 + slant).astype(int)
            kept = (columns >= 0) & (columns < self.columns)
            self.pixels[rows[kept], columns[kept]] *= 0.88

    def room(self) -> None:
        rng = self.rng
        wall, floor = self.material(0.5, 0.8, warmth=0.22), self.material(0.3, 0.6, warmth=0.2)
        self.ground(wall, floor, int(rng.integers(3, 7)))
        self.rectangle(0, HORIZON - 0.03, 99, 0.03, wall * 0.55)
        x = rng.uniform(0, 0.05)
        while x < 1:
            kind, wide = int(rng.integers(5)), rng.uniform(0.25, 0.5)
            if kind == 0:
                self.rectangle(x, 0.02, wide, HORIZON - 0.02, self.material(0.2, 0.6, warmth=0.24, colourful=0.05))
                self.rectangle(x + 0.004, 0.06, wide * 0.8, HORIZON - 0.1, self.material(0.3, 0.6, warmth=0.24))
            elif kind == 1:
                self.rectangle(x, -0.1, wide * 1.3, 0.4, self.material(0.7, 0.95, warmth=0.12))
                self.rectangle(x + 0.006, -0.07, wide * 0.5, 0.33, self.material(0.6, 0.95, warmth=0.1))
            elif kind == 2:
                self.rectangle(x, 0.1, wide * 0.6, 0.25, self.material(0.2, 0.8, warmth=0.22, colourful=0.12))
            elif kind == 3:
                self.rectangle(x, -0.25, 0.11, HORIZON + 0.27, self.material(0.4, 0.8, warmth=0.22))
            else:
                self.rectangle(x, HORIZON - 0.26, wide, 0.34, self.material(0.15, 0.5, warmth=0.22, colourful=0.08))
                self.rectangle(x, HORIZON - 0.28, wide * 1.04, 0.03, self.material(0.4, 0.7, warmth=0.22))
            x += wide * rng.uniform(0.12, 0.4)

    def street(self) -> None:
        rng = self.rng
        self.ground(
            self.material(0.35, 0.6, warmth=0.16), self.material(0.35, 0.6, warmth=0.2), int(rng.integers(2, 5))
        )
        self.rectangle(0, -PLAY / 2, 99, 0.2, self.material(0.7, 0.9, warmth=0.02))
        green = np.array([0.20, 0.30, 0.13, 0.62, 0.15], dtype=np.float32)
        x = rng.uniform(0, 0.03)
        while x < 1:
            kind, wide = int(rng.integers(5)), rng.uniform(0.3, 0.8)
            if kind == 0:
                self.rectangle(x, -0.2, wide, HORIZON + 0.2, self.material(0.25, 0.65, warmth=0.2, colourful=0.08))
                for level in (-0.12, 0.15, 0.42):
                    self.rectangle(x + 0.01, level, wide * 0.35, 0.16, self.material(0.1, 0.3, warmth=0.12))
            elif kind == 1:
                self.blob(x, HORIZON - 0.34, wide, 0.42, green * rng.uniform(0.7, 1.3))
            elif kind == 2:
                self.rectangle(x + 0.02, 0.1, 0.05, HORIZON - 0.06, self.material(0.12, 0.25, warmth=0.16))
                self.blob(x, -0.24, 0.55, 0.5, green * rng.uniform(0.6, 1.2))
            elif kind == 3:
                car = self.material(0.1, 0.85, warmth=0.3, colourful=0.08)
                self.blob(x, HORIZON - 0.2, 0.95, 0.30, car, leafy=False)
                self.rectangle(x + 0.02, HORIZON - 0.1, 0.62, 0.12, car * 0.9)
                self.rectangle(x + 0.03, HORIZON + 0.01, 0.12, 0.06, car * 0.0 + 0.07)
            else:
                self.rectangle(x, 0.25, 0.03, HORIZON - 0.2, self.material(0.3, 0.6, warmth=0.15))
                self.rectangle(x, 0.16, 0.16, 0.14, self.material(0.3, 0.9, warmth=0.15, colourful=0.12))
            x += wide * rng.uniform(0.08, 0.25)

    def finish(self) -> None:
        """Light that wanders over the place, and grain."""
        broad = smooth(self.rng, self.rows, self.columns, (3, 24))[:, :, None]
        fine = smooth(self.rng, self.rows, self.columns, (60, 360))[:, :, None]
        self.pixels[:, :, :4] *= 1 + 0.10 * broad + 0.04 * fine
        self.pixels[:, :, 4:] += 0.012 * broad + 0.004 * fine
