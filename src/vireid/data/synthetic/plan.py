"""What a set consists of before anything is rendered: people, cameras, pictures, lists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vireid.data.synthetic.cameras import Mount
from vireid.data.synthetic.people import Group
from vireid.types import Modality

__all__ = ["UNLISTED", "Plan", "Shot", "counts_of", "spread"]


UNLISTED = "unlisted"
"""Split of pictures that no list names; they are not counted."""


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One picture to be taken. `person` numbers the population; `label` is the identity that the layout writes."""

    path: str
    person: int
    label: int
    mount: int
    split: str
    frame: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A whole set. texts and matrices are further files by path; `numbers` gives each mount's camera in the counts."""

    groups: Sequence[Group]
    test_identities: int
    mounts: Sequence[Mount]
    shots: Sequence[Shot]
    texts: Mapping[str, str] = field(default_factory=dict)
    matrices: Mapping[str, dict[str, Any]] = field(default_factory=dict)


def counts_of(plan: Plan) -> list[dict[str, Any]]:
    """Rows (split, modality, camera, identities, images) of what the plan holds."""
    people: dict[tuple[str, Modality, int], set[int]] = {}
    images: dict[tuple[str, Modality, int], int] = {}
    for shot in plan.shots:
        if shot.split == UNLISTED:
            continue
        mount = plan.mounts[shot.mount]
        key = (shot.split, mount.modality, mount.number)
        people.setdefault(key, set()).add(shot.label)
        images[key] = images.get(key, 0) + 1
    return [
        {
            "split": split,
            "modality": str(modality),
            "camera": camera,
            "identities": len(people[split, modality, camera]),
            "images": images[split, modality, camera],
        }
        for split, modality, camera in sorted(people)
    ]


def spread(rng: np.random.Generator, count: int, shares: Sequence[tuple[float, str]]) -> list[str]:
    """`count` words in random order, each as often as its share says."""
    limits = np.cumsum([share for share, _ in shares]) * count
    words = [shares[int(np.searchsorted(limits, index + 0.5))][1] for index in range(count)]
    return [words[index] for index in rng.permutation(count)]
