"""Families of patterns, prints and colours, and which part of the benchmark may use which.

A family is a number. Pools do not overlap: a common pool, and private pools that one block of identities (the
training set, the test set, one half-group of RegDB, the pretraining people) has to itself.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vireid.data.synthetic.seeds import Purpose, stream

__all__ = ["COMMON", "PRETRAIN", "TEST", "TRAIN", "draw_family", "glyph", "is_private", "profile"]

Floats = NDArray[np.float32]

COMMON, TRAIN, TEST, PRETRAIN = 0, 1, 2, 3
"""Blocks; RegDB numbers its own from 10."""

POOL = 24
PRIVATE_SHARE = 0.45
"""Chance that a pattern comes from the block's private pool: leaves a margin over the wanted 30 %."""

GLYPH = 24
PROFILE = 16


def draw_family(block: int, rng: np.random.Generator) -> int:
    """Number of a family that `block` may use; the pretraining people use private ones only."""
    private = block == PRETRAIN or rng.random() < PRIVATE_SHARE
    return (block if private else COMMON) * POOL + int(rng.integers(POOL))


def is_private(family: int) -> bool:
    """Whether a family belongs to one block alone."""
    return family >= POOL


@lru_cache(maxsize=4096)
def profile(family: int) -> Floats:
    """(16,) weave of one period of a stripe or check, in [0, 1]: bars whose number and widths mark the family."""
    rng = stream(0, Purpose.ASSET, 1, family)
    bars = int(rng.integers(2, 5))
    edges = np.sort(rng.choice(np.arange(1, PROFILE), size=2 * bars - 1, replace=False))
    cells = np.searchsorted(edges, np.arange(PROFILE), side="right") % 2
    heights = rng.uniform(0.55, 1.0, size=PROFILE)[edges.searchsorted(np.arange(PROFILE), side="right") % PROFILE]
    shaped = cells * heights
    woven: Floats = (shaped / shaped.max()).astype(np.float32)
    return woven


@lru_cache(maxsize=4096)
def glyph(family: int, variant: int) -> Floats:
    """(24, 24) mask in [0, 1] of a print: the family sets the style, the variant the figure."""
    style = stream(0, Purpose.ASSET, 2, family)
    rng = stream(0, Purpose.ASSET, 3, family, variant)
    axis = np.linspace(-1, 1, GLYPH, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    kind = int(style.integers(4))
    if kind == 0:
        lobes, depth = int(style.integers(2, 8)), style.uniform(0.15, 0.5)
        mask = radius < 0.72 + depth * np.cos(lobes * angle + rng.uniform(0, 6.28)) * rng.uniform(0.5, 1)
    elif kind == 1:
        rings = style.uniform(3, 8)
        mask = (np.sin(rings * np.abs(radius + rng.uniform(0, 1) * x) + rng.uniform(0, 6.28)) > 0) & (radius < 0.95)
    elif kind == 2:
        cells = int(style.integers(3, 7))
        grid = rng.random((cells, cells)) < style.uniform(0.4, 0.65)
        grid = grid | grid[:, ::-1] if style.random() < 0.5 else grid
        index = np.minimum(((axis + 1) / 2 * cells).astype(int), cells - 1)
        mask = grid[index[:, None], index[None, :]]
    else:
        turn = style.uniform(0, 3.14) + rng.uniform(-0.2, 0.2)
        wave = np.sin((x * np.cos(turn) + y * np.sin(turn)) * style.uniform(5, 12) + rng.uniform(0, 6.28))
        mask = (wave > rng.uniform(-0.4, 0.4)) & (np.maximum(abs(x), abs(y)) < 0.95)
    return mask.astype(np.float32)
