"""The published sets by their counts alone: trees without files, lists on disk."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vireid.data.counts import Count, Place, official_counts, official_pictures
from vireid.data.doctor.arrays import check_arrays
from vireid.data.doctor.counting import check_counts, explain_counts, explain_training
from vireid.data.doctor.findings import Finding, Level
from vireid.data.doctor.identities import check_identities, training_words
from vireid.data.doctor.llcm import survey_llcm
from vireid.data.doctor.names import check_files, check_names
from vireid.data.doctor.regdb import survey_regdb
from vireid.data.doctor.shape import check_shape
from vireid.data.doctor.standard import read_standard
from vireid.data.doctor.sysu import survey_sysu
from vireid.data.doctor.tree import Tree
from vireid.types import Modality

SURVEYS = {"sysu": survey_sysu, "regdb": survey_regdb, "llcm": survey_llcm}


def tree_of(root: Path, paths: Iterable[str]) -> Tree:
    """A tree of these pictures and of the lists that are on disk."""
    lists = [path.relative_to(root).as_posix() for path in root.rglob("*.txt")]
    sizes = dict.fromkeys([*paths, *lists], 1000)
    folders = {"/".join(parts[:n]) for path in sizes for parts in [path.split("/")] for n in range(1, len(parts))}
    return Tree(root=root, sizes=sizes, folders=frozenset(folders))


def examine(layout: str, tree: Tree) -> tuple[str, dict[str, Finding]]:
    """All checks that open no picture."""
    standard, findings = read_standard(tree.root, layout)
    assert standard.official
    shape = list(check_shape(tree, standard))
    survey = SURVEYS[layout](tree, standard)
    findings = [*shape, *survey.findings, *check_identities(survey, standard, gaps=bool(shape))]
    findings += [*check_files(tree, standard), *check_names(survey.pictures, standard)]
    findings += check_counts(tree, survey.pictures, standard, findings)
    return training_words(survey.pictures), {finding.code: finding for finding in findings}


def sysu_paths(table: pd.DataFrame) -> list[str]:
    return [
        f"cam{camera}/{identity:04d}/{number:04d}.jpg"
        for camera, identity, images in zip(table.camera, table.identity, table.images, strict=True)
        for number in range(1, images + 1)
    ]


@pytest.fixture
def sysu(tmp_path: Path) -> tuple[Path, pd.DataFrame]:
    """The published lists on disk, and how many pictures there are of whom."""
    table = official_pictures("sysu")
    (tmp_path / "exp").mkdir()
    for split in ("train", "val", "test"):
        identities = sorted(set(table.identity[table.split == split]))
        (tmp_path / f"exp/{split}_id.txt").write_text(",".join(map(str, identities)) + "\n")
    return tmp_path, table


def test_the_published_sysu_is_healthy(sysu: tuple[Path, pd.DataFrame]) -> None:
    root, table = sysu
    words, found = examine("sysu", tree_of(root, sysu_paths(table)))
    assert not found
    assert words == "22,258 visible pictures of 395 identities, 11,909 infrared pictures of 395 identities"


def test_367_identities_because_validation_was_lost(sysu: tuple[Path, pd.DataFrame]) -> None:
    root, table = sysu
    validation = sorted(set(table.identity[table.split == "val"]))
    infrared = table.camera == 3
    table.loc[infrared & table.identity.isin(validation[:28]), "images"] = 0
    table.loc[infrared & (table.identity == validation[28]), "images"] = 4
    _, found = examine("sysu", tree_of(root, sysu_paths(table)))
    finding = found["identities.validation-lost"]
    assert finding.found.endswith("11,333 infrared pictures of 367 identities")
    assert finding.expected.endswith("11,909 infrared pictures of 395 identities")
    assert finding.cause.startswith("28 of the 99 validation identities (334-346, 348-362) were lost from training")
    assert found.keys() == {"identities.validation-lost", "counts.differ"}


def test_367_identities_because_unpacking_stopped(sysu: tuple[Path, pd.DataFrame]) -> None:
    root, table = sysu
    table.loc[(table.camera == 3) & (table.identity > 503), "images"] = 0
    table.loc[(table.camera == 3) & (table.identity == 503), "images"] = 4
    words, found = examine("sysu", tree_of(root, sysu_paths(table)))
    assert words.endswith("11,333 infrared pictures of 367 identities")
    assert found.keys() == {"identities.lost", "counts.differ"}
    assert "train infrared: 28 (504-510, 512-528, 530-533)" in found["identities.lost"].found
    assert "camera 3 ends after identity 503: unpacking stopped there" in found["counts.differ"].cause


def empty_list(root: Path) -> None:
    (root / "exp/val_id.txt").write_text("\n")


def no_list(root: Path) -> None:
    (root / "exp/val_id.txt").unlink()


@pytest.mark.parametrize("lose", [empty_list, no_list])
def test_296_identities_without_the_validation_list(
    sysu: tuple[Path, pd.DataFrame], lose: Callable[[Path], None]
) -> None:
    root, table = sysu
    lose(root)
    _, found = examine("sysu", tree_of(root, sysu_paths(table)))
    finding = found["identities.validation-lost"]
    assert (
        finding.found
        == "training has 20,284 visible pictures of 296 identities, 9,929 infrared pictures of 296 identities"
    )
    assert "99 of the 99 validation identities" in finding.cause


def test_validation_written_into_the_training_list(sysu: tuple[Path, pd.DataFrame]) -> None:
    root, table = sysu
    both = [(root / f"exp/{split}_id.txt").read_text().strip() for split in ("train", "val")]
    (root / "exp/train_id.txt").write_text(",".join(both) + "\n")
    empty_list(root)
    _, found = examine("sysu", tree_of(root, sysu_paths(table)))
    assert "written into the training list" in found["lists.identities"].cause
    assert "identities.validation-lost" not in found


def test_without_lists_the_published_ones_serve_to_count(sysu: tuple[Path, pd.DataFrame]) -> None:
    root, table = sysu
    for path in (root / "exp").iterdir():
        path.unlink()
    (root / "exp").rmdir()
    _, found = examine("sysu", tree_of(root, sysu_paths(table)))
    assert found.keys() == {"layout.missing-folder"}


@pytest.mark.parametrize(
    ("modality", "images", "identities", "word"),
    [
        (Modality.INFRARED, 11_333, 367, "part of the validation identities was lost"),
        (Modality.INFRARED, 9_929, 296, "all validation identities were lost"),
        (Modality.VISIBLE, 20_284, 296, "all validation identities were lost"),
        (Modality.INFRARED, 1_980, 99, "exp/train_id.txt was left out"),
        (Modality.INFRARED, 15_712, 491, "test identities were added"),
        (Modality.VISIBLE, 30_071, 513, "in neither exp/train_id.txt nor exp/val_id.txt"),
        (Modality.INFRARED, 8_000, 200, "not unpacked"),
    ],
)
def test_what_went_wrong_by_the_numbers_alone(modality: Modality, images: int, identities: int, word: str) -> None:
    assert word in str(explain_training(modality, images=images, identities=identities))


def test_the_published_numbers_need_no_explanation() -> None:
    assert explain_training(Modality.INFRARED, images=11_909, identities=395) is None
    assert explain_training(Modality.VISIBLE, images=22_258, identities=395) is None
    assert explain_counts(official_counts("sysu"), official_counts("sysu")) == []


def test_what_went_wrong_by_two_tables_of_counts() -> None:
    expected = official_counts("sysu")
    found = {place: count for place, count in expected.items() if place.split != "val"}
    assert explain_counts(found, expected)[0].startswith("99 of 99 validation identities are missing from training")
    some = expected | {Place("val", "infrared", 3): Count(71, 1404)}
    del some[Place("val", "visible", 4)], some[Place("val", "visible", 5)]
    assert explain_counts(some, expected)[0].startswith("28 of 99 validation identities")
    lacking = {place: count for place, count in expected.items() if place.camera != 6}
    assert "infrared camera 6" in explain_counts(lacking, expected)[0]


@pytest.mark.parametrize("beside", [False, True])
def test_arrays_of_other_code_that_lost_identities(tmp_path: Path, beside: bool) -> None:
    root = tmp_path / "SYSU-MM01"
    root.mkdir()
    standard, _ = read_standard(root, "sysu")
    tree = tree_of(root, [])
    prefix = tmp_path / "SYSU-MM01" if beside else root / ""
    labels = np.resize(np.arange(367), 11_333)
    np.save(f"{prefix}{'' if beside else '/'}train_ir_resized_label.npy", labels)
    np.save(root / "train_rgb_resized_label.npy", np.resize(np.arange(395), 22_258))
    [finding] = check_arrays(tree, standard)
    assert (finding.code, finding.level) == ("arrays.training", Level.WARNING)
    assert "11,333 labels of 367 identities" in finding.found
    assert "part of the validation identities was lost" in finding.cause


def test_an_array_that_was_not_finished(tmp_path: Path) -> None:
    (tmp_path / "train_ir_resized_label.npy").write_bytes(b"\x93NUMPY")
    [finding] = check_arrays(tree_of(tmp_path, []), read_standard(tmp_path, "sysu")[0])
    assert "stopped while it wrote" in finding.cause


def write_regdb(root: Path) -> list[str]:
    """Forty lists of 206 people each; returns the paths of all pictures."""
    (root / "idx").mkdir()
    names = {
        (folder, person): [f"{folder}/{person}/male_back_{folder[0].lower()}_{n:05d}_{person}.bmp" for n in range(10)]
        for folder in ("Visible", "Thermal")
        for person in range(1, 413)
    }
    for trial in range(1, 11):
        tested = {(person * 5 + trial * 31) % 412 + 1 for person in range(206)}
        for role in ("train", "test"):
            people = [person for person in range(1, 413) if (person in tested) == (role == "test")]
            for folder, word in (("Visible", "visible"), ("Thermal", "thermal")):
                lines = [f"{name} {label}\n" for label, person in enumerate(people) for name in names[folder, person]]
                (root / f"idx/{role}_{word}_{trial}.txt").write_text("".join(lines))
    return [name for group in names.values() for name in group]


def test_the_published_regdb(tmp_path: Path) -> None:
    paths = write_regdb(tmp_path)
    _, found = examine("regdb", tree_of(tmp_path, paths))
    assert not found
    for role in ("train", "test"):
        for word in ("visible", "thermal"):
            (tmp_path / f"idx/{role}_{word}_2.txt").write_text((tmp_path / f"idx/{role}_{word}_1.txt").read_text())
    _, found = examine("regdb", tree_of(tmp_path, [path for path in paths if not path.endswith("00003_17.bmp")]))
    assert found["lists.repeated-trial"].examples == ("trial 2 tests the people of trial 1",)
    assert "Thermal/17/male_back_t_00003_17.bmp" in "".join(found["lists.pictures-missing"].examples)
    assert found["counts.differ"].found == "8,238 pictures; 2 of 2 counts differ"


def write_llcm(root: Path) -> list[str]:
    """The lists of LLCM; returns the paths of all pictures."""
    table = official_pictures("llcm")
    (root / "idx").mkdir()
    (root / "idx/test_id.txt").write_text(",".join(map(str, sorted(set(table.identity[table.split == "test"])))))
    trained = {identity: label for label, identity in enumerate(sorted(set(table.identity[table.split == "train"])))}
    paths: list[str] = []
    for modality, word in (("visible", "vis"), ("infrared", "nir")):
        lines = []
        for row in table[table.modality == modality].itertuples():
            folder = word if row.split == "train" else f"test_{word}/cam{row.camera}"
            names = [
                f"{folder}/{row.identity:04d}/{row.identity:04d}_c{row.camera:02d}_s1_f{number}_{word}.jpg"
                for number in range(row.images)
            ]
            paths += names
            lines += [f"{name} {trained[row.identity]}\n" for name in names if row.split == "train"]
        (root / f"idx/train_{word}.txt").write_text("".join(lines))
    return paths


def test_the_published_llcm(tmp_path: Path) -> None:
    paths = write_llcm(tmp_path)
    assert len(paths) == 46_767
    _, found = examine("llcm", tree_of(tmp_path, paths))
    assert not found
    (tmp_path / "idx/test_id.txt").write_text(",".join(map(str, range(1, 352))))
    _, found = examine("llcm", tree_of(tmp_path, paths))
    assert "wrong idx files" in found["lists.identities"].cause
    assert "identities.shared" in found
