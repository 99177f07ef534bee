import numpy as np
import pytest

from vireid.clustering import (
    adjusted_rand_index,
    label_statistics,
    match_precision,
    normalised_mutual_information,
    purity,
)
from vireid.errors import UsageError


@pytest.mark.parametrize("seed", range(5))
def test_equal_to_scikit_learn(seed):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    identity = rng.integers(12, size=200)
    labels = np.where(rng.random(200) < 0.5, identity, rng.integers(9, size=200))
    assert adjusted_rand_index(labels, identity) == pytest.approx(metrics.adjusted_rand_score(labels, identity))
    expected = metrics.normalized_mutual_info_score(labels, identity)
    assert normalised_mutual_information(labels, identity) == pytest.approx(expected)


def test_noise_is_a_cluster_of_its_own_each():
    identity = np.array([0, 0, 1, 1])
    assert adjusted_rand_index(np.array([0, 0, -1, -1]), identity) == adjusted_rand_index(
        np.array([0, 0, 1, 2]), identity
    )
    assert adjusted_rand_index(np.full(4, -1), identity) == pytest.approx(0)
    assert adjusted_rand_index(np.full(4, -1), np.full(4, -1)) == 1


def test_extremes():
    same = np.array([3, 3, 5, 5, 5])
    assert adjusted_rand_index(same, same + 1) == 1
    assert normalised_mutual_information(same, same + 1) == pytest.approx(1)
    assert normalised_mutual_information(np.zeros(5, int), same) == 0
    assert normalised_mutual_information(np.zeros(5, int), np.zeros(5, int)) == 1
    assert adjusted_rand_index(np.array([0]), np.array([4])) == 1


def test_purity_counts_majorities_and_leaves_noise_out():
    labels, identity = np.array([0, 0, 0, 1, 1, -1]), np.array([7, 7, 8, 9, 9, 7])
    assert purity(labels, identity) == pytest.approx(4 / 5)
    assert np.isnan(purity(np.array([-1, -1]), np.array([1, 2])))


def test_statistics_of_a_clustering():
    labels = np.array([0, 0, 0, 1, 1, -1, -1, -1])
    plain = label_statistics(labels)
    assert (plain.clusters, plain.noise, plain.median_size) == (2, 3 / 8, 2.5)
    assert plain.ari is plain.nmi is plain.purity is None
    told = label_statistics(labels, np.array([7, 7, 7, 8, 8, 1, 2, 3]))
    expected = {"clusters": 2, "noise": 3 / 8, "median_size": 2.5, "ari": 1, "nmi": 1, "purity": 1}
    assert told.to_json() == pytest.approx(expected)
    none = label_statistics(np.array([-1, -1]))
    assert (none.clusters, none.noise, none.median_size) == (0, 1.0, 0.0)


def test_precision_of_matches():
    visible, visible_identity = np.array([0, 0, 1, 2, 2, -1]), np.array([5, 5, 6, 7, 8, 9])
    infrared, infrared_identity = np.array([0, 1, 1, 1]), np.array([6, 5, 5, 7])
    # visible 0 shows 5, 1 shows 6, 2 shows 7 (of equals the least); infrared 0 shows 6, 1 shows 5
    sides = visible, visible_identity, infrared, infrared_identity
    assert match_precision(np.array([1, 0, 0]), *sides) == pytest.approx(2 / 3)
    assert match_precision(np.array([1, -1, -1]), *sides) == 1
    assert np.isnan(match_precision(np.array([-1, -1, -1]), *sides))


def test_lengths_must_agree():
    with pytest.raises(UsageError, match="do not belong together"):
        adjusted_rand_index(np.zeros(3, int), np.zeros(4, int))
