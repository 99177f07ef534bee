import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vireid.data import open_dataset
from vireid.data.counts import count_pictures, official_counts, official_pictures
from vireid.data.llcm import Llcm
from vireid.data.protocol import Rule
from vireid.data.table import Picture, image_table
from vireid.errors import DataError, UsageError
from vireid.types import CmcKind, Modality


@pytest.fixture(scope="module")
def official() -> Llcm:
    """The published LLCM as a table: its counts, with made-up file names."""
    root = Path("/nowhere/LLCM")
    pictures = [
        Picture(f"{row.split}/{row.modality}/cam{row.camera}/{row.identity:04d}/{number:04d}.jpg",
                row.identity, row.camera, row.modality, row.split)
        for row in official_pictures("llcm").itertuples()
        for number in range(row.images)
    ]  # fmt: skip
    return Llcm(root=root, images=image_table(root, pictures))


def test_published_counts(official: Llcm):
    assert count_pictures(official.images) == official_counts("llcm")
    images = official.images
    assert (len(images), images.identity.nunique()) == (46_767, 1064)
    assert images.groupby(["split", "modality"]).size().to_dict() == {
        ("train", "visible"): 16_946, ("train", "infrared"): 13_975,
        ("test", "visible"): 8_680, ("test", "infrared"): 7_166,
    }  # fmt: skip
    assert images.groupby("split").identity.nunique().to_dict() == {"train": 713, "test": 351}
    infrared = images[images.modality == "infrared"]
    assert sorted(infrared.camera.unique()) == [1, 2, 4, 5, 6, 7, 8, 9]
    assert len(official.training_rows()) == 30_921


@pytest.mark.parametrize(
    ("name", "query", "sizes"),
    [
        ("i2v", Modality.INFRARED, (7166, 484)),
        ("v2i-standard", Modality.VISIBLE, (8680, 619)),
        ("v2i-deen_release", Modality.INFRARED, (619, 8680)),
    ],
)
def test_published_protocols(official: Llcm, name: str, query: Modality, sizes: tuple[int, int]):
    protocol = official.protocol(name)
    assert (protocol.query_modality, protocol.gallery_modality) == (query, query.other)
    assert protocol.cmc is CmcKind.IDENTITY
    assert protocol.rule is Rule.SAME_IDENTITY_AND_CAMERA
    images = protocol.images
    identity, camera, modality = (images[column].to_numpy() for column in ("identity", "camera", "modality"))
    trials = protocol.trials()
    assert len(trials) == 10
    for trial in trials:
        assert trial.invalid.shape == sizes
        assert set(modality[trial.query]) == {str(query)}
        assert set(modality[trial.gallery]) == {str(query.other)}
    same = (identity[trials[3].query][:, None] == identity[trials[3].gallery]) & (
        camera[trials[3].query][:, None] == camera[trials[3].gallery]
    )
    assert np.array_equal(trials[3].invalid, same)


def test_released_direction_is_the_standard_one_transposed(official: Llcm):
    standard, released = (official.protocol(f"v2i-{name}").trials() for name in ("standard", "deen_release"))
    for one, other in zip(standard, released, strict=True):
        assert np.array_equal(one.query, other.gallery)
        assert np.array_equal(one.gallery, other.query)
        assert np.array_equal(one.invalid, other.invalid.T)
    fingerprints = [official.protocol(f"v2i-{name}").fingerprint for name in ("standard", "deen_release")]
    assert fingerprints[0] != fingerprints[1]


def test_galleries_follow_the_plain_loop(llcm_root: Path):
    dataset = open_dataset("llcm", llcm_root)
    for index, trial in enumerate(dataset.protocol("i2v").trials()):
        state = random.getstate()
        random.seed(index)
        expected = []
        for identity in ("0002", "0005"):
            for camera in range(1, 10):
                folder = llcm_root / "test_vis" / f"cam{camera}" / identity
                if folder.is_dir():
                    expected.append(random.choice(sorted(path.name for path in folder.iterdir())))
        random.setstate(state)
        assert [Path(path).name for path in dataset.images.path[trial.gallery]] == expected


