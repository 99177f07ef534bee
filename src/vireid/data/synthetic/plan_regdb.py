"""RegDB's layout: one visible and one thermal camera on one walk, ten pictures each, ten splits in halves.

Every group of near-twins stays whole in every split and has a private pool of patterns, so that each split's test
half wears patterns that its training half never showed.
"""

import numpy as np

from vireid.data.synthetic.cameras import Mount
from vireid.data.synthetic.people import Group, twin_groups
from vireid.data.synthetic.plan import Plan, Shot
from vireid.data.synthetic.presets import Preset
from vireid.data.synthetic.seeds import Purpose, stream
from vireid.data.synthetic.spectrum import Spectrum

__all__ = ["plan_regdb"]

MOUNTS = (
    Mount(number=1, spectrum=Spectrum.VISIBLE, place=1, outdoor=True, walk="mixed"),
    Mount(number=2, spectrum=Spectrum.THERMAL, place=1, outdoor=True, walk="mixed"),
)
FOLDERS, LETTERS, WORDS = ("Visible", "Thermal"), ("v", "t"), ("visible", "thermal")
LOOKS = ("male", "female"), ("front", "back")
"""Words in the names; drawn at random, so that a name tells nothing of its person."""

IMAGES = 10
SPLITS = 10
FIRST_BLOCK = 10


def plan_regdb(preset: Preset, seed: int) -> Plan:
    """Identities, pictures and the lists of ten splits of a set in this layout."""
    rng = stream(seed, Purpose.LAYOUT, 2)
    sizes = 2 * twin_groups(preset.half)
    groups = [Group(block=FIRST_BLOCK + number, size=size) for number, size in enumerate(sizes)]
    labels = (1 + rng.permutation(2 * preset.half)).tolist()
    members = np.split(np.array(labels), np.cumsum(sizes)[:-1])
    shots = []
    for person, label in enumerate(labels):
        look = "_".join(words[int(rng.integers(2))] for words in LOOKS)
        start = int(rng.integers(100, 9000))
        for mount in range(2):
            shots += [
                Shot(
                    path=f"{FOLDERS[mount]}/{label}/{look}_{LETTERS[mount]}_{start + 7 * index:05d}_{label}.bmp",
                    person=person,
                    label=label,
                    mount=mount,
                    split="all",
                    frame=index,
                )
                for index in range(IMAGES)
            ]
    shots.sort(key=lambda shot: (shot.mount, shot.label, shot.path))
    texts: dict[str, str] = {}
    for number in range(1, SPLITS + 1):
        texts |= _lists(number, _trained(members, rng), shots)
    return Plan(groups=groups, test_identities=preset.half, mounts=MOUNTS, shots=shots, texts=texts)


def _trained(members: list[np.ndarray], rng: np.random.Generator) -> set[int]:
    """Labels of the training half: as many groups of each size as the other half gets."""
    by_size: dict[int, list[np.ndarray]] = {}
    for group in members:
        by_size.setdefault(len(group), []).append(group)
    chosen: set[int] = set()
    for groups in by_size.values():
        for index in rng.permutation(len(groups))[: len(groups) // 2]:
            chosen.update(groups[int(index)].tolist())
    return chosen


def _lists(number: int, trained: set[int], shots: list[Shot]) -> dict[str, str]:
    everyone = sorted({shot.label for shot in shots})
    texts = {}
    for role, kept in (("train", trained), ("test", set(everyone) - trained)):
        classes = {label: index for index, label in enumerate(sorted(kept))}
        for mount, word in enumerate(WORDS):
            lines = [
                f"{shot.path} {classes[shot.label]}" for shot in shots if shot.mount == mount and shot.label in kept
            ]
            texts[f"idx/{role}_{word}_{number}.txt"] = "\n".join(lines) + "\n"
    return texts
