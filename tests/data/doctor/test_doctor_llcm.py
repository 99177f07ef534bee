"""Faults planted into a set in the layout of LLCM."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from vireid.data.doctor import Level

Copy = Callable[[Path], Path]
Told = Callable[..., dict]


def swap(root: Path, one: str, other: str) -> None:
    (root / one).rename(root / "x")
    (root / other).rename(root / one)
    (root / "x").rename(root / other)


def nest_some(root: Path) -> None:
    (root / "LLCM").mkdir()
    for name in ("test_vis", "test_nir"):
        (root / name).rename(root / "LLCM" / name)


def swap_training(root: Path) -> None:
    swap(root, "vis", "nir")


def swap_test(root: Path) -> None:
    swap(root, "test_vis", "test_nir")


def swap_lists(root: Path) -> None:
    swap(root, "idx/train_vis.txt", "idx/train_nir.txt")


def take_lists_of_regdb(root: Path) -> None:
    for name in ("train_vis", "train_nir", "test_id"):
        (root / f"idx/{name}.txt").rename(root / f"idx/{name}ible_1.txt")


def take_lists_of_another_version(root: Path) -> None:
    path = root / "idx/train_vis.txt"
    path.write_text(path.read_text().replace("_s", "_t"))


def cut_list(root: Path) -> None:
    path = root / "idx/train_nir.txt"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-4]))


def train_on_test(root: Path) -> None:
    (root / "idx/test_id.txt").write_text("1,3,4,5\n")


def cut_test_list(root: Path) -> None:
    (root / "idx/test_id.txt").write_text("2,7,10\n")


def add_camera(root: Path) -> None:
    (root / "test_vis/cam10").mkdir()


def lose_folder(root: Path) -> None:
    shutil.rmtree(root / "vis/0001")


def rename_training(root: Path) -> None:
    path = root / "idx/train_vis.txt"
    old = path.read_text().split()[0]
    new = old.replace("_c0", "_k0")
    (root / old).rename(root / new)
    path.write_text(path.read_text().replace(old, new))


def mix_cameras(root: Path) -> None:
    picture = next((root / "test_nir/cam5").rglob("*.jpg"))
    target = root / "test_nir/cam6" / picture.parent.name / picture.name
    target.parent.mkdir(exist_ok=True)
    picture.rename(target)


def capital_endings(root: Path) -> None:
    for path in list((root / "vis/0001").iterdir()):
        path.rename(path.with_suffix(".JPG"))


def keep_copies(root: Path) -> None:
    picture = next((root / "nir/0001").iterdir())
    shutil.copy(picture, picture.with_stem(f"{picture.stem}(1)"))


FAULTS = [
    (nest_some, "layout.nested", "inside LLCM, one folder too deep"),
    (swap_training, "lists.folders-swapped", "swapped"),
    (swap_test, "files.modality", "test_nir and test_vis were swapped"),
    (swap_test, "counts.differ", "files.modality"),
    (swap_lists, "lists.swapped", "lists of visible and infrared pictures were swapped"),
    (take_lists_of_regdb, "lists.missing", "those of another data set"),
    (take_lists_of_another_version, "lists.pictures-missing", "lists belong to another version"),
    (cut_list, "lists.unlisted", "cut off"),
    (train_on_test, "identities.shared", "tested on people it has seen"),
    (train_on_test, "identities.lost", "not unpacked"),
    (cut_test_list, "identities.unlisted", "cut off"),
    (cut_test_list, "counts.differ", "identities.unlisted"),
    (add_camera, "layout.unknown-camera", "derived copy"),
    (lose_folder, "lists.pictures-missing", "not unpacked"),
    (rename_training, "files.camera", "renamed"),
    (mix_cameras, "files.camera", "moved between camera folders"),
    (capital_endings, "lists.ending", ".JPG"),
    (capital_endings, "files.case", "capitals"),
    (keep_copies, "files.copies", "copied twice"),
    (keep_copies, "lists.unlisted", "added or copied"),
]


@pytest.mark.parametrize(("plant", "code", "cause"), FAULTS)
def test_a_planted_fault_is_named(
    tiny_llcm: Path, copy: Copy, told: Told, plant: Callable[[Path], object], code: str, cause: str
) -> None:
    root = copy(tiny_llcm)
    plant(root)
    finding = told(root)[code]
    assert finding.level is Level.ERROR
    assert cause in finding.cause
    assert finding.remedy


def test_an_empty_camera_folder_is_as_published(tiny_llcm: Path, copy: Copy, told: Told) -> None:
    root = copy(tiny_llcm)
    (root / "test_nir/cam3").mkdir()
    assert not told(root)
