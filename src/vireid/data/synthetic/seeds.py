"""Random streams by purpose and number, so that what is drawn never depends on order or on the number of workers."""

from enum import IntEnum

import numpy as np

__all__ = ["Purpose", "stream"]


class Purpose(IntEnum):
    """What a stream is for. Identity and nuisance have purposes of their own: neither can be derived from the other."""

    POPULATION = 1
    ASSET = 2
    CAMERA = 3
    PLACE = 4
    PATH = 5
    SIGHTING = 6
    FRAME = 7
    LAYOUT = 8


def stream(seed: int, purpose: Purpose, *numbers: int) -> np.random.Generator:
    """A generator that depends on its arguments alone."""
    sequence = np.random.SeedSequence(seed, spawn_key=(int(purpose), *numbers))
    return np.random.Generator(np.random.Philox(sequence))
