import numpy as np
import pytest
from scipy.sparse import csr_array

from vireid.clustering import dbscan, jaccard_graph
from vireid.errors import UsageError


def line(*places):
    """Distances of points on a line, all stored."""
    at = np.array(places, float)
    return csr_array(np.abs(at[:, None] - at) + 0.0)


def with_zeros(matrix):
    """All entries stored, zeros too."""
    row, column = np.indices(matrix.shape)
    return csr_array((np.asarray(matrix).ravel(), (row.ravel(), column.ravel())), shape=matrix.shape)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("eps", "min_samples"), [(0.3, 4), (0.6, 4), (0.6, 1), (0.7, 10), (0.05, 2)])
def test_equals_scikit_learn(people, seed, eps, min_samples):
    cluster = pytest.importorskip("sklearn.cluster")
    graph = jaccard_graph(people(400, 40, spread=1.2, seed=seed), k1=15, k2=4, eps=0.7)
    expected = cluster.DBSCAN(eps=eps, min_samples=min_samples, metric="precomputed").fit_predict(graph)
    np.testing.assert_array_equal(dbscan(graph, eps=eps, min_samples=min_samples), expected)


def test_a_hand_example():
    # 10, 11 and 12 make 11 core; 20 and 21 are too few; 13 is near 12, which is not core.
    graph = with_zeros(np.abs(np.subtract.outer([20, 10, 11, 12, 21, 13.5], [20, 10, 11, 12, 21, 13.5])))
    assert dbscan(graph, eps=1, min_samples=3).tolist() == [-1, 0, 0, 0, -1, -1]
    assert dbscan(graph, eps=1, min_samples=2).tolist() == [0, 1, 1, 1, 0, -1]
    assert dbscan(graph, eps=1.5, min_samples=2).tolist() == [0, 1, 1, 1, 0, 1]


def test_a_border_picture_joins_the_first_cluster():
    at = np.array([2.0, 2.1, 2.2, 1.1, 0.0, 0.1, 0.2])  # the fourth is within reach of one core of either side
    labels = dbscan(with_zeros(np.abs(np.subtract.outer(at, at))), eps=0.95, min_samples=4)
    assert labels.tolist() == [0, 0, 0, 0, 1, 1, 1]


def test_the_diagonal_need_not_be_stored(people):
    graph = jaccard_graph(people(100, 8), k1=10, k2=3, eps=0.6)
    bare = graph.tocoo()
    off = bare.row != bare.col
    bare = csr_array((bare.data[off], (bare.row[off], bare.col[off])), shape=graph.shape)
    np.testing.assert_array_equal(dbscan(bare, eps=0.6, min_samples=4), dbscan(graph, eps=0.6, min_samples=4))


def test_copies_at_distance_zero_are_neighbours():
    assert dbscan(with_zeros(np.zeros((4, 4))), eps=0, min_samples=4).tolist() == [0, 0, 0, 0]


def test_no_cluster_at_all():
    assert dbscan(line(1, 5, 9), eps=1, min_samples=2).tolist() == [-1, -1, -1]


def test_misuse():
    graph = line(1, 2, 3)
    with pytest.raises(UsageError, match="eps is -1"):
        dbscan(graph, eps=-1, min_samples=4)
    with pytest.raises(UsageError, match="min_samples is 0"):
        dbscan(graph, eps=1, min_samples=0)
    with pytest.raises(UsageError, match="square"):
        dbscan(graph[:2], eps=1, min_samples=4)
    with pytest.raises(UsageError, match="not symmetric"):
        dbscan(csr_array(np.array([[0, 0.5], [0, 0]])), eps=1, min_samples=4)
