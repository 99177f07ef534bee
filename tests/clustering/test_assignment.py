import numpy as np
import pytest

from vireid.clustering import centroids, match_clusters, region_similarity
from vireid.errors import UsageError


def argmax_loop(scores, mu):
    """Take the greatest cell, strike out what is full, until all visible clusters are matched."""
    scores, result, used = scores.copy(), np.full(len(scores), -1), np.zeros(scores.shape[1], int)
    while (result < 0).any() and np.isfinite(scores).any():
        i, j = np.unravel_index(scores.argmax(), scores.shape)
        result[i], used[j] = j, used[j] + 1
        scores[i] = -np.inf
        if used[j] == mu:
            scores[:, j] = -np.inf
    return result


def lists(arrays):
    return [each.tolist() for each in arrays]


def test_a_hand_example():
    scores = np.array([[0.9, 0.2], [0.8, 0.7], [0.6, 0.5]])
    two = match_clusters(scores, mu=2)
    assert two.to_infrared.tolist() == [0, 0, 1]
    assert lists(two.to_visible) == [[0, 1], [2]]
    assert lists(two.linked) == [[0], [0], [1]]
    one = match_clusters(scores, mu=1)
    assert one.to_infrared.tolist() == [0, 1, -1]
    three = match_clusters(scores, mu=3)
    assert three.to_infrared.tolist() == [0, 0, 0]
    assert lists(three.to_visible) == [[0, 1, 2], [1]]  # infrared 1 was left over and takes its best
    assert lists(three.linked) == [[0], [0, 1], [0]]
    assert lists(match_clusters(scores, mu=3, cover_infrared=False).to_visible) == [[0, 1, 2], []]


@pytest.mark.parametrize("mu", [1, 2, 3])
def test_greedy_equals_the_argmax_loop(mu):
    rng = np.random.default_rng(mu)
    for _ in range(100):
        scores = rng.standard_normal(rng.integers(1, 20, 2))
        found = match_clusters(scores, mu=mu)
        np.testing.assert_array_equal(found.to_infrared, argmax_loop(scores, mu))
        assert np.bincount(found.to_infrared[found.to_infrared >= 0], minlength=scores.shape[1]).max() <= mu


@pytest.mark.parametrize("matcher", ["greedy", "hungarian"])
def test_a_dominant_diagonal_is_the_identity(matcher):
    scores = np.random.default_rng(0).random((30, 30)) + 2 * np.eye(30)
    assert match_clusters(scores, mu=1, matcher=matcher).to_infrared.tolist() == list(range(30))


@pytest.mark.parametrize("matcher", ["greedy", "hungarian"])
def test_too_many_visible_clusters_leave_exactly_the_rest(matcher):
    scores = np.random.default_rng(0).random((50, 12))
    found = match_clusters(scores, mu=3, matcher=matcher)
    assert (found.to_infrared < 0).sum() == 50 - 36
    assert [len(each) for each in found.to_visible] == [3] * 12
    for partners in found.to_visible:
        column = scores[partners, found.to_infrared[partners[0]]]
        assert (np.diff(column) <= 0).all()


def test_hungarian_has_the_greater_sum():
    scores = np.array([[0.9, 0.8], [0.85, 0.1]])
    assert match_clusters(scores, mu=1).to_infrared.tolist() == [0, 1]
    assert match_clusters(scores, mu=1, matcher="hungarian").to_infrared.tolist() == [1, 0]
    both = match_clusters(scores, mu=2, matcher="hungarian")
    assert both.to_infrared.tolist() == [0, 0]


def test_more_infrared_clusters_are_covered_up_to_mu():
    scores = np.random.default_rng(1).random((4, 20))
    found = match_clusters(scores, mu=3)
    assert (found.to_infrared >= 0).all()
    assert sum(len(each) for each in found.to_visible) == 4 + 12  # four places are left without a partner
    own = [partners.tolist() for partners in found.to_visible]
    assert np.bincount(np.concatenate(found.to_visible), minlength=4).max() <= 1 + 3
    assert all(len(each) <= 1 for each in own)
    for visible, infrared in enumerate(found.to_infrared.tolist()):
        assert own[infrared] == [visible]
        assert found.linked[visible][0] == infrared


def test_covering_takes_each_visible_cluster_once():
    scores = np.array([[0.9, 0.8, 0.7], [0.5, 0.4, 0.3], [0.5, 0.4, 0.3]])
    found = match_clusters(scores, mu=3)
    assert found.to_infrared.tolist() == [0, 0, 0]
    assert lists(found.to_visible) == [[0, 1, 2], [0], [1]]


@pytest.mark.parametrize("matcher", ["greedy", "hungarian"])
def test_dissimilar_clusters_stay_alone(matcher):
    scores = np.array([[0.9, 0.1], [0.2, 0.3], [0.1, 0.1]])
    found = match_clusters(scores, mu=2, matcher=matcher, min_similarity=0.25)
    assert found.to_infrared.tolist() == [0, 1, -1]
    nothing = match_clusters(scores, mu=2, matcher=matcher, min_similarity=2)
    assert nothing.to_infrared.tolist() == [-1, -1, -1]
    assert lists(nothing.to_visible) == [[], []]
    assert lists(nothing.linked) == [[], [], []]


