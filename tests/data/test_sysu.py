import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from vireid.data import open_dataset
from vireid.data.protocol import Rule
from vireid.errors import DataError, UsageError

PEOPLE = {"train": 2, "val": 1, "test": 3}


def place(split: str, camera: int) -> dict[str, object]:
    people = PEOPLE[split] - (split == "test" and camera == 1)
    modality = "infrared" if camera in (3, 6) else "visible"
    return {"split": split, "modality": modality, "camera": camera, "identities": people, "images": 3 * people}


PLACES = [place(split, camera) for split in PEOPLE for camera in range(1, 7)]


def write_permutation(root: Path, *, people: int = 7, images: int = 3) -> None:
    """A permutation file in the authors' form: trial t turns every list by t."""
    cells = np.empty((6, 1), dtype=object)
    for camera in range(6):
        cells[camera, 0] = np.empty((people, 1), dtype=object)
        for person in range(people):
            exists = (root / f"cam{camera + 1}" / f"{person + 1:04d}").is_dir()
            turned = [np.roll(np.arange(1, images + 1), trial) for trial in range(10)]
            cells[camera, 0][person, 0] = np.array(turned, dtype=np.uint8) if exists else np.empty((10, 0))
    savemat(root / "exp" / "rand_perm_cam.mat", {"rand_perm_cam": cells})


def test_table(sysu_root: Path):
    dataset = open_dataset("sysu", sysu_root, check_counts=False)
    images = dataset.images
    assert list(images.columns) == ["path", "identity", "camera", "modality", "split"]
    assert images.index.equals(type(images.index)(range(len(images))))
    assert images.identity.dtype == images.camera.dtype == np.int64
    assert len(images) == 6 * 6 * 3 - 3
    assert set(images.modality[images.camera.isin([3, 6])]) == {"infrared"}
    assert set(images.modality[images.camera.isin([1, 2, 4, 5])]) == {"visible"}
    assert all(Path(path).is_file() and Path(path).is_absolute() for path in images.path)
    assert images.groupby("split").identity.unique().map(list).to_dict() == {
        "train": [1, 2], "val": [3], "test": [4, 5, 7],
    }  # fmt: skip


def test_unlisted_people_and_foreign_files_are_left_out(sysu_root: Path):
    before = open_dataset("sysu", sysu_root, check_counts=False)
    for name in ("cam1/0009/0001.jpg", "cam1/0001/Thumbs.db", "cam1/0001/.hidden.jpg", "cam1/notes/0001.jpg"):
        (sysu_root / name).parent.mkdir(exist_ok=True)
        (sysu_root / name).write_bytes(b"")
    assert open_dataset("sysu", sysu_root, check_counts=False).fingerprint == before.fingerprint


def test_fingerprint_ignores_the_place_and_sees_every_change(
    sysu_root: Path, tmp_path: Path, stated: Callable[..., None]
):
    first = open_dataset("sysu", sysu_root, check_counts=False).fingerprint
    copy = tmp_path / "elsewhere" / "copy"
    shutil.copytree(sysu_root, copy)
    assert open_dataset("sysu", copy, check_counts=False).fingerprint == first
    (copy / "cam1/0001/0004.jpg").write_bytes(b"")
    longer = open_dataset("sysu", copy, check_counts=False).fingerprint
    stated(copy, "sysu", seed=0)
    seeded = open_dataset("sysu", copy, check_counts=False).fingerprint
    stated(copy, "sysu", seed=1)
    assert len({first, longer, seeded, open_dataset("sysu", copy, check_counts=False).fingerprint}) == 4


def test_official_counts_are_asserted(sysu_root: Path):
    with pytest.raises(DataError, match="the pictures found are not the expected ones") as error:
        open_dataset("sysu", sysu_root)
    text = str(error.value)
    assert "test infrared camera 3: 9 pictures of 3 identities, expected 1883 pictures of 93 identities" in text
    assert "and 10 more" in text
    assert "in all 105 pictures, expected 44745" in text
    assert "incomplete download" in text


def test_stated_counts_stand_in(sysu_root: Path, stated: Callable[..., None]):
    stated(sysu_root, "sysu", counts=PLACES, seed=3)
    dataset = open_dataset("sysu", sysu_root)
    assert (dataset.name, dataset.version, dataset.licence) == ("tiny sysu", "1", "CC0")
    assert dataset.synthetic
    assert not dataset.restricted
    (sysu_root / "cam4/0002/0002.jpg").unlink()
    with pytest.raises(DataError, match=r"train visible camera 4: 5 pictures of 2 identities, expected 6"):
        open_dataset("sysu", sysu_root)
    assert len(open_dataset("sysu", sysu_root, check_counts=False).images) == len(dataset.images) - 1


def test_statement_beside_real_pictures_lifts_no_restriction(sysu_root: Path, stated: Callable[..., None]):
    stated(sysu_root, "sysu", synthetic=False, restricted=False)
    assert open_dataset("sysu", sysu_root).restricted


