"""LLCM's layout: nine cameras that see visible and near-infrared light at the same place."""

import numpy as np

from vireid.data.counts import official_pictures
from vireid.data.synthetic.cameras import Mount
from vireid.data.synthetic.families import TEST, TRAIN
from vireid.data.synthetic.people import Group, twin_groups
from vireid.data.synthetic.plan import Plan, Shot
from vireid.data.synthetic.presets import Preset
from vireid.data.synthetic.seeds import Purpose, stream
from vireid.data.synthetic.spectrum import Spectrum

__all__ = ["plan_llcm"]

WALKS = {1: "mixed", 2: "across", 3: "towards", 4: "across", 5: "mixed", 6: "away", 7: "away", 8: "mixed", 9: "towards"}
OUTDOOR = (1, 3, 6, 8)
SPECTRA = (("visible", Spectrum.VISIBLE, "vis"), ("infrared", Spectrum.NEAR, "nir"))
MOUNTS = tuple(
    Mount(number=number, spectrum=spectrum, place=number, outdoor=number in OUTDOOR, walk=WALKS[number])
    for _, spectrum, _ in SPECTRA
    for number in WALKS
)
SHARES = {
    "visible": {1: 0.05, 2: 0.02, 3: 0.32, 4: 0.33, 5: 0.18, 6: 0.01, 7: 0.05, 8: 0.02, 9: 0.02},
    "infrared": {1: 0.02, 2: 0.03, 4: 0.03, 5: 0.36, 6: 0.46, 7: 0.04, 8: 0.03, 9: 0.03},
}
"""How often an identity is seen by each camera; infrared camera 3 is never used, as in the real set."""

SIGHTINGS = 2
Row = tuple[str, str, int, int, int]


def plan_llcm(preset: Preset, seed: int) -> Plan:
    """Identities, pictures and lists of a set in this layout."""
    rng = stream(seed, Purpose.LAYOUT, 3)
    rows = _official() if preset.official else _scaled(preset, rng)
    trained = sorted({row[3] for row in rows if row[0] == "train"})
    tested = sorted({row[3] for row in rows if row[0] == "test"})
    shuffled = [tested[index] for index in rng.permutation(len(tested))]
    person_of = {label: number for number, label in enumerate([*trained, *shuffled])}
    groups = [Group(block=TRAIN, size=size) for size in twin_groups(len(trained))]
    groups += [Group(block=TEST, size=size) for size in twin_groups(len(tested))]
    shots = [shot for row in rows for shot in _sighting(row, person_of, rng)]
    classes = {label: index for index, label in enumerate(trained)}
    texts = {"idx/test_id.txt": ",".join(map(str, tested)) + "\n"}
    for index, (_, _, word) in enumerate(SPECTRA):
        mounts = range(9 * index, 9 * index + 9)
        for split in ("train", "test"):
            lines = [
                f"{shot.path} {classes.get(shot.label, shot.label)}"
                for shot in shots
                if shot.split == split and shot.mount in mounts
            ]
            texts[f"idx/{split}_{word}.txt"] = "\n".join(lines) + "\n"
    return Plan(groups=groups, test_identities=len(tested), mounts=MOUNTS, shots=shots, texts=texts)


def _sighting(row: Row, person_of: dict[int, int], rng: np.random.Generator) -> list[Shot]:
    split, modality, camera, label, images = row
    index = 0 if modality == "visible" else 1
    word = SPECTRA[index][2]
    folder = f"{word}/{label:04d}" if split == "train" else f"test_{word}/cam{camera}/{label:04d}"
    clock, first = int(rng.integers(180000, 220000)), int(rng.integers(1000, 9000))
    return [
        Shot(
            path=f"{folder}/{label:04d}_c{camera:02d}_s{clock}_f{first + 5 * frame:05d}_{word}.jpg",
            person=person_of[label],
            label=label,
            mount=9 * index + camera - 1,
            split=split,
            frame=frame,
        )
        for frame in range(images)
    ]


def _official() -> list[Row]:
    table = official_pictures("llcm")
    columns = (table[name].tolist() for name in ("split", "modality", "camera", "identity", "images"))
    rows: list[Row] = [row for row in zip(*columns, strict=True) if row[4]]
    return sorted(rows)


def _scaled(preset: Preset, rng: np.random.Generator) -> list[Row]:
    labels = (1 + rng.permutation(preset.train + preset.test)).tolist()
    rows: list[Row] = []
    for number, label in enumerate(labels):
        split = "train" if number < preset.train else "test"
        for modality, shares in SHARES.items():
            cameras = list(shares)
            chance = np.array([shares[camera] for camera in cameras])
            chosen = rng.choice(cameras, size=SIGHTINGS, replace=False, p=chance / chance.sum())
            rows += [(split, modality, int(camera), label, preset.images) for camera in chosen]
    return sorted(rows)
