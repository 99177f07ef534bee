from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vireid.data import open_dataset
from vireid.errors import DataError, UsageError
from vireid.types import CmcKind, Modality


def edit(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")


def test_official_counts(tmp_path: Path, regdb_writer: Callable[..., None]):
    root = tmp_path / "RegDB"
    regdb_writer(root, identities=412, images=10, splits=10)
    dataset = open_dataset("regdb", root)
    assert (dataset.name, dataset.restricted, len(dataset.images)) == ("RegDB", True, 8240)
    assert dataset.protocols() == [f"split{number}-{way}" for number in range(1, 11) for way in ("v2i", "i2v")]
    assert dataset.default_protocol == "split1-v2i"
    for name in ("split1-v2i", "split10-i2v"):
        protocol = dataset.protocol(name)
        (trial,) = protocol.trials()
        assert trial.invalid.shape == (2060, 2060)
        assert not trial.invalid.any()
        identity = protocol.images.identity.to_numpy()
        correct = identity[trial.query][:, None] == identity[trial.gallery]
        assert set(correct.sum(axis=1)) == {10}
        assert len(protocol.training_rows) == 4120
        assert not set(identity[trial.query]) & set(identity[protocol.training_rows])
    edit(root / "idx/train_visible_4.txt", lambda lines: lines[:-10])
    edit(root / "idx/train_thermal_4.txt", lambda lines: lines[:-10])
    with pytest.raises(DataError, match="Probable cause: the lists of trial 4 are incomplete"):
        open_dataset("regdb", root)


def test_table(regdb_root: Path):
    images = open_dataset("regdb", regdb_root).images
    assert images.groupby(["modality", "camera", "split"]).size().to_dict() == {
        ("infrared", 2, "all"): 16, ("visible", 1, "all"): 16,
    }  # fmt: skip
    for row in images.itertuples():
        assert Path(row.path).parent.name == str(row.identity)
        assert Path(row.path).parent.parent.name == {"visible": "Visible", "infrared": "Thermal"}[row.modality]


def test_directions_and_splits(regdb_root: Path):
    dataset = open_dataset("regdb", regdb_root)
    there, back = (dataset.protocol(f"split2-{way}") for way in ("v2i", "i2v"))
    assert (there.query_modality, there.gallery_modality) == (Modality.VISIBLE, Modality.INFRARED)
    assert (back.query_modality, back.gallery_modality) == (Modality.INFRARED, Modality.VISIBLE)
    assert there.cmc is CmcKind.IMAGE
    assert np.array_equal(there.trials()[0].query, back.trials()[0].gallery)
    assert set(there.images.modality[there.trials()[0].query]) == {"visible"}
    lines = (regdb_root / "idx/test_visible_2.txt").read_text().splitlines()
    queried = [Path(path).relative_to(regdb_root).as_posix() for path in there.images.path[there.trials()[0].query]]
    assert queried == [line.split()[0] for line in lines]


def test_split_column_belongs_to_the_protocol(regdb_root: Path):
    dataset = open_dataset("regdb", regdb_root)
    for name in dataset.protocols():
        protocol = dataset.protocol(name)
        rows = np.flatnonzero((protocol.images.split == "train").to_numpy())
        assert np.array_equal(rows, protocol.training_rows)
        assert np.array_equal(rows, dataset.training_rows(name))
        tested = np.sort(np.concatenate([protocol.trials()[0].query, protocol.trials()[0].gallery]))
        assert np.array_equal(np.flatnonzero((protocol.images.split == "test").to_numpy()), tested)
    assert set(dataset.images.split) == {"all"}
    assert np.array_equal(dataset.training_rows(), dataset.training_rows("split1-v2i"))
    assert not np.array_equal(dataset.training_rows("split1-v2i"), dataset.training_rows("split2-v2i"))


def test_lists_are_part_of_the_fingerprint(regdb_root: Path):
    before = open_dataset("regdb", regdb_root).fingerprint
    for word in ("visible", "thermal"):
        for role in ("train", "test"):
            one, other = (regdb_root / f"idx/{role}_{word}_{number}.txt" for number in (1, 2))
            one_text, other_text = one.read_text(), other.read_text()
            one.write_text(other_text)
            other.write_text(one_text)
    assert open_dataset("regdb", regdb_root).fingerprint != before


def test_synthetic_copy_may_hold_fewer_trials_and_has_no_ceiling_protocol(regdb_root: Path):
    dataset = open_dataset("regdb", regdb_root)
    assert len(dataset.protocols()) == 6
    with pytest.raises(UsageError, match="unknown protocol"):
        dataset.protocol("visible-to-visible")
    with pytest.raises(UsageError, match="did you mean 'split"):
        dataset.protocol("split4-v2i")


def test_official_copy_needs_all_trials(regdb_root: Path):
    (regdb_root / "expected.json").unlink()
    with pytest.raises(DataError, match=r"train_visible_4\.txt does not exist"):
        open_dataset("regdb", regdb_root, check_counts=False)


def test_stated_counts(regdb_root: Path, stated: Callable[..., None]):
    places = [("visible", 1), ("infrared", 2)]
    whole = [{"split": "all", "modality": m, "camera": c, "identities": 8, "images": 16} for m, c in places]
    halves = [
        {"split": split, "modality": m, "camera": c, "identities": 4, "images": 8}
        for split in ("train", "test")
        for m, c in places
    ]
    stated(regdb_root, "regdb", counts=[*whole, *halves])
    open_dataset("regdb", regdb_root)
    whole[0]["images"] = 17
    stated(regdb_root, "regdb", counts=whole)
    with pytest.raises(DataError, match="all visible camera 1: 16 pictures of 8 identities, expected 17"):
        open_dataset("regdb", regdb_root)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("test_visible_1", lambda lines: [], "test_visible_1.txt: lists no picture"),
        (
            "test_visible_1",
            lambda lines: ["Visible/1/gone.bmp 0", *lines[1:]],
            r"test_visible_1.txt line 1: Visible/1/gone.bmp does not exist",
        ),
        (
            "train_thermal_2",
            lambda lines: [lines[0].replace("Thermal", "Visible").replace("_t_", "_v_"), *lines[1:]],
            "train_thermal_2.txt line 1: .* is visible, not infrared",
        ),
        ("test_visible_1", lambda lines: [*lines, lines[0]], r"line 9: .* is already listed in line 1"),
        ("test_visible_1", lambda lines: [lines[0].split()[0]], "is not of the form 'path label'"),
        (
            "test_visible_3",
            lambda lines: [lines[0], lines[1].split()[0] + " 1", *lines[2:]],
            r"line 2: identity \d has the label 1 here and 0 above",
        ),
        (
            "test_visible_3",
            lambda lines: [*lines[:2], lines[2].split()[0] + " 0", *lines[3:]],
            r"line 3: label 0 stands for identity \d here and for \d above",
        ),
        (
            "test_thermal_1",
            lambda lines: [f"{line.split()[0]} {3 - int(line.split()[1])}" for line in lines],
            r"label 0 is identity \d in .*test_visible_1.txt but identity \d in .*test_thermal_1.txt",
        ),
        ("test_thermal_1", lambda lines: lines[:-2], r"label 3 is identity \d in .* but missing in"),
    ],
)
def test_wrong_lists(regdb_root: Path, name: str, change: Callable[[list[str]], list[str]], message: str):
    edit(regdb_root / "idx" / f"{name}.txt", change)
    with pytest.raises(DataError, match=message):
        open_dataset("regdb", regdb_root)


def test_identity_in_train_and_test(regdb_root: Path):
    for word in ("visible", "thermal"):
        test = (regdb_root / f"idx/test_{word}_1.txt").read_text().splitlines()
        edit(regdb_root / f"idx/train_{word}_1.txt", lambda lines, test=test: [*lines, test[0].split()[0] + " 77"])
    with pytest.raises(DataError, match="1 identities are in both the train lists of trial 1 and the test lists"):
        open_dataset("regdb", regdb_root)


def test_windows_line_ends_and_blank_lines(regdb_root: Path):
    before = open_dataset("regdb", regdb_root).fingerprint
    path = regdb_root / "idx/test_visible_1.txt"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    assert open_dataset("regdb", regdb_root).fingerprint == before


def test_missing_parts(tmp_path: Path, regdb_root: Path):
    with pytest.raises(DataError, match="does not exist; give the folder that holds RegDB"):
        open_dataset("regdb", tmp_path / "nowhere")
    for path in (regdb_root / "idx").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="no list of any trial"):
        open_dataset("regdb", regdb_root)
    (regdb_root / "idx").rmdir()
    with pytest.raises(DataError, match="lacks idx, which RegDB has"):
        open_dataset("regdb", regdb_root)
