"""SYSU-MM01's layout: cameras 1, 2, 4, 5 visible, 3 and 6 near infrared; 2 and 3 hang in the same room."""

from typing import Any

import numpy as np

from vireid.data.counts import official_pictures
from vireid.data.synthetic.cameras import Mount
from vireid.data.synthetic.families import TEST, TRAIN
from vireid.data.synthetic.people import Group, twin_groups
from vireid.data.synthetic.plan import UNLISTED, Plan, Shot, spread
from vireid.data.synthetic.presets import Preset
from vireid.data.synthetic.seeds import Purpose, stream
from vireid.data.synthetic.spectrum import Spectrum

__all__ = ["plan_sysu"]

SEEN, NEAR = Spectrum.VISIBLE, Spectrum.NEAR
MOUNTS = (
    Mount(number=1, spectrum=SEEN, place=1, outdoor=False, walk="towards"),
    Mount(number=2, spectrum=SEEN, place=2, outdoor=False, walk="mixed"),
    Mount(number=3, spectrum=NEAR, place=2, outdoor=False, walk="mixed"),
    Mount(number=4, spectrum=SEEN, place=4, outdoor=True, walk="towards"),
    Mount(number=5, spectrum=SEEN, place=5, outdoor=True, walk="across"),
    Mount(number=6, spectrum=NEAR, place=6, outdoor=True, walk="away"),
)
CAMERAS_OF = {
    "train": ((0.62, "123456"), (0.32, "345"), (0.06, "3456")),
    "val": ((1.0, "345"),),
    "test": ((0.58, "123456"), (0.42, "3456")),
}
"""Shares of identities by the cameras that saw them, as in the real set."""

TRIALS = 10
Sizes = dict[tuple[int, int], int]
Splits = dict[str, list[int]]


def plan_sysu(preset: Preset, seed: int) -> Plan:
    """Identities, pictures, lists and permutations of a set in this layout."""
    rng = stream(seed, Purpose.LAYOUT, 1)
    splits, sizes = _official() if preset.official else _scaled(preset, rng)
    # The real set has pictures of some identities that no split lists; nobody trains or tests on them.
    unlisted = splits.pop(UNLISTED, [])
    trained = sorted([*splits["train"], *splits["val"], *unlisted])
    test = [splits["test"][index] for index in rng.permutation(len(splits["test"]))]
    person_of = {label: number for number, label in enumerate([*trained, *test])}
    groups = [Group(block=TRAIN, size=size) for size in twin_groups(len(trained))]
    groups += [Group(block=TEST, size=size) for size in twin_groups(len(test))]
    split_of = {label: split for split, labels in splits.items() for label in labels}
    lists = {f"{split}_id": sorted(labels) for split, labels in splits.items()}
    lists["available_id"] = sorted(split_of)
    split_of |= dict.fromkeys(unlisted, UNLISTED)
    shots = [
        Shot(
            path=f"cam{camera}/{label:04d}/{index:04d}.jpg",
            person=person_of[label],
            label=label,
            mount=camera - 1,
            split=split_of[label],
            frame=index,
        )
        for (label, camera), size in sorted(sizes.items(), key=lambda item: (item[0][1], item[0][0]))
        for index in range(1, size + 1)
    ]
    matrices: dict[str, dict[str, Any]] = {
        f"exp/{name}.mat": {"id": np.array([labels], dtype=np.float64)} for name, labels in lists.items()
    }
    matrices["exp/rand_perm_cam.mat"] = {"rand_perm_cam": _permutations(sizes, max(split_of), rng)}
    return Plan(
        groups=groups,
        test_identities=len(test),
        mounts=MOUNTS,
        shots=shots,
        texts={f"exp/{name}.txt": ",".join(map(str, labels)) + "\n" for name, labels in lists.items()},
        matrices=matrices,
    )


def _official() -> tuple[Splits, Sizes]:
    table = official_pictures("sysu")
    splits: Splits = {str(split): sorted(set(rows["identity"].tolist())) for split, rows in table.groupby("split")}
    rows = zip(table["identity"].tolist(), table["camera"].tolist(), table["images"].tolist(), strict=True)
    return splits, {(identity, camera): images for identity, camera, images in rows if images}


def _scaled(preset: Preset, rng: np.random.Generator) -> tuple[Splits, Sizes]:
    labels = (1 + rng.permutation(preset.train + preset.test)).tolist()
    trained = preset.train - preset.train // 4
    splits = {
        "train": labels[:trained],
        "val": labels[trained : preset.train],
        "test": labels[preset.train :],
    }
    sizes: Sizes = {}
    for split, members in splits.items():
        cameras = spread(rng, len(members), CAMERAS_OF[split])
        for label, seen in zip(members, cameras, strict=True):
            sizes |= {(label, int(camera)): preset.images for camera in seen}
    return splits, sizes


def _permutations(sizes: Sizes, identities: int, rng: np.random.Generator) -> Any:
    cameras = np.empty((len(MOUNTS), 1), dtype=object)
    for camera in range(1, len(MOUNTS) + 1):
        cells = np.empty((identities, 1), dtype=object)
        for label in range(1, identities + 1):
            count = sizes.get((label, camera), 0)
            orders = [rng.permutation(count) + 1 for _ in range(TRIALS)]
            cells[label - 1, 0] = np.array(orders, dtype=np.float64).reshape(TRIALS, count)
        cameras[camera - 1, 0] = cells
    return cameras
