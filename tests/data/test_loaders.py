"""Batches: the same from files and from packed pictures, for any number of workers and processes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vireid.data import open_dataset
from vireid.data.images import PictureFiles, PictureSource
from vireid.data.loaders import Pictures, RawView, TrainingLoader
from vireid.data.packed import pack
from vireid.data.samplers import IdentitySampler, Share
from vireid.data.transforms import Augmentation
from vireid.errors import UsageError
from vireid.types import Modality, View, ViewRequest

SIZE = (48, 24)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
VIEWS = {
    "visible": ViewRequest(modality=Modality.VISIBLE, channel_exchange=False),
    "infrared": ViewRequest(modality=Modality.INFRARED),
    "exchanged": ViewRequest(modality=Modality.VISIBLE, channel_exchange=True),
}
AUGMENTATION = Augmentation(padding=4, colour_jitter=0.2, grayscale=0.2, erasing="random")


@pytest.fixture(scope="module")
def sources(tiny_sysu: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    dataset = open_dataset("sysu", tiny_sysu)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIREID_CACHE", str(tmp_path_factory.mktemp("cache")))
        packed = pack(dataset, dataset.training_rows(), size=SIZE)
    files = PictureFiles(dataset.images.path.tolist(), SIZE)
    return {"dataset": dataset, "files": files, "packed": packed}


def loader(sources: dict[str, Any], source: str, **changes: Any) -> TrainingLoader:
    table = sources["dataset"].images.loc[sources["dataset"].training_rows()]
    sides = {modality: table[table.modality == str(modality)] for modality in Modality}
    pictures = {
        modality: Pictures(
            labels=side.identity.to_numpy(np.int64),
            cameras=side.camera.to_numpy(np.int64),
            rows=side.index.to_numpy(np.int64),
        )
        for modality, side in sides.items()
    }
    images: PictureSource = sources[source]
    given: dict[str, Any] = {
        "source": images,
        "pictures": pictures,
        "views": VIEWS,
        "sampler": IdentitySampler(
            {modality: side.labels for modality, side in pictures.items()},
            identities=4,
            images=dict.fromkeys(Modality, 2),
            seed=3,
            batches=3,
        ),
        "augmentation": AUGMENTATION,
        "phase": 0,
        "epoch": 1,
    }
    return TrainingLoader(**(given | changes))


def views(batch: dict[str, RawView]) -> dict[str, View]:
    return {name: raw.to_view(torch.device("cpu"), MEAN, STD) for name, raw in batch.items()}


def same(one: dict[str, View], other: dict[str, View]) -> bool:
    fields = ("images", "labels", "cameras", "rows")
    return one.keys() == other.keys() and all(
        torch.equal(getattr(one[name], key), getattr(other[name], key)) for name in one for key in fields
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_files_and_packed_pictures_give_the_same_batches(sources: dict[str, Any], workers: int) -> None:
    expected = [views(batch) for batch in loader(sources, "files").batches(start=0, workers=0)]
    for source in ("files", "packed"):
        found = [views(batch) for batch in loader(sources, source).batches(start=0, workers=workers)]
        assert len(found) == len(expected) == 3
        assert all(same(one, other) for one, other in zip(found, expected, strict=True))
    [last] = loader(sources, "packed").batches(start=2, workers=workers)
    assert same(views(last), expected[2])


def test_a_process_gets_its_part_of_the_same_batch(sources: dict[str, Any]) -> None:
    whole = views(loader(sources, "packed")[1])  # type: ignore[arg-type]
    parts = [views(loader(sources, "packed", share=Share(rank=rank, world=2))[1]) for rank in range(2)]  # type: ignore[arg-type]
    for name, view in whole.items():
        assert torch.equal(torch.cat([part[name].images for part in parts]), view.images)
        assert torch.equal(torch.cat([part[name].rows for part in parts]), view.rows)


def test_views_of_the_same_pictures_are_drawn_on_their_own(sources: dict[str, Any]) -> None:
    raw = loader(sources, "packed")[0]
    assert isinstance(raw, dict)
    assert raw["visible"].images is raw["exchanged"].images, "read once"
    assert raw["visible"].changes != raw["exchanged"].changes
    assert all(change.channel is None for change in raw["visible"].changes)
    found = views(raw)
    assert found["visible"].images.is_contiguous(memory_format=torch.channels_last)
    assert not torch.equal(found["visible"].images, found["exchanged"].images)
    assert same(found, views(raw)), "making a view leaves what was read as it is"


def test_a_channel_copy_shows_each_picture_by_one_of_its_channels(sources: dict[str, Any]) -> None:
    requests = {"plain": VIEWS["visible"], "copied": ViewRequest(modality=Modality.VISIBLE, channel_copy=True)}
    requests |= {"infrared": VIEWS["infrared"]}
    still = Augmentation(padding=0, flip=0.0)
    made = loader(sources, "packed", views=requests, augmentation=still)
    raw, again = made[0], made[0]
    assert isinstance(raw, dict)
    assert isinstance(again, dict)
    assert raw["copied"].changes == again["copied"].changes, "of seed, phase, epoch, batch and place alone"
    assert {change.channel for change in raw["copied"].changes} == {0, 1, 2}
    found = {name: view.to_view(torch.device("cpu"), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)) for name, view in raw.items()}
    for plain, copied, change in zip(found["plain"].images, found["copied"].images, raw["copied"].changes, strict=True):
        assert torch.equal(copied, plain[change.channel].expand(3, -1, -1))
    for name in ("labels", "rows", "cameras"):
        assert torch.equal(getattr(found["copied"], name), getattr(found["plain"], name))
    other = loader(sources, "packed", views=requests, augmentation=still, epoch=2)[0]
    assert isinstance(other, dict)
    assert other["copied"].changes != raw["copied"].changes


def test_a_view_may_leave_the_jitter_out(sources: dict[str, Any]) -> None:
    requests = {
        modality.value: ViewRequest(modality=modality, colour_jitter=modality is Modality.VISIBLE)
        for modality in Modality
    }
    raw = loader(sources, "packed", views=requests)[0]
    assert isinstance(raw, dict)
    assert all(change.jitter for change in raw["visible"].changes)
    assert not any(change.jitter for change in raw["infrared"].changes)


def test_another_epoch_draws_other_pictures_and_changes(sources: dict[str, Any]) -> None:
    one, other = (views(loader(sources, "packed", epoch=epoch)[0]) for epoch in (1, 2))  # type: ignore[arg-type]
    assert not torch.equal(one["visible"].rows, other["visible"].rows)
    assert not torch.equal(one["visible"].images, other["visible"].images)


def test_a_view_of_the_upper_part_is_augmented_on_its_own(sources: dict[str, Any]) -> None:
    requests = {"whole": VIEWS["visible"], "upper": ViewRequest(modality=Modality.VISIBLE, upper=0.3)}
    raw = loader(sources, "packed", views=requests | {"infrared": VIEWS["infrared"]})[0]
    assert isinstance(raw, dict)
    assert torch.equal(raw["upper"].images, raw["whole"].images[:, :, :14])
    assert torch.equal(raw["upper"].rows, raw["whole"].rows)
    assert raw["upper"].changes != raw["whole"].changes
    erased = [change.erased for change in raw["upper"].changes if change.erased]
    assert erased
    assert all(one.top + one.rows <= 14 for one in erased)
    assert views(raw)["upper"].images.shape == (8, 3, 14, SIZE[1])


def test_an_upper_part_has_whole_rows_and_at_least_one() -> None:
    shares = {0.29: 29, 0.3: 30, 0.999: 99, 1.0: 100, 0.001: 1}
    assert {share: ViewRequest(modality=Modality.VISIBLE, upper=share).rows(100) for share in shares} == shares
    for share in (0.0, 1.2, -0.5):
        with pytest.raises(UsageError, match=r"must lie in \(0, 1\]"):
            ViewRequest(modality=Modality.VISIBLE, upper=share)
