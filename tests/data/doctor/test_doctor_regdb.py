"""Faults planted into a set in the layout of RegDB."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from vireid.data.doctor import Level

Copy = Callable[[Path], Path]
Told = Callable[..., dict]


def rewrite(root: Path, pattern: str, old: str, new: str) -> None:
    for path in root.glob(pattern):
        path.write_text(path.read_text().replace(old, new))


def drop_idx(root: Path) -> None:
    shutil.rmtree(root / "idx")


def drop_thermal(root: Path) -> None:
    shutil.rmtree(root / "Thermal")


def drop_list(root: Path) -> None:
    (root / "idx/train_thermal_3.txt").unlink()


def drop_trial(root: Path) -> None:
    for path in root.glob("idx/*_7.txt"):
        path.unlink()


def small_letters(root: Path) -> None:
    (root / "Visible").rename(root / "visible")


def absolute_paths(root: Path) -> None:
    rewrite(root, "idx/*.txt", "Visible/", "/home/someone/RegDB/Visible/")


def no_prefix(root: Path) -> None:
    rewrite(root, "idx/*.txt", "Thermal/", "")


def swap_folders(root: Path) -> None:
    (root / "Visible").rename(root / "x")
    (root / "Thermal").rename(root / "Visible")
    (root / "x").rename(root / "Thermal")


def lose_pictures(root: Path) -> None:
    for path in sorted((root / "Thermal/3").iterdir())[:2]:
        path.unlink()


def lose_people(root: Path) -> None:
    shutil.rmtree(root / "Thermal/5")


def convert(root: Path) -> None:
    for path in list((root / "Visible/5").iterdir()):
        path.rename(path.with_suffix(".png"))


def cut_list(root: Path) -> None:
    path = root / "idx/train_visible_2.txt"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:60]))


def mix_trials(root: Path) -> None:
    shutil.copy(root / "idx/test_visible_1.txt", root / "idx/train_visible_1.txt")


def relabel(root: Path) -> None:
    path = root / "idx/train_thermal_4.txt"
    lines = [line.rsplit(maxsplit=1) for line in path.read_text().splitlines()]
    path.write_text("".join(f"{name} {int(label) + 1}\n" for name, label in lines))


def mix_people(root: Path) -> None:
    picture = sorted((root / "Visible/5").iterdir())[0]
    picture.rename(root / "Visible/7" / picture.name)


def mix_modalities(root: Path) -> None:
    picture = sorted((root / "Visible/5").iterdir())[0]
    shutil.copy(picture, root / "Thermal/5" / picture.name)


def spoil_line(root: Path) -> None:
    (root / "idx/test_thermal_9.txt").write_text("Thermal/1/male_back_t_1_1.bmp\n")


FAULTS = [
    (drop_idx, "layout.missing-folder", "lists in idx are a download of their own"),
    (drop_thermal, "layout.missing-folder", "not unpacked"),
    (drop_list, "lists.missing", "left out"),
    (drop_trial, "lists.missing", "left out"),
    (small_letters, "layout.case", "renamed"),
    (absolute_paths, "lists.path-prefix", "absolute path"),
    (no_prefix, "lists.path-prefix", "none at all"),
    (swap_folders, "files.modality", "Thermal and Visible were swapped"),
    (swap_folders, "lists.folders-swapped", "swapped"),
    (lose_pictures, "lists.pictures-missing", "not unpacked"),
    (lose_pictures, "counts.differ", "lists.pictures-missing"),
    (lose_people, "identities.one-modality", "not unpacked for the other modality"),
    (convert, "lists.ending", "converted or renamed"),
    (convert, "files.format", "converted"),
    (cut_list, "lists.incomplete", "cut off"),
    (mix_trials, "identities.shared", "lists of different trials were mixed"),
    (relabel, "lists.labels", "different trials or versions"),
    (mix_people, "files.identity", "moved between the folders of two people"),
    (mix_modalities, "files.modality", "moved into the folder of the other modality"),
    (spoil_line, "lists.unreadable", "edited, cut off"),
]


@pytest.mark.parametrize(("plant", "code", "cause"), FAULTS)
def test_a_planted_fault_is_named(
    tiny_regdb: Path, copy: Copy, told: Told, plant: Callable[[Path], object], code: str, cause: str
) -> None:
    root = copy(tiny_regdb)
    plant(root)
    finding = told(root)[code]
    assert finding.level is Level.ERROR
    assert cause in finding.cause
    assert finding.remedy


def test_wrong_lines_are_counted_and_the_first_ones_shown(tiny_regdb: Path, copy: Copy, told: Told) -> None:
    root = copy(tiny_regdb)
    absolute_paths(root)
    finding = told(root)["lists.path-prefix"]
    assert finding.found.endswith(": 2,400")
    assert finding.examples[0].startswith("idx/train_visible_1.txt line 1: /home/someone/RegDB/Visible/")
    assert finding.examples[-1] == "and 2,392 more"


def test_a_folder_that_is_missing_is_not_told_again_line_by_line(tiny_regdb: Path, copy: Copy, told: Told) -> None:
    root = copy(tiny_regdb)
    drop_thermal(root)
    assert told(root).keys() == {"layout.missing-folder", "counts.differ", "reader.refuses"}
