import numpy as np
import pytest
from scipy.sparse import csr_array

from vireid.clustering import dbscan, jaccard_graph, nearest
from vireid.clustering.jaccard import reciprocal_weights
from vireid.clustering.memory import Reserve
from vireid.errors import UsageError


def full(graph):
    """Dense, with one where nothing is stored."""
    distances = np.ones(graph.shape)
    coo = graph.tocoo()
    distances[coo.row, coo.col] = coo.data
    return distances


@pytest.mark.parametrize(("k1", "k2"), [(30, 6), (40, 32), (38, 18), (5, 1), (1, 1), (3, 9)])
def test_equals_the_dense_computation_at_500_pictures(people, dense, k1, k2):
    features = people(500, 24)
    weights, distances = dense(features, k1, k2)
    found = reciprocal_weights(features, nearest(features, max(k1, k2))[:, :k1], k1, reserve=Reserve())
    assert np.abs(found.toarray() - weights).max() < 1e-6
    graph = jaccard_graph(features, k1=k1, k2=k2, eps=0.6)
    near = distances <= 0.6
    assert (near == (full(graph) <= 0.6)).mean() > 1 - 1e-5
    assert np.abs(full(graph)[near] - distances[near]).max() < 1e-5
    labels = dbscan(graph, eps=0.6, min_samples=4)
    np.testing.assert_array_equal(labels, dbscan(csr_array(distances), eps=0.6, min_samples=4))


def test_form_of_the_graph(people):
    graph = jaccard_graph(people(300, 12), k1=20, k2=6, eps=0.7)
    assert isinstance(graph, csr_array)
    assert graph.dtype == np.float64
    assert graph.nnz < 300 * 60  # not the square
    assert (np.diff(graph.indices) > 0)[np.setdiff1d(np.arange(graph.nnz - 1), graph.indptr[1:-1] - 1)].all()
    np.testing.assert_array_equal(graph.toarray(), graph.T.toarray())
    assert (graph.diagonal() == 0).all()
    assert (graph.tocoo().row == graph.tocoo().col).sum() == 300  # stored, though zero
    assert 0 <= graph.data.min() <= graph.data.max() <= 0.7


def test_rows_of_the_weights_have_sum_one(people):
    features = people(200, 10)
    weights = reciprocal_weights(features, nearest(features, 15), 15, reserve=Reserve())
    np.testing.assert_allclose(weights.sum(axis=1), 1)


def test_a_smaller_radius_is_a_part_of_a_greater_one(people):
    features = people(200, 10)
    wide, narrow = (jaccard_graph(features, k1=15, k2=4, eps=eps) for eps in (0.7, 0.3))
    expected = full(wide)
    expected[expected > 0.3] = 1
    np.testing.assert_array_equal(full(narrow), expected)


def test_groups_are_averaged_by_the_side(people, dense):
    features = people(240, 12)
    groups = np.where(np.random.default_rng(1).random(240) < 0.3, "infrared", "visible")
    _, distances = dense(features, 20, 6, groups)
    graph = jaccard_graph(features, k1=20, k2=6, eps=0.8, groups=groups)
    near = distances <= 0.8
    assert np.abs(full(graph)[near] - distances[near]).max() < 1e-5
    assert np.abs(full(graph) - full(jaccard_graph(features, k1=20, k2=6, eps=0.8))).max() > 0.01


def test_one_group_is_the_plain_mean_and_one_against_three_weighs_half():
    from vireid.clustering.jaccard import _shares

    near = np.array([[0, 1, 2, 3], [1, 2, 3, 3], [2, 1, 3, 0], [3, 2, 1, 0]])
    shares = _shares(near, np.array(["visible", "infrared", "infrared", "infrared"]))
    np.testing.assert_allclose(shares[0], [1 / 2, 1 / 6, 1 / 6, 1 / 6])
    np.testing.assert_allclose(shares[1], [1 / 4, 1 / 4, 1 / 4, 1 / 4])


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_fewer_pictures_than_neighbours(people, dense, count):
    features = people(count, 2)
    _, distances = dense(features, 30, 6)
    np.testing.assert_allclose(
        full(jaccard_graph(features, k1=30, k2=6, eps=0.9)), np.where(distances <= 0.9, distances, 1), atol=1e-6
    )


