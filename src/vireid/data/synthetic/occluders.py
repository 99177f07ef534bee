"""Things between camera and person: railings, boxes, bushes, poles, signs."""

import numpy as np
from numpy.typing import NDArray

from vireid.data.synthetic.noise import smooth
from vireid.data.synthetic.seeds import Purpose, stream
from vireid.data.synthetic.sightings import Frame, Occluder
from vireid.data.synthetic.spectrum import Spectrum

__all__ = ["occlude"]

Floats = NDArray[np.float32]


def occlude(picture: Floats, frame: Frame, spectrum: Spectrum) -> None:
    """Paint what stands before the person over a (H, W, C) picture, in place."""
    if frame.lower is not None:
        _paint(picture, frame.lower, spectrum, low=True)
    if frame.upper is not None:
        _paint(picture, frame.upper, spectrum, low=False)


def _paint(picture: Floats, occluder: Occluder, spectrum: Spectrum, *, low: bool) -> None:
    height, width, _ = picture.shape
    rng = stream(0, Purpose.ASSET, 5, occluder.look)
    kind, value = int(rng.integers(4)), _material(rng, spectrum)
    rows, columns = np.arange(height)[:, None] / height, np.arange(width)[None, :] / width
    inside = rows > occluder.edge if low else rows < occluder.edge
    texture = np.ones((height, width), dtype=np.float32)
    if kind == 0:
        spacing = rng.uniform(0.12, 0.3)
        bars = ((columns + occluder.side) % spacing) < spacing * 0.4
        rail = np.abs(rows - occluder.edge - (0.02 if low else -0.02)) < 0.02
        mask = (inside & bars) | rail
    elif kind == 1:
        left = occluder.side * 0.5 - 0.15
        mask = inside & (columns > left) & (columns < left + rng.uniform(0.5, 0.8))
        texture = np.where(rows - occluder.edge < 0.02, 1.25, 1.0).astype(np.float32) * np.ones_like(texture)
    elif kind == 2:
        ragged = smooth(rng, height, width, (14, 7)) * 0.05
        mask = (rows > occluder.edge + ragged) if low else (rows < occluder.edge + ragged)
        texture = 1 + 0.18 * smooth(rng, height, width, (28, 14))
        value = _leaves(spectrum)
    else:
        slope = rng.uniform(-0.25, 0.25)
        mask = inside & (np.abs(columns - occluder.side + slope * rows) < rng.uniform(0.14, 0.3))
    picture[mask] = value * texture[mask][:, None]


def _material(rng: np.random.Generator, spectrum: Spectrum) -> Floats:
    grey = rng.uniform(0.12, 0.7)
    colour = np.clip(grey + rng.normal(0, 0.08, 3), 0.03, 0.95)
    near, warmth = rng.uniform(0.1, 0.6), rng.uniform(0.1, 0.26)
    return np.array({"visible": colour, "near infrared": [near]}.get(spectrum, [warmth]), dtype=np.float32)


def _leaves(spectrum: Spectrum) -> Floats:
    values = {"visible": [0.2, 0.3, 0.13], "near infrared": [0.6]}
    return np.array(values.get(spectrum, [0.15]), dtype=np.float32)