@pytest.mark.parametrize("matcher", ["greedy", "hungarian"])
@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_no_clusters_on_a_side(shape, matcher):
    found = match_clusters(np.empty(shape), matcher=matcher)
    assert found.to_infrared.tolist() == [-1] * shape[0]
    assert lists(found.to_visible) == [[]] * shape[1]


def test_the_limit_by_itself_gives_all_a_place():
    rng = np.random.default_rng(0)
    for visible, mu in ((10, 1), (11, 2), (30, 3), (41, 4), (99, 4)):
        found = match_clusters(rng.random((visible, 10)))
        assert found.mu == mu
        assert (found.to_infrared < 0).sum() == max(0, visible - 40)


def test_equal_similarities_go_by_number():
    assert match_clusters(np.ones((4, 2)), mu=2).to_infrared.tolist() == [0, 0, 1, 1]


def draw(count, clusters, width, seed):
    rng = np.random.default_rng(seed)
    labels = np.append(np.arange(clusters), rng.integers(-1, clusters, size=count - clusters))
    return rng.standard_normal((count, width)), labels


def test_one_region_is_the_cosine_of_centroids():
    visible, visible_labels = draw(40, 5, 12, 0)
    infrared, infrared_labels = draw(30, 4, 12, 1)
    visible /= np.linalg.norm(visible, axis=1, keepdims=True)
    infrared /= np.linalg.norm(infrared, axis=1, keepdims=True)
    expected = centroids(visible, visible_labels) @ centroids(infrared, infrared_labels).T
    np.testing.assert_allclose(region_similarity(visible, visible_labels, infrared, infrared_labels), expected)


def test_order_and_scale_of_regions_do_not_matter():
    visible, visible_labels = draw(40, 5, 12, 0)
    infrared, infrared_labels = draw(30, 4, 12, 1)
    expected = region_similarity(visible, visible_labels, infrared, infrared_labels, regions=3)
    by_hand = np.zeros((5, 4))
    for region in range(3):
        sides = []
        for features, labels in ((visible, visible_labels), (infrared, infrared_labels)):
            part = features[:, 4 * region : 4 * region + 4]
            part = part / np.linalg.norm(part, axis=1, keepdims=True)
            means = np.stack([part[labels == k].mean(axis=0) for k in range(labels.max() + 1)])
            sides.append(means / np.linalg.norm(means, axis=1, keepdims=True))
        by_hand += sides[0] @ sides[1].T
    np.testing.assert_allclose(expected, by_hand, atol=1e-12)
    order = np.r_[8:12, 0:4, 4:8]
    turned = region_similarity(visible[:, order], visible_labels, infrared[:, order], infrared_labels, regions=3)
    np.testing.assert_allclose(turned, expected)
    rows = np.random.default_rng(3).permutation(40)
    turned = region_similarity(visible[rows], visible_labels[rows], infrared, infrared_labels, regions=3)
    np.testing.assert_allclose(turned, expected)
    scaled = visible.copy()
    scaled[7, 4:8] *= 9
    turned = region_similarity(scaled, visible_labels, infrared, infrared_labels, regions=3)
    np.testing.assert_allclose(turned, expected)


def test_centroids_leave_noise_out():
    features = np.array([[3.0, 0], [1, 0], [0, 2], [9, 9]])
    np.testing.assert_allclose(centroids(features, np.array([0, 0, 1, -1])), [[1, 0], [0, 1]])
    np.testing.assert_allclose(centroids(np.array([[1.0, 0], [0, 1]]), np.array([0, 0])), [[0.5**0.5] * 2])
    assert centroids(features, np.full(4, -1)).shape == (0, 2)


def test_tensors_are_taken_too():
    torch = pytest.importorskip("torch")
    visible, labels = draw(40, 5, 12, 0)
    found = region_similarity(torch.from_numpy(visible), labels, torch.from_numpy(visible), labels, regions=2)
    np.testing.assert_allclose(found, region_similarity(visible, labels, visible, labels, regions=2))


def test_misuse():
    scores = np.ones((2, 2))
    with pytest.raises(UsageError, match="mu is 0"):
        match_clusters(scores, mu=0)
    with pytest.raises(UsageError, match="mu is 'atuo'"):
        match_clusters(scores, mu="atuo")
    with pytest.raises(UsageError, match="did you mean 'greedy'"):
        match_clusters(scores, matcher="gredy")
    with pytest.raises(UsageError, match="not a number"):
        match_clusters(np.full((2, 2), np.nan))
    features, labels = np.ones((4, 6)), np.array([0, 0, 2, 2])
    with pytest.raises(UsageError, match="clusters up to 2"):
        centroids(features, labels)
    with pytest.raises(UsageError, match="4 regions do not divide a feature of 6"):
        region_similarity(features, labels, features, labels, regions=4)
    with pytest.raises(UsageError, match="widths must be equal"):
        region_similarity(features, labels, features[:, :3], labels)
    with pytest.raises(UsageError, match=r"must be \(N, D\) and \(N,\)"):
        centroids(features, labels[:3])