def test_no_pictures():
    graph = jaccard_graph(np.empty((0, 8), np.float32), k1=30, k2=6, eps=0.6)
    assert graph.shape == (0, 0)
    assert len(dbscan(graph, eps=0.6, min_samples=4)) == 0


def test_more_copies_than_neighbours_are_one_cluster(people):
    copies = np.repeat(people(1, 1, seed=5), 100, axis=0)
    features = np.concatenate([people(60, 3, spread=0.3), copies])
    graph = jaccard_graph(features, k1=30, k2=6, eps=0.6)
    assert np.isfinite(graph.data).all()
    labels = dbscan(graph, eps=0.6, min_samples=4)
    assert len(set(labels[60:].tolist())) == 1
    assert labels[60] >= 0
    assert labels[60] not in labels[:60]


def test_a_handful_of_copies_are_at_distance_zero(people):
    features = np.repeat(people(30, 30, spread=0.1), 5, axis=0)
    graph = jaccard_graph(features, k1=5, k2=1, eps=0.5)
    assert graph.nnz == 150 * 5
    assert graph.data.max() < 1e-6


def test_neighbours_of_another_index_may_be_given(people):
    features = people(150, 10)
    ranked = nearest(features, 25)
    given = jaccard_graph(features, k1=20, k2=6, eps=0.6, neighbours=ranked.astype(np.int64))
    own = jaccard_graph(features, k1=20, k2=6, eps=0.6)
    np.testing.assert_array_equal(given.toarray(), own.toarray())


def test_threads_and_blocks_change_nothing(people, monkeypatch):
    features = people(600, 30)
    whole = jaccard_graph(features, k1=20, k2=6, eps=0.6)
    monkeypatch.setattr("vireid.clustering.neighbours._ROWS", 7)
    small = jaccard_graph(features, k1=20, k2=6, eps=0.6)
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(small, name))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k1": 0}, "k1 is 0"),
        ({"k2": 0}, "k2 is 0"),
        ({"eps": 1.0}, "eps is 1.0"),
        ({"eps": -0.1}, "eps is -0.1"),
        ({"eps": float("nan")}, "eps is nan"),
        ({"groups": [1, 2]}, "groups have shape"),
        ({"neighbours": np.zeros((40, 3), int)}, r"ask for whole numbers of shape \(40, 5\)"),
        ({"neighbours": np.full((40, 5), 40)}, "name row 40 of 40"),
        ({"neighbours": np.zeros((40, 5), int)}, "row 1 of the neighbours begins with 0"),
    ],
)
def test_misuse(people, change, message):
    with pytest.raises(UsageError, match=message):
        jaccard_graph(people(40, 4), **{"k1": 5, "k2": 2, "eps": 0.5, **change})


def test_features_must_be_unit_rows(people):
    features = people(10, 2)
    with pytest.raises(UsageError, match="row 3 of the features has length 2"):
        jaccard_graph(features * np.where(np.arange(10) == 3, 2, 1)[:, None], k1=3, k2=2, eps=0.5)
    features[4, 0] = np.nan
    with pytest.raises(UsageError, match="row 4 of the features has length nan"):
        jaccard_graph(features, k1=3, k2=2, eps=0.5)
    with pytest.raises(UsageError, match="int64"):
        jaccard_graph(np.ones((3, 1), int), k1=3, k2=2, eps=0.5)
    with pytest.raises(UsageError, match="matrix"):
        jaccard_graph(np.ones(3), k1=3, k2=2, eps=0.5)
