from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vireid.data import open_dataset
from vireid.errors import DataError
from vireid.types import CmcKind, Modality

ROWS = [
    # path, identity, camera, modality, split
    ("a/1.png", 1, 1, "visible", "train"),
    ("a/2.png", 1, 2, "infrared", "train"),
    ("a/3.png", 7, 1, "visible", "test"),
    ("a/4.png", 7, 1, "infrared", "test"),
    ("b/5.png", 8, 2, "infrared", "test"),
    ("b/6.png", 8, 3, "visible", "test"),
    ("b/7.png", 9, 4, "visible", "val"),
]
COLUMNS = ["path", "identity", "camera", "modality", "split"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path, *_ in ROWS:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(b"")
    table().to_csv(tmp_path / "manifest.csv", index=False)
    return tmp_path


def table() -> pd.DataFrame:
    return pd.DataFrame(ROWS, columns=COLUMNS)


def test_csv_parquet_file_and_folder_say_the_same(folder: Path):
    from_csv = open_dataset("manifest", folder)
    from_file = open_dataset("manifest", folder / "manifest.csv")
    (folder / "manifest.csv").unlink()
    table().to_parquet(folder / "manifest.parquet")
    from_parquet = open_dataset("manifest", folder)
    assert from_csv.fingerprint == from_file.fingerprint == from_parquet.fingerprint
    pd.testing.assert_frame_equal(from_csv.images, from_parquet.images)
    assert list(from_csv.images.columns) == COLUMNS
    assert from_csv.images.identity.tolist() == [1, 1, 7, 7, 8, 8, 9]
    assert from_csv.images.identity.dtype == from_csv.images.camera.dtype == np.int64
    assert from_csv.images.path[0] == str(folder / "a/1.png")
    assert from_csv.root == from_file.root == folder


def test_order_of_rows_and_place_do_not_change_the_fingerprint(folder: Path, tmp_path_factory: pytest.TempPathFactory):
    before = open_dataset("manifest", folder).fingerprint
    table().iloc[::-1].to_csv(folder / "manifest.csv", index=False)
    moved = tmp_path_factory.mktemp("other") / "place"
    folder.rename(moved)
    assert open_dataset("manifest", moved).fingerprint == before


def test_protocols(folder: Path):
    dataset = open_dataset("manifest", folder)
    assert dataset.protocols() == ["i2v", "v2i"]
    assert dataset.default_protocol == "i2v"
    there, back = dataset.protocol("i2v"), dataset.protocol("v2i")
    assert (there.query_modality, back.query_modality) == (Modality.INFRARED, Modality.VISIBLE)
    assert there.cmc is CmcKind.IMAGE
    (trial,) = there.trials()
    assert trial.query.tolist() == [3, 4]
    assert trial.gallery.tolist() == [2, 5]
    assert trial.invalid.tolist() == [[True, False], [False, False]]  # identity 7 before camera 1, both modalities
    (reverse,) = back.trials()
    assert np.array_equal(reverse.invalid, trial.invalid.T)
    assert dataset.training_rows().tolist() == dataset.training_rows("v2i").tolist() == [0, 1]


def test_unknown_cameras_are_never_shared(folder: Path):
    table().assign(camera=-1).to_csv(folder / "manifest.csv", index=False)
    assert not open_dataset("manifest", folder).protocol("i2v").trials()[0].invalid.any()


def test_training_only(folder: Path):
    table().iloc[:2].to_csv(folder / "manifest.csv", index=False)
    dataset = open_dataset("manifest", folder)
    assert dataset.protocols() == []
    assert dataset.training_rows(dataset.default_protocol).tolist() == [0, 1]
    with pytest.raises(DataError, match="protocol 'i2v' finds no query picture"):
        dataset.protocol("i2v")


def test_names_as_identities_and_time(folder: Path):
    named = table().assign(identity=["bo", "bo", "al", "al", "cy", "cy", "0007"], time=range(7))
    named.to_csv(folder / "manifest.csv", index=False)
    images = open_dataset("manifest", folder).images
    assert images.identity.tolist() == [2, 2, 1, 1, 3, 3, 0]
    assert images.identity_name.tolist() == ["bo", "bo", "al", "al", "cy", "cy", "0007"]
    assert images.time.astype(int).tolist() == list(range(7))


def test_numbers_too_long_for_64_bits_are_names(folder: Path):
    table().assign(identity=[f"9999999999999999999{identity}" for identity in table().identity]).to_csv(
        folder / "manifest.csv", index=False
    )
    images = open_dataset("manifest", folder).images
    assert images.identity.tolist() == [0, 0, 1, 1, 2, 2, 3]
    assert images.identity_name[6] == "99999999999999999999"


def test_byte_order_mark_and_windows_lines(folder: Path):
    before = open_dataset("manifest", folder).fingerprint
    path = folder / "manifest.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert open_dataset("manifest", folder).fingerprint == before


def test_more_fields_than_columns(folder: Path):
    path = folder / "manifest.csv"
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, *(f"{row},more" for row in rows)]) + "\n")
    with pytest.raises(DataError, match="the rows have more fields than the header names"):
        open_dataset("manifest", folder)


