"""How the galleries of a protocol's trials are drawn. Everything here works on counts alone."""

import random
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["TRIALS", "draw_by_seed", "gallery_by_seed", "sightings", "take"]

TRIALS = 10


def draw_by_seed(seed: int, sizes: Iterable[int], *, shots: int = 1) -> list[list[int]]:
    """For every list of the given sizes, in this order, the ascending positions that trial `seed` draws from it.

    One shot is `random.choice` after `random.seed(seed)`, as the code of the AGW family draws (identities ascending,
    then cameras ascending); the generator is a private one. Several shots are `random.sample` of the same generator:
    no public code draws several reproducibly, so this reading is vireid's own. A list shorter than `shots` is taken
    whole.
    """
    generator = random.Random(seed)
    if shots == 1:
        return [[generator.choice(range(size))] for size in sizes]
    return [sorted(generator.sample(range(size), min(shots, size))) for size in sizes]


def sightings(images: pd.DataFrame, rows: NDArray[np.int64]) -> dict[tuple[int, int], NDArray[np.int64]]:
    """The rows of each (identity, camera) among `rows`, identities ascending, then cameras, then table order."""
    identity = images["identity"].to_numpy()[rows]
    camera = images["camera"].to_numpy()[rows]
    ordered = rows[np.lexsort((rows, camera, identity))]
    keys = np.stack([images["identity"].to_numpy()[ordered], images["camera"].to_numpy()[ordered]], axis=1)
    if not len(ordered):
        return {}
    starts = np.flatnonzero(np.any(keys[1:] != keys[:-1], axis=1)) + 1
    groups = np.split(ordered, starts)
    firsts = keys[np.concatenate([[0], starts])]
    return {(int(person), int(number)): group for (person, number), group in zip(firsts, groups, strict=True)}


def gallery_by_seed(groups: Sequence[NDArray[np.int64]], *, shots: int = 1) -> list[NDArray[np.int64]]:
    """The galleries of trials 0 to 9, drawn from `groups` of rows by `draw_by_seed`."""
    return [take(groups, draw_by_seed(trial, [len(group) for group in groups], shots=shots)) for trial in range(TRIALS)]


def take(groups: Sequence[NDArray[np.int64]], positions: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """The rows at `positions` of each group, one after the other."""
    chosen = [group[list(wanted)] for group, wanted in zip(groups, positions, strict=True)]
    return np.concatenate(chosen) if chosen else np.empty(0, np.int64)
