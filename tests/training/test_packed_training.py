"""Training from packed pictures ends with the same bits, and pictures are packed where that pays."""

from collections.abc import Callable
from pathlib import Path

import pytest

from vireid.data import Dataset, open_dataset
from vireid.data.images import PictureFiles
from vireid.data.packed import PackedPictures
from vireid.errors import ImageError, UsageError
from vireid.training.loop import train
from vireid.training.pictures import TrainingData
from vireid.training.recipe import load_recipe
from vireid.training.run import Run
from vireid.types import silent, untracked

Overrides = Callable[..., list[str]]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIREID_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def dataset(tiny_sysu: Path) -> Dataset:
    return open_dataset("sysu", tiny_sysu)


def test_packed_or_not_a_run_ends_with_the_same_bits(
    small: Overrides, dataset: Dataset, tmp_path: Path, cache: Path
) -> None:
    told: dict[str, list[str]] = {}
    validation = ["data.held_out=0.3", "data.validate_every=1", "batch.identities=2"]
    for choice in ("none", "packed"):
        recipe = load_recipe("agw-demo", small(f"data.cache={choice}", *validation))
        said = told.setdefault(choice, [])
        train(recipe, dataset, Run(tmp_path / choice), device="cpu", say=said.append)
    records = {choice: Run(tmp_path / choice).records() for choice in told}
    for record in (*records["none"], *records["packed"]):
        record.pop("seconds", None)
    assert records["none"] == records["packed"], "losses and validations"
    assert len(list(cache.rglob("*.npy"))) == 2, "the splits train and val"
    assert any("packing" in line for line in told["packed"])
    assert not any("packing" in line for line in told["none"])


@pytest.mark.parametrize(
    ("overrides", "kind"),
    [
        ([], PictureFiles),
        (["steps_per_epoch=1000"], PackedPictures),
        (["steps_per_epoch=1000", "data.cache=none"], PictureFiles),
        (["data.cache=packed"], PackedPictures),
        (["steps_per_epoch=null"], PictureFiles),
        (["steps_per_epoch=null", "phases.train.epochs=10"], PackedPictures),
    ],
)
def test_pictures_are_packed_where_each_is_read_ten_times(
    small: Overrides, dataset: Dataset, overrides: list[str], kind: type
) -> None:
    recipe = load_recipe("agw-demo", small(*overrides))
    found = TrainingData.of(dataset, recipe).cached(recipe, track=untracked, say=silent)
    assert isinstance(found.source, kind)


def test_the_cache_is_no_part_of_what_a_run_is(small: Overrides, dataset: Dataset, tmp_path: Path) -> None:
    recipes = [load_recipe("agw-demo", small(f"data.cache={choice}")) for choice in ("auto", "packed", "none")]
    assert len({recipe.digest for recipe in recipes}) == 1
    run = Run(tmp_path / "run")
    train(recipes[1], dataset, run, device="cpu")
    train(recipes[2], dataset, run, device="cpu", resume=True)
    with pytest.raises(UsageError, match=r"data\.cache: Input should be 'auto', 'packed' or 'none'"):
        load_recipe("agw-demo", small("data.cache=disk"))


def test_a_cache_that_cannot_be_written_is_told_and_the_run_can_begin_without(
    small: Overrides, dataset: Dataset, tmp_path: Path, cache: Path
) -> None:
    cache.write_text("")
    run = Run(tmp_path / "run")
    with pytest.raises(UsageError, match=r"cannot pack pictures.*or train with data\.cache=none"):
        train(load_recipe("agw-demo", small("data.cache=packed")), dataset, run, device="cpu")
    assert not run.path.exists()
    train(load_recipe("agw-demo", small("data.cache=none")), dataset, run, device="cpu")


def test_a_damaged_picture_is_found_before_training(
    small: Overrides, tiny_sysu: Path, dataset: Dataset, tmp_path: Path
) -> None:
    copy = tmp_path / "data"
    for path in dataset.images.path:
        target = copy / Path(path).relative_to(tiny_sysu)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(Path(path).read_bytes())
    for file in ("expected.json", *(f"exp/{split}_id.txt" for split in ("train", "val", "test"))):
        (copy / file).parent.mkdir(exist_ok=True)
        (copy / file).write_bytes((tiny_sysu / file).read_bytes())
    broken = open_dataset("sysu", copy)
    last = Path(broken.images.path[broken.training_rows()[-1]])
    last.write_bytes(b"no picture")
    run = Run(tmp_path / "run")
    with pytest.raises(ImageError, match=rf"{last}: not a readable"):
        train(load_recipe("agw-demo", small("data.cache=packed")), broken, run, device="cpu")
    assert not run.path.exists()
