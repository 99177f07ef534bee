"""Start weights from rendered people: one file a recipe, made once, by one process, and never mistaken for another."""

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file, save_file

from vireid.errors import UsageError
from vireid.networks.two_stream import TwoStreamResNet
from vireid.networks.vit import ViT
from vireid.networks.weights import load_start, save_start, start_metadata
from vireid.training import pretraining
from vireid.training.pretraining import pretrain
from vireid.types import Modality

SMALL = {
    "image.height": 48,
    "image.width": 24,
    "augmentation.padding": 2,
    "batch.identities": 4,
    "batch.visible": 2,
    "phases.train.epochs": 1,
    "phases.train.schedule.warmup_epochs": 0,
    "steps_per_epoch": 3,
    "checkpoint_every": 1,
    "precision": "fp32",
    "workers": 0,
}


def small(*more: str, architecture: str = "resnet10t", **arguments: Any) -> Path:
    """Three tiny steps on 16 pictures."""
    overrides = [*(f"{key}={value}" for key, value in SMALL.items()), *more]
    return pretrain(
        architecture=architecture, overrides=overrides, **({"identities": 8, "images": 2, "workers": 1} | arguments)
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with one finished start."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIREID_CACHE", str(folder))
        small()
    return folder


@pytest.fixture
def cache(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That folder as the cache; whoever trains again fails the test."""
    monkeypatch.setenv("VIREID_CACHE", str(made))
    monkeypatch.setattr(pretraining, "train", lambda *given, **named: pytest.fail("trained again"))
    return made


def test_a_start_is_made_once_and_nothing_else_is_kept(cache: Path, tmp_path: Path) -> None:
    [kept] = cache.glob("*.safetensors")
    assert [path.name for path in cache.iterdir() if path.is_dir()] == []
    assert small() == kept
    out = tmp_path / "mine" / "start.safetensors"
    assert small(out=out) == out
    assert out.read_bytes() == kept.read_bytes()
    written = out.stat().st_mtime_ns
    assert small(out=out) == out
    assert out.stat().st_mtime_ns == written
    assert start_metadata(out)["architecture"] == "resnet10t"
    assert kept.name == f"start-{start_metadata(out)['made_by']}.safetensors"
    assert load_start(TwoStreamResNet("resnet10t"), str(out)).loaded


@pytest.mark.parametrize(
    ("more", "arguments"),
    [
        ([], {"architecture": "resnet18"}),
        ([], {"seed": 3}),
        ([], {"identities": 9}),
        ([], {"images": 3}),
        (["phases.train.epochs=2"], {}),
    ],
)
def test_a_file_made_otherwise_is_refused(cache: Path, more: list[str], arguments: dict[str, Any]) -> None:
    [kept] = cache.glob("*.safetensors")
    before = kept.read_bytes()
    with pytest.raises(
        UsageError, match=r"holds other start weights, for resnet10t, made as .*another --out or remove"
    ):
        small(*more, out=kept, **arguments)
    assert kept.read_bytes() == before


def test_a_file_of_another_renderer_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [kept] = cache.glob("*.safetensors")
    monkeypatch.setattr(pretraining, "GENERATOR", "99")
    with pytest.raises(UsageError, match="asked for: resnet10t-8x2-seed0-renderer99-"):
        small(out=kept)


def test_what_does_not_say_how_it_was_made_is_refused(cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "start.safetensors"
    save_start(out, TwoStreamResNet("resnet10t").start_state(Modality.VISIBLE), architecture="resnet10t")
    with pytest.raises(UsageError, match="for resnet10t, which do not say how they were made"):
        small(out=out)
    save_file({"a": torch.zeros(1)}, out)
    with pytest.raises(UsageError, match="for an unstated architecture"):
        small(out=out)
    out.write_text("my diary")
    with pytest.raises(UsageError, match="holds something else"):
        small(out=out)
    assert out.read_text() == "my diary"
    with pytest.raises(UsageError, match="holds something else"):
        small(out=tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("architecture=resnet18", "give --architecture resnet18"),
        ("options.architecture=resnet18", "give --architecture resnet18"),
        ("seed=3", "give --seed 3"),
        ("data.root=elsewhere", r"data\.\* cannot be changed"),
        ("data.held_out=0.1", r"data\.\* cannot be changed"),
    ],
)
def test_an_override_that_is_an_argument_is_refused(
    change: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIREID_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UsageError, match=message):
        small(change)
    assert not list(tmp_path.iterdir())


def test_an_unknown_architecture_is_told_before_anything_is_rendered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIREID_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UsageError, match="unknown ResNet architecture 'resnet5'"):
        small(architecture="resnet5")
    assert not list(tmp_path.iterdir())


def test_an_interrupted_call_goes_on_where_it_stopped(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIREID_CACHE", str(tmp_path))

    def stop_at_third_step(items: Iterable[Any], /, *, description: str, total: int | None = None) -> Iterator[Any]:
        for number, item in enumerate(items):
            if description.startswith("train") and number == 2:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        small(track=stop_at_third_step)
    assert not list(tmp_path.glob("*.safetensors"))
    rendered = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.jpg")}
    assert len(rendered) == 16
    told: list[str] = []

    def look(items: Iterable[Any], /, *, description: str, total: int | None = None) -> Iterator[Any]:
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.jpg")} == rendered
        return iter(items)

    start = small(track=look, say=told.append)
    assert "resuming at step 2" in told
    assert not list(tmp_path.rglob("*.jpg"))
    [whole] = made.glob("*.safetensors")
    found, expected = load_file(start), load_file(whole)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_second_process_waits_and_says_so(cache: Path) -> None:
    [kept] = cache.glob("*.safetensors")
    held, waited = threading.Event(), threading.Event()

    def hold() -> None:
        with FileLock(cache / f"pretraining-{start_metadata(kept)['made_by']}.lock"):
            held.set()
            waited.wait(60)

    other = threading.Thread(target=hold)
    other.start()
    assert held.wait(60)
    told: list[str] = []

    def hear(text: str) -> None:
        told.append(text)
        waited.set()

    assert small(say=hear) == kept
    other.join()
    assert len(told) == 1
    assert "another process makes these start weights" in told[0]


def test_a_vit_learns_a_start_that_fits_other_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIREID_CACHE", str(tmp_path / "cache"))
    start = small(architecture="vit_nano_patch12")
    assert start_metadata(start)["architecture"] == "vit_nano_patch12"
    report = load_start(ViT("vit_nano_patch12", image_size=(64, 32), stride=8), str(start))
    assert report.fresh == ()
    with pytest.raises(UsageError, match=r"separate_stages=0 and non_local=false"):
        small("non_local=true", architecture="vit_nano_patch12")
