"""Small data sets in the official layouts, made of empty files: readers list pictures and never open them."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from vireid.data.counts import official_pictures
from vireid.data.sysu import Sysu, sysu_table

SYSU_SPLITS = {"train": [1, 2], "val": [3], "test": [4, 5, 7]}
LLCM_TRAIN, LLCM_TEST = [1, 3], [2, 5]


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")


def state(root: Path, dataset: str, **more: Any) -> None:
    """Write an expected.json; without `counts` none are checked."""
    known = {"format": 1, "name": f"tiny {dataset}", "version": "1", "licence": "CC0", "synthetic": True}
    (root / "expected.json").write_text(json.dumps({**known, "dataset": dataset, **more}))


@pytest.fixture
def stated() -> Callable[..., None]:
    return state


@pytest.fixture
def sysu_root(tmp_path: Path) -> Path:
    """Every identity before every camera, 3 pictures each, except that identity 7 lacks camera 1."""
    root = tmp_path / "SYSU-MM01"
    for split, identities in SYSU_SPLITS.items():
        touch(root / "exp" / f"{split}_id.txt")
        (root / "exp" / f"{split}_id.txt").write_text(",".join(map(str, identities)) + "\n")
        for identity in identities:
            for camera in range(1, 7):
                if (identity, camera) != (7, 1):
                    for number in range(1, 4):
                        touch(root / f"cam{camera}" / f"{identity:04d}" / f"{number:04d}.jpg")
    return root


def write_regdb(root: Path, *, identities: int, images: int, splits: int) -> None:
    for folder in ("Visible", "Thermal"):
        for person in range(1, identities + 1):
            for number in range(images):
                touch(root / folder / str(person) / f"male_back_{folder[0].lower()}_{number:05d}_{person}.bmp")
    for split in range(1, splits + 1):
        tested = {(person * 7 + split) % identities + 1 for person in range(identities // 2)}
        for role in ("train", "test"):
            chosen = [p for p in range(1, identities + 1) if (p in tested) == (role == "test")]
            for folder, word in (("Visible", "visible"), ("Thermal", "thermal")):
                lines = [
                    f"{folder}/{person}/male_back_{folder[0].lower()}_{number:05d}_{person}.bmp {label}"
                    for label, person in enumerate(chosen)
                    for number in range(images)
                ]
                path = root / "idx" / f"{role}_{word}_{split}.txt"
                path.parent.mkdir(exist_ok=True)
                path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def regdb_writer() -> Callable[..., None]:
    return write_regdb


@pytest.fixture
def regdb_root(tmp_path: Path) -> Path:
    """Eight people, two pictures per modality, three splits, which `expected.json` allows."""
    root = tmp_path / "RegDB"
    write_regdb(root, identities=8, images=2, splits=3)
    state(root, "regdb")
    return root


@pytest.fixture
def llcm_root(tmp_path: Path) -> Path:
    """Two people to train on and two to test on; test cameras 1, 2 and 5 with two pictures each."""
    root = tmp_path / "LLCM"
    (root / "idx").mkdir(parents=True)
    (root / "idx" / "test_id.txt").write_text(",".join(map(str, LLCM_TEST)) + "\n")
    for word in ("vis", "nir"):
        names = [f"{word}/{p:04d}/{p:04d}_c0{c}_s1_f{n}_{word}.jpg" for p in LLCM_TRAIN for c in (1, 4) for n in (1, 2)]
        for name in names:
            touch(root / name)
        labels = {f"{person:04d}": label for label, person in enumerate(LLCM_TRAIN)}
        (root / "idx" / f"train_{word}.txt").write_text("".join(f"{n} {labels[n.split('/')[1]]}\n" for n in names))
        for person in LLCM_TEST:
            for camera in (1, 2, 5):
                for number in (1, 2):
                    touch(
                        root / f"test_{word}/cam{camera}/{person:04d}/{person:04d}_c0{camera}_s1_f{number}_{word}.jpg"
                    )
    (root / "test_nir" / "cam3").mkdir()
    state(root, "llcm")
    return root


@pytest.fixture(scope="session")
def official_sysu() -> Sysu:
    """The published SYSU-MM01 as a table: its counts, with files called 0001.jpg and on."""
    pictures = official_pictures("sysu")
    names: Mapping[tuple[int, int], list[str]] = {
        (camera, identity): [f"cam{camera}/{identity:04d}/{number:04d}.jpg" for number in range(1, images + 1)]
        for camera, identity, images in zip(pictures.camera, pictures.identity, pictures.images, strict=True)
    }
    splits = {
        split: sorted(pictures.identity[pictures.split == split].unique().tolist())
        for split in ("train", "val", "test")
    }
    root = Path("/nowhere/SYSU-MM01")
    return Sysu(root=root, images=sysu_table(root, splits, names))