def test_padded_numbers_are_numbers(folder: Path):
    table().assign(identity=[f"{identity:04d}" for identity in table().identity]).to_csv(
        folder / "manifest.csv", index=False
    )
    images = open_dataset("manifest", folder).images
    assert images.identity.tolist() == table().identity.tolist()
    assert "identity_name" not in images


def test_what_is_not_stated_is_restricted(folder: Path, stated: Callable[..., None]):
    dataset = open_dataset("manifest", folder)
    assert (dataset.name, dataset.licence, dataset.restricted) == (folder.name, "not stated", True)
    stated(folder, "manifest", synthetic=False)
    assert open_dataset("manifest", folder).restricted
    stated(folder, "manifest", synthetic=False, restricted=False)
    free = open_dataset("manifest", folder)
    assert (free.name, free.licence, free.restricted) == ("tiny manifest", "CC0", False)
    assert free.fingerprint != dataset.fingerprint
    stated(folder, "manifest")
    assert not open_dataset("manifest", folder).restricted


def test_stated_counts(folder: Path, stated: Callable[..., None]):
    wrong = [{"split": "train", "modality": "visible", "camera": 1, "identities": 1, "images": 2}]
    stated(folder, "manifest", counts=wrong)
    with pytest.raises(DataError, match="train visible camera 1: 1 pictures of 1 identities, expected 2"):
        open_dataset("manifest", folder)
    open_dataset("manifest", folder, check_counts=False)


@pytest.mark.parametrize(
    ("column", "row", "value", "message"),
    [
        ("modality", 3, "thermal", r"row 3: unknown modality 'thermal' \(allowed: visible, infrared\)"),
        ("split", 2, "query", r"row 2: unknown split 'query' \(allowed: train, val, test\)"),
        ("camera", 5, "c5", "row 5: camera 'c5' is no whole number"),
        ("camera", 5, "1.5", "row 5: camera '1.5' is no whole number"),
        ("camera", 5, "-2", "row 5: camera -2 is not allowed; the least is -1"),
        ("identity", 4, "-1", "row 4: identity -1 is not allowed; the least is 0"),
        ("identity", 4, "", r"row 4: no identity \(and 0 further rows without\)"),
        ("path", 1, None, "row 1: no path"),
        ("modality", 6, "nan", "row 6: no modality"),
        ("path", 4, "a/./3.png", "row 4: a/3.png is already listed in row 3"),
        ("path", 7, "b/gone.png", "row 7: b/gone.png does not exist"),
        ("path", 7, "/etc/hostname", "row 7: /etc/hostname is absolute"),
        ("identity", 3, "1", "row 3: identity 1 is in test here and in train in row 1"),
    ],
)
def test_wrong_rows(folder: Path, column: str, row: int, value: str | None, message: str):
    wrong = table().astype(object)
    wrong.loc[row - 1, column] = value
    wrong.to_csv(folder / "manifest.csv", index=False)
    with pytest.raises(DataError, match=message):
        open_dataset("manifest", folder)


def test_shared_person_is_called_by_name(folder: Path):
    named = table().assign(identity=["bo", "bo", "bo", "al", "cy", "cy", "di"])
    named.to_csv(folder / "manifest.csv", index=False)
    with pytest.raises(DataError, match="row 3: identity bo is in test here and in train in row 1"):
        open_dataset("manifest", folder)


def test_not_a_number_in_parquet(folder: Path):
    (folder / "manifest.csv").unlink()
    wrong = table().assign(identity=table().identity.astype(float))
    wrong.loc[2, "identity"] = np.nan
    wrong.to_parquet(folder / "manifest.parquet")
    with pytest.raises(DataError, match="row 3: no identity"):
        open_dataset("manifest", folder)
    wrong.loc[2, "identity"] = 7.0
    wrong.to_parquet(folder / "manifest.parquet")
    assert open_dataset("manifest", folder).images.identity.tolist() == [1, 1, 7, 7, 8, 8, 9]


def test_missing_columns(folder: Path):
    table().drop(columns=["camera", "split"]).to_csv(folder / "manifest.csv", index=False)
    with pytest.raises(DataError, match="no column camera, split; the columns path, identity, camera, modality, split"):
        open_dataset("manifest", folder)


@pytest.mark.parametrize("text", ["", "path,identity,camera,modality,split\n"])
def test_empty_table(folder: Path, text: str):
    (folder / "manifest.csv").write_text(text)
    with pytest.raises(DataError, match=r"manifest\.csv: (cannot be read as a table|lists no picture)"):
        open_dataset("manifest", folder)


def test_what_is_no_manifest(folder: Path, sysu_root: Path):
    with pytest.raises(DataError, match=r"holds neither manifest\.csv nor manifest\.parquet; it holds .* 'sysu'"):
        open_dataset("manifest", sysu_root)
    with pytest.raises(DataError, match="does not exist; give a manifest"):
        open_dataset("manifest", folder / "nowhere")
    (folder / "list.txt").write_text("a")
    with pytest.raises(DataError, match=r"a manifest is a \.csv or \.parquet file, not '\.txt'"):
        open_dataset("manifest", folder / "list.txt")
    (folder / "manifest.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match="holds both"):
        open_dataset("manifest", folder)
    with pytest.raises(DataError, match="cannot be read as a table"):
        open_dataset("manifest", folder / "manifest.parquet")
