"""Faults planted into a set in the layout of SYSU-MM01."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from vireid.data.doctor import Level

Copy = Callable[[Path], Path]
Told = Callable[..., dict]


def numbers(root: Path, split: str) -> list[int]:
    return [int(word) for word in (root / f"exp/{split}_id.txt").read_text().split(",")]


def write(root: Path, split: str, identities: list[int], separator: str = ",") -> None:
    (root / f"exp/{split}_id.txt").write_text(separator.join(map(str, identities)) + "\n")


def folders(root: Path, identities: list[int], *cameras: int) -> list[Path]:
    places = [root / f"cam{camera}/{identity:04d}" for camera in cameras for identity in identities]
    return [place for place in places if place.is_dir()]


def empty_validation(root: Path) -> None:
    (root / "exp/val_id.txt").write_text("\n")


def lose_validation_list(root: Path) -> None:
    (root / "exp/val_id.txt").unlink()


def lose_validation_folders(root: Path) -> None:
    for place in folders(root, numbers(root, "val"), 1, 2, 3, 4, 5, 6):
        shutil.rmtree(place)


def lose_infrared_validation(root: Path) -> None:
    for place in folders(root, numbers(root, "val"), 3, 6):
        shutil.rmtree(place)


def shorten_validation(root: Path) -> None:
    write(root, "val", numbers(root, "val")[:-1])


@pytest.mark.parametrize(
    "lose",
    [empty_validation, lose_validation_list, lose_validation_folders, lose_infrared_validation, shorten_validation],
)
def test_lost_validation_identities_are_named(
    tiny_sysu: Path, copy: Copy, told: Told, lose: Callable[[Path], None]
) -> None:
    root = copy(tiny_sysu)
    lose(root)
    found = told(root)
    finding = found["identities.validation-lost"]
    assert "validation identities" in finding.cause
    assert "exp/val_id.txt" in finding.remedy
    assert "96 infrared pictures" in finding.expected
    assert "96 infrared pictures" not in finding.found
    assert "identities.validation-lost" in found["counts.differ"].cause


def test_how_many_of_the_validation_identities_were_lost(tiny_sysu: Path, copy: Copy, told: Told) -> None:
    root = copy(tiny_sysu)
    first, *_ = lost = numbers(root, "val")[:2]
    for place in folders(root, lost, 3, 6):
        shutil.rmtree(place)
    finding = told(root)["identities.validation-lost"]
    assert finding.cause.startswith(f"2 of the 4 validation identities ({first}")
    assert finding.found == "training has 184 visible pictures of 16 identities, 88 infrared pictures of 14 identities"


def drop_camera(root: Path) -> None:
    shutil.rmtree(root / "cam3")


def nest_camera(root: Path) -> None:
    (root / "cam3").rename(root / "inner")
    (root / "cam3").mkdir()
    (root / "inner").rename(root / "cam3/cam3")


def empty_camera(root: Path) -> None:
    drop_camera(root)
    (root / "cam3").mkdir()


def drop_exp(root: Path) -> None:
    shutil.rmtree(root / "exp")


def rename_exp(root: Path) -> None:
    (root / "exp").rename(root / "Exp")


def add_camera(root: Path) -> None:
    shutil.copytree(root / "cam1", root / "cam7")


def loosen_pictures(root: Path) -> None:
    place = next((root / "cam1").iterdir())
    for picture in place.iterdir():
        picture.rename(root / "cam1" / f"{place.name}_{picture.name}")
    place.rmdir()


def copy_folder(root: Path) -> None:
    place = next((root / "cam1").iterdir())
    shutil.copytree(place, place.with_name(f"{place.name} (1)"))


def merge_lists(root: Path) -> None:
    write(root, "train", [*numbers(root, "train"), *numbers(root, "val")])


def train_on_test(root: Path) -> None:
    write(root, "train", [*numbers(root, "train"), numbers(root, "test")[0]])


def one_per_line(root: Path) -> None:
    write(root, "test", numbers(root, "test"), separator="\n")


def spoil_list(root: Path) -> None:
    (root / "exp/test_id.txt").write_text("id_6, id_10\n")


def only_matlab_lists(root: Path) -> None:
    for split in ("train", "test"):
        (root / f"exp/{split}_id.txt").unlink()


def lose_person(root: Path) -> None:
    for place in folders(root, numbers(root, "test")[:1], 1, 2, 3, 4, 5, 6):
        shutil.rmtree(place)


def drop_picture(root: Path) -> None:
    (next((root / "cam2").iterdir()) / "0002.jpg").unlink()


def unpad_folder(root: Path) -> None:
    (root / "cam1/0004").rename(root / "cam1/4")


def unpad_pictures(root: Path) -> None:
    for picture in (root / "cam1/0004").iterdir():
        picture.rename(picture.with_name(f"{int(picture.stem)}.jpg"))


def capital_ending(root: Path) -> None:
    (root / "cam1/0004/0001.jpg").rename(root / "cam1/0004/0001.JPG")


def other_format(root: Path) -> None:
    (root / "cam1/0004/0001.jpg").rename(root / "cam1/0004/0001.png")


def keep_copy(name: str) -> Callable[[Path], None]:
    return lambda root: shutil.copy(root / "cam1/0004/0001.jpg", root / "cam1/0004" / name)


def empty_picture(root: Path) -> None:
    (root / "cam3/0004/0001.jpg").write_bytes(b"")


def break_link(root: Path) -> None:
    (root / "cam3/0004/0001.jpg").unlink()
    (root / "cam3/0004/0001.jpg").symlink_to("/nowhere/0001.jpg")


def save_page_as_permutation(root: Path) -> None:
    (root / "exp/rand_perm_cam.mat").write_text("<!DOCTYPE html><html>" + "not a matrix " * 500)


def cut_permutation(root: Path) -> None:
    path = root / "exp/rand_perm_cam.mat"
    path.write_bytes(path.read_bytes()[:20_000])


FAULTS = [
    (drop_camera, "layout.missing-folder", "not unpacked"),
    (nest_camera, "layout.nested", "inside cam3, one folder too deep"),
    (empty_camera, "layout.empty-folder", "stopped"),
    (drop_exp, "layout.missing-folder", "lists in exp"),
    (rename_exp, "layout.case", "renamed"),
    (add_camera, "layout.unknown-camera", "derived copy"),
    (loosen_pictures, "layout.misplaced", "without a folder of their identity"),
    (copy_folder, "layout.misplaced", "copy of another folder"),
    (merge_lists, "identities.shared", "validation identities were added to the training list"),
    (train_on_test, "identities.shared", "tested on people it has seen"),
    (one_per_line, "lists.one-per-line", "first line"),
    (spoil_list, "lists.unreadable", "edited"),
    (only_matlab_lists, "lists.missing", ".mat lists"),
    (lose_person, "identities.lost", "test identities were not unpacked"),
    (drop_picture, "files.numbering", "deleted or not unpacked"),
    (drop_picture, "permutation.sizes", "missing"),
    (drop_picture, "counts.differ", "files.numbering"),
    (unpad_folder, "files.folder-name", "leading zeros"),
    (unpad_pictures, "files.padding", "leading zeros"),
    (capital_ending, "files.case", "capitals"),
    (other_format, "files.format", "converted"),
    (keep_copy("img_0001.jpg"), "files.names", "added from another source"),
    (keep_copy("0001 (1).jpg"), "files.copies", "unpacked or a folder copied twice"),
    (keep_copy("0001 - Copy.jpg"), "files.copies", "twice"),
    (keep_copy("0001 - 副本.jpg"), "files.copies", "twice"),
    (keep_copy("0001_copy.jpg"), "counts.differ", "files.copies"),
    (empty_picture, "files.empty", "half-extracted archive"),
    (break_link, "files.broken-link", "linked"),
    (save_page_as_permutation, "permutation.unreadable", "web page"),
    (cut_permutation, "permutation.unreadable", "stopped"),
]


@pytest.mark.parametrize(("plant", "code", "cause"), FAULTS)
def test_a_planted_fault_is_named(
    tiny_sysu: Path, copy: Copy, told: Told, plant: Callable[[Path], object], code: str, cause: str
) -> None:
    root = copy(tiny_sysu)
    plant(root)
    finding = told(root)[code]
    assert finding.level is Level.ERROR
    assert cause in finding.cause
    assert finding.remedy


@pytest.mark.parametrize("plant", [drop_camera, nest_camera, empty_camera])
def test_a_missing_camera_is_not_taken_for_lost_people(
    tiny_sysu: Path, copy: Copy, told: Told, plant: Callable[[Path], None]
) -> None:
    root = copy(tiny_sysu)
    plant(root)
    assert not {"identities.validation-lost", "identities.lost", "permutation.sizes"} & told(root).keys()


def test_leftovers_and_a_missing_permutation_are_warnings(tiny_sysu: Path, copy: Copy, told: Told) -> None:
    root = copy(tiny_sysu)
    (root / ".DS_Store").write_bytes(b"x")
    (root / "cam1/Thumbs.db").write_bytes(b"x")
    (root / "__MACOSX/cam1/0004").mkdir(parents=True)
    (root / "__MACOSX/cam1/0004/._0001.jpg").write_bytes(b"x")
    (root / "preview.png").write_bytes(b"x")
    (root / "cam6.zip.part").write_bytes(b"x")
    (root / "exp/rand_perm_cam.mat").unlink()
    found = told(root)
    assert {code: finding.level for code, finding in found.items()} == dict.fromkeys(
        ["layout.other-pictures", "files.left-behind", "files.unfinished-download", "permutation.missing"],
        Level.WARNING,
    )
    assert "macOS" in found["files.left-behind"].cause
    assert "-official only" in found["permutation.missing"].remedy


def test_folders_for_one_person_under_two_names(tiny_sysu: Path, copy: Copy, told: Told) -> None:
    root = copy(tiny_sysu)
    shutil.copytree(root / "cam1/0004", root / "cam1/4")
    found = told(root)
    assert found["files.folder-name"].examples == ("cam1/4",)
    assert "both stand for identity 4" in found["reader.refuses"].found


def test_an_own_statement_that_cannot_be_read(tiny_sysu: Path, copy: Copy, told: Told) -> None:
    root = copy(tiny_sysu)
    (root / "expected.json").write_text('{"format": 1, "dataset": "sysu"}')
    found = told(root)
    assert found.keys() == {"layout.expected", "reader.refuses"}
    assert "expected.json" in found["layout.expected"].remedy
