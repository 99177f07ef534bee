"""Clusters of features that nobody trained: distances against a plain loop, and the figures made of them."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from vireid.data import open_dataset
from vireid.errors import MissingExtraError, WeightsError
from vireid.networks.two_stream import TwoStreamResNet
from vireid.networks.weights import save_start
from vireid.study.acceptance.baseline import arm_recipe
from vireid.study.acceptance.clusters import (
    cluster,
    clusters,
    jaccard_neighbours,
    purity,
    start_retrieval,
    start_vectors,
)
from vireid.types import Modality

SMALL = ["architecture=resnet10t", "image.height=48", "image.width=24"]


def blobs(centres: int, each: int, spread: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    middle = rng.normal(size=(centres, 16))
    vectors = np.repeat(middle, each, axis=0) + spread * rng.normal(size=(centres * each, 16))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def plain_jaccard(vectors: np.ndarray, k1: int, k2: int) -> np.ndarray:
    """Zhong et al. as a loop over pictures."""
    count = len(vectors)
    distance = 2 - 2 * vectors @ vectors.T
    np.fill_diagonal(distance, -1)
    order = np.argsort(distance, axis=1)
    np.fill_diagonal(distance, 0)

    def mutual(row: int, k: int) -> set[int]:
        return {int(other) for other in order[row, : k + 1] if row in order[other, : k + 1]}

    weights = np.zeros((count, count))
    for row in range(count):
        members = mutual(row, k1)
        for other in mutual(row, k1):
            half = mutual(other, round(k1 / 2))
            if 3 * len(half & mutual(row, k1)) > 2 * len(half):
                members |= half
        chosen = sorted(members)
        weight = np.exp(-distance[row, chosen])
        weights[row, chosen] = weight / weight.sum()
    weights = np.stack([weights[order[row, :k2]].mean(axis=0) for row in range(count)])
    smaller = np.minimum(weights[:, None], weights[None]).sum(axis=2)
    return 1 - smaller / (2 - smaller)


def test_distances_against_a_plain_loop() -> None:
    vectors = blobs(4, 8, 0.25)
    sparse = jaccard_neighbours(vectors, eps=0.9, k1=6, k2=3)
    found = np.ones(sparse.shape)
    place = sparse.tocoo()
    found[place.row, place.col] = place.data
    plain = plain_jaccard(vectors, 6, 3)
    near = plain <= 0.9
    assert np.allclose(found[near], plain[near], atol=1e-6)
    assert (found[~near] == 1).all()


def test_separate_people_become_clusters_and_strays_do_not() -> None:
    vectors = blobs(5, 20, 0.1)
    stray = blobs(1, 1, 0.0, seed=9)
    labels = cluster(np.concatenate([vectors, stray]))
    assert len(set(labels[:-1].tolist())) == 5
    assert purity(labels[:-1], np.repeat(np.arange(5), 20)) == 1.0


def test_purity_counts_majorities_and_leaves_noise_out() -> None:
    labels, identity = np.array([0, 0, 0, 1, 1, -1]), np.array([7, 7, 8, 9, 9, 7])
    assert purity(labels, identity) == pytest.approx(4 / 5)
    assert np.isnan(purity(np.array([-1, -1]), np.array([1, 2])))


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


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    with pytest.raises(MissingExtraError, match=r"scikit-learn.*vireid\[study\]"):
        cluster(blobs(2, 4, 0.1))
