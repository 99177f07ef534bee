"""Runs of a method that finds its labels itself: what the loop keeps, writes down, and never lets through."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from vireid.clustering import adjusted_rand_index, cluster
from vireid.data import Dataset, open_dataset
from vireid.data.samplers import IdentitySampler
from vireid.methods import method_class
from vireid.methods.base import Method
from vireid.report.blocks import Ranking
from vireid.report.material import open_material
from vireid.report.sections.clusters import clusters
from vireid.training.loop import train
from vireid.training.pictures import TrainingData
from vireid.training.recipe import Recipe, load_recipe
from vireid.training.run import Run
from vireid.types import Modality, untracked


@pytest.fixture(scope="module")
def recipe(tiny_sysu: Path) -> Recipe:
    """Two epochs of three steps; the second is of the phase that crosses the modalities."""
    return load_recipe(
        "mcf-demo",
        [
            f"data.root={tiny_sysu}",
            "image.height=64",
            "image.width=32",
            "augmentation.padding=2",
            "batch.identities=2",
            "batch.visible=2",
            "batch.infrared=2",
            "phases.within.epochs=1",
            "phases.across.epochs=1",
            "maal.warmup_epochs=0",
            "clustering.eps=auto",
            "steps_per_epoch=3",
            "precision=fp32",
            "workers=0",
        ],
    )


@pytest.fixture(scope="module")
def dataset(tiny_sysu: Path) -> Dataset:
    return open_dataset("sysu", tiny_sysu)


@pytest.fixture(scope="module")
def whole(recipe: Recipe, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(tmp_path_factory.mktemp("mcf") / "whole")
    train(recipe, dataset, run, device="cpu")
    return run


def weights(run: Run) -> dict[str, torch.Tensor]:
    return load_file(run.bundle_folder / "weights.safetensors")


def same(first: Run, second: Run) -> bool:
    one, other = weights(first), weights(second)
    return one.keys() == other.keys() and all(torch.equal(other[name], value) for name, value in one.items())


def losses(run: Run) -> list[Any]:
    return [(record["step"], record["losses"]) for record in run.records() if "losses" in record]


def stop_after(steps: int) -> Callable[..., Any]:
    """A `Track` that sends Ctrl-C while the training step of that number is in flight."""
    import signal

    left = steps

    def track(items: Any, /, *, description: str, total: int | None = None) -> Any:
        nonlocal left
        for item in items:
            if description.startswith(("within", "across")):
                if left == 0:
                    signal.raise_signal(signal.SIGINT)
                left -= 1
            yield item

    return track


@pytest.mark.parametrize("step", [1, 4])
def test_a_run_stopped_within_an_epoch_resumes_to_the_same_bits(
    recipe: Recipe, dataset: Dataset, whole: Run, tmp_path: Path, step: int
) -> None:
    stopped = Run(tmp_path / "stopped")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, dataset, stopped, device="cpu", track=stop_after(step))
    assert len(losses(stopped)) == step + 1
    train(recipe, dataset, stopped, resume=True, device="cpu")
    assert losses(stopped) == losses(whole)
    assert same(stopped, whole)
    labels = [[record["labels"] for record in run.records() if "labels" in record] for run in (stopped, whole)]
    assert labels[0] == labels[1]


def test_shuffled_identities_change_no_bit(recipe: Recipe, dataset: Dataset, whole: Run, tmp_path: Path) -> None:
    images = dataset.images.copy()
    training = images.split == "train"
    images.loc[training, "identity"] = np.random.default_rng(0).permutation(images.identity[training].to_numpy())
    shuffled = Run(tmp_path / "shuffled")
    train(recipe, replace(dataset, images=images), shuffled, device="cpu")
    assert losses(shuffled) == losses(whole)
    assert same(shuffled, whole)
    found = [
        [record["labels"]["visible"] for record in run.records() if "labels" in record] for run in (shuffled, whole)
    ]
    assert found[0][0]["clusters"] == found[1][0]["clusters"]
    assert found[0][0]["ari"] < 0.2 < found[1][0]["ari"], "agreement is looked at afterwards"


def test_every_epoch_says_what_it_found_and_bundles_hold_none_of_it(whole: Run) -> None:
    first, second = (record for record in whole.records() if "labels" in record)
    assert (first["step"], first["phase"], second["step"], second["phase"]) == (0, "within", 3, "across")
    assert set(first["labels"]) == {"visible", "infrared"}
    assert {"clusters", "noise", "median_size", "ari", "nmi", "purity", "eps", "k1"} <= set(first["labels"]["visible"])
    assert set(second["labels"]["matched"]) == {"clusters", "precision", "mu", "infrared_without"}
    assert not [name for name in weights(whole) if "memory" in name or "bank" in name]


def test_the_report_shows_the_life_of_the_clusters(whole: Run) -> None:
    section = clusters(open_material(whole.path, device="cpu"))
    assert section is not None
    captions = [drawing.caption for drawing in section.drawings]
    assert [caption.split(" by ")[0] for caption in captions][:2] == ["Clusters", "Share in no cluster"]
    titles = [block.title for block in section.blocks if isinstance(block, Ranking)]
    assert any(title.startswith("A cluster: visible cluster") for title in titles)
    assert any(title.startswith("A person in pieces: visible") for title in titles)
    assert any(title.startswith("People in one cluster: infrared") for title in titles)


def test_pictures_of_a_class_come_from_as_many_cameras_as_possible() -> None:
    labels = {Modality.VISIBLE: np.zeros(12, np.int64)}
    cameras = {Modality.VISIBLE: np.repeat([1, 2, 3], [9, 2, 1])}
    settings = {"identities": 1, "images": {Modality.VISIBLE: 4}, "paired": False, "batches": 3}
    for seed in range(20):
        sampler = IdentitySampler(labels, seed=seed, cameras=cameras, **settings)  # type: ignore[arg-type]
        drawn = sampler.batch(0, 0, seed % 3)[Modality.VISIBLE]
        assert set(cameras[Modality.VISIBLE][drawn[:3]]) == {1, 2, 3}
        assert len(set(drawn.tolist())) == 4
    small = IdentitySampler(
        {Modality.VISIBLE: np.zeros(2, np.int64)}, seed=0, cameras={Modality.VISIBLE: np.array([1, 2])}, **settings
    )  # type: ignore[arg-type]
    assert np.bincount(small.batch(0, 0, 0)[Modality.VISIBLE]).tolist() == [2, 2]


PEOPLE, EACH = 12, 4


def draw_people(root: Path) -> Path:
    """Twelve people by the brightness of eight patches, before two visible cameras that tint and two infrared ones."""
    rng = np.random.default_rng(0)
    patterns = rng.uniform(40, 215, size=(PEOPLE, 4, 2, 1))
    rows = []
    for modality, cameras in ((Modality.VISIBLE, (1, 2)), (Modality.INFRARED, (3, 4))):
        (root / modality).mkdir(parents=True)
        for camera in cameras:
            tint = rng.uniform(0.6, 1.2, size=3) if modality is Modality.VISIBLE else rng.uniform(0.5, 0.9)
            for person in range(PEOPLE):
                for number in range(EACH):
                    picture = np.kron(patterns[person] * tint * np.ones(3), np.ones((16, 16, 1)))
                    picture += 25 * rng.standard_normal((64, 32, 3 if modality is Modality.VISIBLE else 1))
                    name = f"{modality}/{camera}-{person}-{number}.png"
                    Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(root / name)
                    rows.append({"path": name, "identity": person, "camera": camera, "modality": str(modality)})
    pd.DataFrame(rows).assign(split="train").to_csv(root / "manifest.csv", index=False)
    return root


def agreement(method: Method, data: TrainingData, recipe: Recipe) -> float:
    """Mean adjusted Rand index of the clusters of both modalities with people."""
    pictures = data.pictures_for(method, recipe, device=torch.device("cpu"), track=untracked)
    found = {m: pictures.embed(m).vector for m in Modality}
    people = {m: data.dataset.images.identity[data.rows_of(m)].to_numpy() for m in Modality}
    labels = {m: cluster(found[m], k1=8, k2=3, eps="auto").labels for m in Modality}
    return float(np.mean([adjusted_rand_index(labels[m], people[m]) for m in Modality]))


@pytest.mark.slow
def test_a_small_vit_clusters_people_better_than_before_it_was_trained(tmp_path: Path) -> None:
    recipe = load_recipe(
        "mcf-demo",
        [
            "data.kind=manifest",
            "data.protocol=null",
            f"data.root={draw_people(tmp_path / 'people')}",
            "start=none",
            "architecture=vit_nano_patch12",
            "region_mode=class_tokens",
            "diversity=1.0",
            "pacbam.positions=[5]",
            "pacbam.parts=1",
            "clustering.k1=8",
            "clustering.k2=3",
            "clustering.eps=auto",
            "image.height=64",
            "image.width=32",
            "augmentation.padding=2",
            "augmentation.flip=0",
            "augmentation.erasing=none",
            "batch.identities=4",
            "phases.within.epochs=3",
            "phases.across.epochs=3",
            "maal.warmup_epochs=1",
            "steps_per_epoch=20",
            "precision=fp32",
            "workers=0",
        ],
    )
    dataset = open_dataset("manifest", tmp_path / "people")
    data = TrainingData.of(dataset, recipe)
    torch.manual_seed(recipe.seed)
    method = method_class("mcf")(recipe.method_options(), data.info(recipe))
    before = agreement(method, data, recipe)
    bundle = train(recipe, dataset, Run(tmp_path / "run"), device="cpu")
    assert agreement(bundle.method(), data, recipe) > before
