"""What is measured of features that nobody trained."""

from pathlib import Path

import numpy as np
import pytest
import torch

from vireid.data import open_dataset
from vireid.errors import WeightsError
from vireid.networks.two_stream import TwoStreamResNet
from vireid.networks.weights import save_start
from vireid.study.acceptance.baseline import arm_recipe
from vireid.study.acceptance.clusters import clusters, neighbours, start_retrieval, start_vectors
from vireid.study.acceptance.retrieval import Vectors
from vireid.types import Modality

SMALL = ["architecture=resnet10t", "image.height=48", "image.width=24"]


def test_people_who_lie_apart_have_pure_clusters(tiny_sysu: Path) -> None:
    """Each person's pictures around a corner of their own, one corner a modality."""
    data = open_dataset("sysu", tiny_sysu)
    rows = data.training_rows()
    images = data.images.iloc[rows]
    number = images.groupby(["modality", "identity"]).ngroup().to_numpy()
    values = np.eye(int(number.max()) + 1)[number]
    values += 0.02 * np.random.default_rng(0).normal(size=values.shape)
    vectors = Vectors(rows=rows, values=values / np.linalg.norm(values, axis=1, keepdims=True))
    found = {finding.name: finding for finding in clusters(data, vectors)}
    for modality in Modality:
        assert found[f"{modality} clusters per training identity"].value >= 1
        assert found[f"purity of {modality} clusters"].value == 100
    note = found["visible clusters per training identity"].note
    assert "neighbours, radius 0.6; 0 % in none; other radii: " in note
    assert "0.4: " in note
    assert note.endswith("chosen without labels)")


@pytest.mark.parametrize(
    ("pictures", "modality", "expected"),
    [(22_258 / 395, Modality.VISIBLE, 30), (11_909 / 395, Modality.INFRARED, 30), (29.4, Modality.VISIBLE, 16)],
)
def test_neighbours_follow_the_pictures_of_an_identity(pictures: float, modality: Modality, expected: int) -> None:
    assert neighbours(pictures, modality) == expected


@pytest.fixture(scope="module")
def random_start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("start") / "start.safetensors"
    save_start(file, TwoStreamResNet("resnet10t").start_state(Modality.VISIBLE), architecture="resnet10t")
    return file


def test_an_untrained_start_is_measured(random_start: Path, tiny_sysu: Path) -> None:
    data = open_dataset("sysu", tiny_sysu)
    recipe = arm_recipe("agw", data, preset="tiny", seed=0, changes=[f"start={random_start}", *SMALL])
    vectors = start_vectors(data, recipe)
    assert np.allclose(np.linalg.norm(vectors.values, axis=1), 1, atol=1e-3)
    found = {finding.name: finding for finding in (*start_retrieval(data, vectors), *clusters(data, vectors))}
    assert found["start, visible to visible across cameras, rank-1"].low == 40
    assert 0 <= found["start, infrared to visible, rank-1"].value <= 60
    assert not found["infrared clusters per training identity"].judged
    assert found["visible clusters per training identity"].low == 1.5


def test_a_start_of_another_network_is_refused(random_start: Path, tiny_sysu: Path) -> None:
    data = open_dataset("sysu", tiny_sysu)
    changes = [f"start={random_start}", "architecture=resnet18"]
    with pytest.raises(WeightsError, match="belong to 'resnet10t'"):
        start_vectors(data, arm_recipe("agw", data, preset="tiny", seed=0, changes=changes))