def test_lost_validation_identities_are_named_as_the_cause(sysu_root: Path, stated: Callable[..., None]):
    stated(sysu_root, "sysu", counts=PLACES)
    (sysu_root / "exp/val_id.txt").write_text("\n")
    with pytest.raises(DataError, match=r"exp/train_id\.txt and exp/val_id\.txt together"):
        open_dataset("sysu", sysu_root)


def test_unpacked_camera_missing(sysu_root: Path, stated: Callable[..., None]):
    stated(sysu_root, "sysu", counts=PLACES)
    shutil.rmtree(sysu_root / "cam6")
    with pytest.raises(DataError, match="no picture of infrared camera 6: a folder that was not unpacked"):
        open_dataset("sysu", sysu_root)


def test_added_pictures(sysu_root: Path, stated: Callable[..., None]):
    stated(sysu_root, "sysu", counts=PLACES)
    (sysu_root / "cam6/0001/0009.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="a derived or preprocessed copy"):
        open_dataset("sysu", sysu_root)


def test_missing_folder(tmp_path: Path):
    with pytest.raises(DataError, match="does not exist; give the folder that holds SYSU-MM01"):
        open_dataset("sysu", tmp_path / "nowhere")


def test_file_instead_of_folder(tmp_path: Path):
    (tmp_path / "SYSU-MM01.zip").write_bytes(b"")
    with pytest.raises(DataError, match="is a file, not a folder"):
        open_dataset("sysu", tmp_path / "SYSU-MM01.zip")


def test_another_layout_is_recognised(regdb_root: Path, llcm_root: Path, sysu_root: Path):
    for kind, root, found in [
        ("sysu", regdb_root, "RegDB"), ("sysu", llcm_root, "LLCM"), ("regdb", sysu_root, "SYSU-MM01"),
        ("llcm", regdb_root, "RegDB"),
    ]:  # fmt: skip
        with pytest.raises(DataError, match=f"holds the layout of {found}"):
            open_dataset(kind, root)


def test_folder_above_and_below(sysu_root: Path):
    for wrong in (sysu_root.parent, sysu_root / "cam1"):
        with pytest.raises(DataError, match=f"SYSU-MM01 lies in {sysu_root}: give that folder"):
            open_dataset("sysu", wrong)


def test_unrelated_folder(tmp_path: Path):
    with pytest.raises(DataError, match="lacks exp, cam1 or cam2"):
        open_dataset("sysu", tmp_path)


def test_unknown_camera(sysu_root: Path):
    (sysu_root / "cam7").mkdir()
    with pytest.raises(DataError, match="unknown camera 7; this data set has the cameras 1, 2, 3, 4, 5, 6"):
        open_dataset("sysu", sysu_root)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("train", "", "train_id.txt: lists no identity"),
        ("val", "\n", "val_id.txt: lists no identity"),
        ("test", "4,five,7", "'five' is no identity"),
        ("test", "4,5,5", "lists identity 5 twice"),
        ("test", "2,4,5,7", r"1 identities are in both train and test \(2\)"),
    ],
)
def test_wrong_lists(sysu_root: Path, name: str, text: str, message: str):
    (sysu_root / "exp" / f"{name}_id.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        open_dataset("sysu", sysu_root)


def test_two_folders_of_one_identity(sysu_root: Path):
    (sysu_root / "cam1" / "1").mkdir()
    with pytest.raises(DataError, match="the folders 0001 and 1 both stand for identity 1; merge them"):
        open_dataset("sysu", sysu_root)


def test_missing_list(sysu_root: Path):
    (sysu_root / "exp" / "val_id.txt").unlink()
    with pytest.raises(DataError, match=r"val_id\.txt does not exist"):
        open_dataset("sysu", sysu_root)


def test_unknown_protocol(sysu_root: Path):
    dataset = open_dataset("sysu", sysu_root, check_counts=False)
    for call in (dataset.protocol, dataset.training_rows):
        with pytest.raises(UsageError, match="did you mean 'all-single-agw'"):
            call("all-singel-agw")
    with pytest.raises(UsageError, match="unknown kind of data set 'sisu'; did you mean 'sysu'"):
        open_dataset("sisu", sysu_root)


def test_official_needs_its_file(sysu_root: Path):
    dataset = open_dataset("sysu", sysu_root, check_counts=False)
    assert not any(name.endswith("official") for name in dataset.protocols())
    with pytest.raises(DataError, match=r"wuancong/SYSU-MM01 .* evaluation/data_split/rand_perm_cam\.mat"):
        dataset.protocol("all-single-official")


def test_official_takes_the_first_of_each_row(sysu_root: Path):
    write_permutation(sysu_root)
    dataset = open_dataset("sysu", sysu_root, check_counts=False)
    assert {"all-single-official", "indoor-multi-official"} < set(dataset.protocols())
    protocol = dataset.protocol("all-single-official")
    names = [{Path(dataset.images.path[row]).stem for row in trial.gallery} for trial in protocol.trials()]
    assert names == [{"0001"}, {"0003"}, {"0002"}] * 3 + [{"0001"}]
    whole = dataset.protocol("all-multi-official").trials()[0].gallery
    assert len(whole) == 3 * 4 * 3 - 3  # fewer than ten pictures are taken whole


def test_permutation_is_part_of_the_fingerprint(sysu_root: Path):
    dataset = open_dataset("sysu", sysu_root, check_counts=False)
    write_permutation(sysu_root)
    first = dataset.protocol("all-single-official").digest
    assert dataset.protocol("all-single-official").digest == first
    cells = np.empty((6, 1), dtype=object)
    for camera in range(6):
        cells[camera, 0] = np.empty((7, 1), dtype=object)
        for person in range(7):
            exists = (sysu_root / f"cam{camera + 1}" / f"{person + 1:04d}").is_dir()
            cells[camera, 0][person, 0] = np.tile([3, 2, 1], (10, 1)) if exists else np.empty((10, 0))
    savemat(sysu_root / "exp" / "rand_perm_cam.mat", {"rand_perm_cam": cells})
    assert dataset.protocol("all-single-official").digest != first


def test_permutation_of_other_pictures(sysu_root: Path):
    write_permutation(sysu_root, images=4)
    dataset = open_dataset("sysu", sysu_root, check_counts=False)
    with pytest.raises(DataError, match="orders 4 pictures of identity 4 before camera 1, but the data set has 3"):
        dataset.protocol("all-single-official")


def test_broken_permutation(sysu_root: Path):
    dataset = open_dataset("sysu", sysu_root, check_counts=False)
    path = sysu_root / "exp" / "rand_perm_cam.mat"
    path.write_bytes(b"this is no MATLAB file" * 20)
    with pytest.raises(DataError, match="not a MATLAB file"):
        dataset.protocol("all-single-official")
    savemat(path, {"other": np.eye(2)})
    with pytest.raises(DataError, match="not a MATLAB file with the cells 'rand_perm_cam'"):
        dataset.protocol("all-single-official")
    write_permutation(sysu_root)
    cells = np.empty((1, 1), dtype=object)
    cells[0, 0] = np.empty((1, 1), dtype=object)
    cells[0, 0][0, 0] = np.ones((10, 3))
    savemat(path, {"rand_perm_cam": cells})
    with pytest.raises(DataError, match="identity 1, camera 1 is not 10 permutations"):
        dataset.protocol("all-single-official")


def test_visible_to_visible_is_for_synthetic_sets(sysu_root: Path, stated: Callable[..., None]):
    with pytest.raises(UsageError, match="visible-to-visible"):
        open_dataset("sysu", sysu_root, check_counts=False).protocol("visible-to-visible")
    stated(sysu_root, "sysu")
    protocol = open_dataset("sysu", sysu_root).protocol("visible-to-visible")
    trial = protocol.trials()[0]
    camera, modality = (protocol.images[name].to_numpy() for name in ("camera", "modality"))
    assert set(modality[np.concatenate([trial.query, trial.gallery])]) == {"visible"}
    assert np.array_equal(trial.invalid, camera[trial.query][:, None] == camera[trial.gallery])
    assert protocol.rule is Rule.SAME_CAMERA


def test_set_without_validation_or_outdoor_cameras(sysu_root: Path, stated: Callable[..., None]):
    (sysu_root / "exp/val_id.txt").write_text("\n")
    for camera in (1, 2, 6):
        shutil.rmtree(sysu_root / f"cam{camera}")
    stated(sysu_root, "sysu")
    dataset = open_dataset("sysu", sysu_root)
    assert dataset.protocols() == ["all-single-agw", "all-multi-agw", "visible-to-visible"]
    with pytest.raises(DataError, match="protocol 'indoor-single-agw' finds no gallery picture"):
        dataset.protocol("indoor-single-agw")
    with pytest.raises(DataError, match="protocol 'val' finds no query picture"):
        dataset.protocol("val")


def test_broken_statement(sysu_root: Path, stated: Callable[..., None]):
    (sysu_root / "expected.json").write_text("{")
    with pytest.raises(DataError, match=r"expected\.json: file: Invalid JSON"):
        open_dataset("sysu", sysu_root)
    stated(sysu_root, "sysu", format=2, synthetic="yes")
    with pytest.raises(DataError, match=r"expected\.json: format: .*; synthetic: "):
        open_dataset("sysu", sysu_root)
    stated(sysu_root, "regdb")
    with pytest.raises(DataError, match="in the layout 'regdb'; open it as that, not as 'sysu'"):
        open_dataset("sysu", sysu_root)