def test_table(llcm_root: Path):
    dataset = open_dataset("llcm", llcm_root)
    images = dataset.images
    assert images.groupby(["split", "modality", "camera"]).size().to_dict() == {
        (split, modality, camera): 4
        for split, cameras in (("train", (1, 4)), ("test", (1, 2, 5)))
        for modality in ("visible", "infrared")
        for camera in cameras
    }
    assert images.groupby("split").identity.unique().map(sorted).to_dict() == {"train": [1, 3], "test": [2, 5]}
    assert all(Path(path).is_file() for path in images.path)
    assert set(images.split[dataset.training_rows()]) == {"train"}


def test_parent_folder_with_cam_in_its_name(llcm_root: Path):
    before = open_dataset("llcm", llcm_root).fingerprint
    moved = llcm_root.parent / "webcam77" / "cam_copy"
    moved.parent.mkdir()
    llcm_root.rename(moved)
    assert open_dataset("llcm", moved).fingerprint == before


def test_visible_to_visible_is_for_synthetic_sets(llcm_root: Path, official: Llcm):
    with pytest.raises(UsageError):
        official.protocol("visible-to-visible")
    dataset = open_dataset("llcm", llcm_root)
    assert dataset.protocols() == ["i2v", "v2i-standard", "v2i-deen_release", "visible-to-visible"]
    trial = dataset.protocol("visible-to-visible").trials()[0]
    camera = dataset.images.camera.to_numpy()
    assert np.array_equal(trial.invalid, camera[trial.query][:, None] == camera[trial.gallery])


def test_official_counts_are_asserted(llcm_root: Path):
    (llcm_root / "expected.json").unlink()
    with pytest.raises(DataError, match=r"in all 40 pictures, expected 46767"):
        open_dataset("llcm", llcm_root)


def rewrite(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: (root / "test_nir/cam10").mkdir(), "unknown camera 10; this data set has the cameras 1, 2, 3"),
        (lambda root: (root / "idx/test_id.txt").write_text("\n"), "test_id.txt: lists no identity"),
        (lambda root: (root / "idx/train_vis.txt").write_text(""), "train_vis.txt: lists no picture"),
        (
            lambda root: (root / "idx/test_id.txt").write_text("2,3\n"),
            r"both the training lists and idx/test_id.txt \(3\)",
        ),
        (
            lambda root: (root / "vis/0001/0001_c01_s1_f1_vis.jpg").unlink(),
            r"train_vis.txt line 1: vis/0001/0001_c01_s1_f1_vis.jpg does not exist",
        ),
        (
            lambda root: rewrite(root / "idx/train_nir.txt", "jpg 1", "jpg 2"),
            r"label 1 is identity 3 in .* but missing",
        ),
        (lambda root: (root / "idx/train_nir.txt").unlink(), "train_nir.txt does not exist"),
    ],
)
def test_wrong_copies(llcm_root: Path, change: Callable[[Path], object], message: str):
    change(llcm_root)
    with pytest.raises(DataError, match=message):
        open_dataset("llcm", llcm_root)


def test_unknown_camera_in_a_training_name(llcm_root: Path):
    old, new = "vis/0001/0001_c01_s1_f1_vis.jpg", "vis/0001/0001_c12_s1_f1_vis.jpg"
    (llcm_root / old).rename(llcm_root / new)
    rewrite(llcm_root / "idx/train_vis.txt", old, new)
    with pytest.raises(DataError, match="line 1: unknown camera 12"):
        open_dataset("llcm", llcm_root)


def test_missing_folders(llcm_root: Path):
    (llcm_root / "idx").rename(llcm_root / "index")
    with pytest.raises(DataError, match="lacks idx, which LLCM has"):
        open_dataset("llcm", llcm_root)
