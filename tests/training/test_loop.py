import shutil
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from vireid.data import Dataset, open_dataset
from vireid.data.samplers import Share
from vireid.errors import ImageError, TrainingError, UsageError, VireidError
from vireid.methods import method_class
from vireid.methods.base import Labels, Losses, Method, TrainingPictures
from vireid.methods.bundle import Bundle
from vireid.options import Options
from vireid.training.loop import Training, train
from vireid.training.pictures import TrainingData
from vireid.training.recipe import Recipe, load_recipe
from vireid.training.run import Run
from vireid.types import Batch, Clock, DataInfo, Embeddings, Modality

Overrides = Callable[..., list[str]]


@pytest.fixture(scope="module")
def dataset(tiny_sysu: Path) -> Dataset:
    return open_dataset("sysu", tiny_sysu)


def weights(run: Run) -> dict[str, Tensor]:
    return load_file(run.bundle_folder / "weights.safetensors")


def losses(run: Run) -> list[tuple[int, float]]:
    return [(record["step"], record["loss"]) for record in run.records() if "loss" in record]


def test_the_same_seed_gives_the_same_bits_and_another_does_not(
    small: Overrides, dataset: Dataset, tmp_path: Path
) -> None:
    bundles = [
        train(load_recipe("agw-demo", small(f"seed={seed}")), dataset, Run(tmp_path / name), device="cpu")
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert bundles[0].digest == bundles[1].digest != bundles[2].digest
    assert losses(Run(tmp_path / "a")) == losses(Run(tmp_path / "b"))


def test_worker_processes_change_nothing(small: Overrides, dataset: Dataset, tmp_path: Path) -> None:
    for workers in (0, 2):
        recipe = load_recipe("agw-demo", small(f"workers={workers}", "phases.train.epochs=1"))
        train(recipe, dataset, Run(tmp_path / str(workers)), device="cpu")
    assert losses(Run(tmp_path / "0")) == losses(Run(tmp_path / "2"))


class StopAfter:
    """A `Track` that sends Ctrl-C while the step of that number is in flight."""

    def __init__(self, step: int) -> None:
        self.left = step

    def __call__(self, items: Iterable[Any], /, *, description: str, total: int | None = None) -> Iterator[Any]:
        for item in items:
            if self.left == 0:
                signal.raise_signal(signal.SIGINT)
            self.left -= 1
            yield item


@pytest.mark.parametrize("step", [0, 1, 2, 4])
def test_a_stopped_run_resumes_to_the_same_bits(small: Overrides, dataset: Dataset, tmp_path: Path, step: int) -> None:
    recipe = load_recipe("agw-demo", small())
    train(recipe, dataset, Run(tmp_path / "whole"), device="cpu")
    stopped = Run(tmp_path / "stopped")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, dataset, stopped, device="cpu", track=StopAfter(step))
    assert len(stopped.records()) == step + 1, "the step in flight is finished"
    train(recipe, dataset, stopped, resume=True, device="cpu")
    expected, found = weights(Run(tmp_path / "whole")), weights(stopped)
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert losses(stopped) == losses(Run(tmp_path / "whole"))


def test_a_run_is_neither_overwritten_nor_resumed_as_another(
    small: Overrides, dataset: Dataset, tmp_path: Path
) -> None:
    run = Run(tmp_path / "run")
    recipe = load_recipe("agw-demo", small("phases.train.epochs=1"))
    with pytest.raises(UsageError, match="holds no run to resume"):
        train(recipe, dataset, run, resume=True, device="cpu")
    bundle = train(recipe, dataset, run, device="cpu")
    with pytest.raises(UsageError, match="already holds a run; add --resume"):
        train(recipe, dataset, run, device="cpu")
    other = load_recipe("agw-demo", small("phases.train.epochs=1", "seed=5"))
    with pytest.raises(UsageError, match="seed was 0, now 5"):
        train(other, dataset, run, resume=True, device="cpu")
    bundle.record({"protocol": "p", "fingerprint": {}, "mode": "full"})
    assert train(recipe, dataset, run, resume=True, device="cpu").digest == bundle.digest
    assert len(Bundle.open(run.path).figures()) == 1, "a finished run is left as it is"


