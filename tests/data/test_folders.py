"""Pictures of people whom nobody named."""

from pathlib import Path

import pytest
from PIL import Image

from vireid.data import UNKNOWN, open_dataset
from vireid.errors import DataError, TrainingError
from vireid.training.pictures import TrainingData
from vireid.training.recipe import load_recipe
from vireid.types import Modality


def folders(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 16)).save(root / name)
    return root


def test_all_pictures_below_both_folders_are_read(tmp_path: Path) -> None:
    root = folders(tmp_path / "crops", "visible/b.png", "visible/gate/a.jpg", "infrared/c.png")
    (root / "visible" / "notes.txt").write_text("x")
    dataset = open_dataset("folders", root)
    assert dataset.name == "crops"
    assert dataset.restricted
    assert [Path(path).name for path in dataset.images.path] == ["c.png", "b.png", "a.jpg"]
    assert dataset.images.modality.tolist() == ["infrared", "visible", "visible"]
    assert set(dataset.images.identity) == set(dataset.images.camera) == {UNKNOWN}
    assert len(dataset.training_rows()) == 3
    assert dataset.protocols() == []
    with pytest.raises(DataError, match="does not say who is who"):
        dataset.protocol("training")
    alone = open_dataset("folders", folders(tmp_path / "day", "visible/b.png"))
    assert [str(m) for m in Modality if len(alone.rows(modality=m))] == ["visible"]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="neither a folder visible nor a folder infrared"):
        open_dataset("folders", tmp_path)
    (tmp_path / "visible").mkdir()
    with pytest.raises(DataError, match="visible holds no picture"):
        open_dataset("folders", tmp_path)


def test_a_method_that_needs_identities_refuses_them_and_one_that_does_not_takes_them(tmp_path: Path) -> None:
    root = folders(tmp_path, "visible/b.png", "infrared/c.png")
    dataset = open_dataset("folders", root)
    with pytest.raises(TrainingError, match="agw is trained with identities; train mcf"):
        TrainingData.of(dataset, load_recipe("agw-demo", ["data.kind=folders", "data.protocol=null"]))
    recipe = load_recipe("mcf-demo", ["data.kind=folders", "data.protocol=null"])
    data = TrainingData.of(dataset, recipe)
    figures = data.label_figures(data.without_labels())
    assert figures["visible"]["clusters"] == 1
    assert figures["visible"]["ari"] is None
    assert data.card(recipe, "0").identities == ()