def test_a_run_is_not_resumed_on_other_pictures(small: Overrides, dataset: Dataset, tmp_path: Path) -> None:
    run, recipe = Run(tmp_path / "run"), load_recipe("agw-demo", small())
    with pytest.raises(KeyboardInterrupt):
        train(recipe, dataset, run, device="cpu", track=StopAfter(1))
    other = replace(dataset, images=dataset.images[dataset.images.camera != 6].reset_index(drop=True))
    assert other.fingerprint != dataset.fingerprint
    with pytest.raises(UsageError, match="was trained on other pictures"):
        train(recipe, other, run, resume=True, device="cpu")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("start=/nowhere.safetensors", "do not exist"),
        ("batch.identities=400", r"lower batch\.identities"),
        ("batch.infrared=0", r"set batch\.infrared"),
    ],
)
def test_what_cannot_be_trained_leaves_no_run(
    small: Overrides, dataset: Dataset, tmp_path: Path, override: str, message: str
) -> None:
    with pytest.raises(VireidError, match=message):
        train(load_recipe("agw-demo", small(override)), dataset, Run(tmp_path / "run"), device="cpu")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_picture_is_named_and_training_goes_on_when_it_is_mended(
    small: Overrides, tiny_sysu: Path, tmp_path: Path, workers: int
) -> None:
    root = tmp_path / "data"
    shutil.copytree(tiny_sysu, root)
    dataset = open_dataset("sysu", root)
    for path in dataset.images.path[dataset.training_rows()]:
        Path(path).write_bytes(b"no picture")
    recipe, run = load_recipe("agw-demo", small(f"workers={workers}")), Run(tmp_path / "run")
    with pytest.raises(ImageError, match=r"^\S+\.jpg: not a readable"):
        train(recipe, dataset, run, device="cpu")
    shutil.copytree(tiny_sysu, root, dirs_exist_ok=True)
    train(recipe, dataset, run, resume=True, device="cpu")


def test_the_enhanced_variant_sees_original_and_exchanged_pictures(
    small: Overrides, dataset: Dataset, tmp_path: Path
) -> None:
    overrides = small("enhanced=true", "augmentation.channel_exchange=true", "phases.train.epochs=1")
    recipe = load_recipe("agw-demo", overrides)
    data = TrainingData.of(dataset, recipe)
    method = method_class("agw")(recipe.method_options(), data.info(recipe))
    raw = next(
        data.loader(recipe, method.views(), data.labels, phase=0, epoch=0, share=Share()).batches(start=0, workers=0)
    )
    batch = {name: view.to_view(torch.device("cpu"), (0.0,) * 3, (1.0,) * 3) for name, view in raw.items()}
    assert set(batch) == {"visible", "infrared", "visible_exchanged"}
    colourful = {name: bool((view.images[:, 0] != view.images[:, 1]).any()) for name, view in batch.items()}
    grey = [bool((image[0] == image[1]).all()) for image in batch["visible_exchanged"].images]
    assert colourful["visible"]
    assert sum(grey) > len(grey) / 2
    assert torch.equal(batch["visible"].rows, batch["visible_exchanged"].rows)
    train(recipe, dataset, Run(tmp_path / "run"), device="cpu")


def test_held_out_identities_select_the_epoch_and_are_never_trained_on(
    small: Overrides, dataset: Dataset, tmp_path: Path
) -> None:
    overrides = small("data.held_out=0.3", "data.validate_every=1", "batch.identities=2")
    recipe = load_recipe("agw-demo", overrides)
    data = TrainingData.of(dataset, recipe)
    assert len(data.held_out) == round(0.3 * dataset.images[dataset.images.split == "train"].identity.nunique())
    assert not set(data.held_out) & set(data.trained.identity)
    run = Run(tmp_path / "run")
    bundle = train(recipe, dataset, run, device="cpu")
    validations = [record["validation"] for record in run.records() if "validation" in record]
    assert len(validations) == 2
    assert all(0 <= found["mAP"] <= 100 for found in validations)
    assert set(data.held_out) < set(bundle.card.identities), "they count as seen: the epoch was chosen on them"
    assert bundle.card.held_out == data.held_out


def test_bf16_trains(small: Overrides, dataset: Dataset, tmp_path: Path) -> None:
    recipe = load_recipe("agw-demo", small("precision=bf16", "phases.train.epochs=1"))
    train(recipe, dataset, Run(tmp_path / "run"), device="cpu")
    assert all(np.isfinite(loss) for _, loss in losses(Run(tmp_path / "run")))


def test_fp16_without_cuda_is_refused(small: Overrides, dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="precision=fp16 needs a CUDA device"):
        train(load_recipe("agw-demo", small("precision=fp16")), dataset, Run(tmp_path / "run"), device="cpu")


class NoOptions(Options):
    """A method without options."""


class Recorder(Method):
    """Two phases, a memory, new labels each epoch: writes down what the loop asks of it."""

    name = "recorder"
    title = "test double"
    Options = NoOptions

    def __init__(self, data: DataInfo, *, explode_at: int | None = None) -> None:
        super().__init__(NoOptions(), data)
        self.layer = nn.Linear(3, 4)
        self.register_buffer("memory", torch.zeros(()))
        self.calls: list[Any] = []
        self.explode_at = explode_at

    @classmethod
    def phases(cls, options: Any) -> tuple[str, ...]:
        return ("first", "second")

    def relabel(self, pictures: TrainingPictures, clock: Clock) -> Labels | None:
        self.calls.append(("relabel", clock.phase, clock.epoch))
        counts = {modality: len(pictures.cameras[modality]) for modality in Modality}
        assert len(pictures.embed(Modality.INFRARED)) == counts[Modality.INFRARED]
        of = {modality: np.arange(count) % 5 - 1 for modality, count in counts.items()}
        return Labels(of=of, paired=clock.phase == "second")

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        self.calls.append(("losses", clock.phase, clock.epoch, clock.batch))
        assert all(0 <= int(label) < 4 for view in batch.values() for label in view.labels)
        features = self.layer(batch["visible"].images.mean((2, 3)))
        broken = torch.tensor(float("nan")) if clock.step == self.explode_at else torch.tensor(1.0)
        return Losses({"size": features.square().mean(), "other": broken}, embeddings={"visible": features.detach()})

    def embed(self, images: Tensor, modality: Modality) -> Embeddings[Tensor]:
        return Embeddings(nn.functional.normalize(self.layer(images.mean((2, 3))), dim=1))

    def after_step(self, batch: Batch, embeddings: Mapping[str, Tensor], clock: Clock) -> None:
        self.memory += float(len(embeddings["visible"]))

    def end_phase(self, pictures: TrainingPictures, clock: Clock) -> None:
        self.calls.append(("end", clock.phase))


@pytest.fixture
def two_phases(small: Overrides) -> Recipe:
    recipe = load_recipe("agw-demo", small("steps_per_epoch=2", "start=none"))
    first = recipe.phases[0].model_copy(update={"name": "first", "epochs": 1})
    second = recipe.phases[0].model_copy(update={"name": "second", "epochs": 2})
    return recipe.model_copy(update={"phases": (first, second)})


def test_the_loop_calls_the_hooks_in_order(two_phases: Recipe, dataset: Dataset, tmp_path: Path) -> None:
    data = TrainingData.of(dataset, two_phases)
    method = Recorder(data.info(two_phases))
    training = Training(two_phases, method, data, Run(tmp_path / "run"), device="cpu")
    with pytest.raises(UsageError):  # a bundle of a method that is not installed cannot be opened as one
        training.run(resume=False).method()
    expected: list[Any] = []
    for phase, epochs in (("first", 1), ("second", 2)):
        for epoch in range(epochs):
            expected += [("relabel", phase, epoch), ("losses", phase, epoch, 0), ("losses", phase, epoch, 1)]
        expected.append(("end", phase))
    assert method.calls == expected
    assert method.memory == 6 * 4 * 2, "after_step saw every visible embedding"


def test_not_a_number_stops_with_method_loss_and_step(two_phases: Recipe, dataset: Dataset, tmp_path: Path) -> None:
    data = TrainingData.of(dataset, two_phases)
    method = Recorder(data.info(two_phases), explode_at=3)
    with pytest.raises(TrainingError, match=r"recorder: loss 'other' is nan at step 3 \(second, epoch 0, batch 1\)"):
        Training(two_phases, method, data, Run(tmp_path / "run"), device="cpu").run(resume=False)
    assert not Run(tmp_path / "run").bundle_folder.exists()


def test_a_bundle_is_read_back_and_refuses_damage(small: Overrides, dataset: Dataset, tmp_path: Path) -> None:
    from vireid.errors import BundleError

    run = Run(tmp_path / "run")
    recipe = load_recipe("agw-demo", small("phases.train.epochs=1"))
    bundle = train(recipe, dataset, run, device="cpu")
    assert Bundle.open(run.path).digest == bundle.digest
    assert bundle.card.licence == dataset.licence
    assert bundle.card.dataset_fingerprint == dataset.fingerprint
    state = bundle.method().state_dict()
    assert all(torch.equal(state[name], value) for name, value in weights(run).items())
    damaged = bytearray((bundle.path / "weights.safetensors").read_bytes())
    damaged[-1] ^= 1
    (bundle.path / "weights.safetensors").write_bytes(damaged)
    with pytest.raises(BundleError, match="not the file this bundle was written with"):
        Bundle.open(run.path)
    with pytest.raises(BundleError, match="is no bundle and holds none"):
        Bundle.open(tmp_path)
