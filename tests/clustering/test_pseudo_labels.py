import numpy as np
import pytest

from vireid.clustering import (
    adjusted_rand_index,
    choose_eps,
    choose_k1,
    choose_mu,
    cluster,
    cluster_each,
    cluster_jointly,
    dbscan,
    jaccard_graph,
    sparse_silhouette,
)
from vireid.errors import UsageError


def dense_silhouette(distances, labels):
    """One picture after the other."""
    scores = np.zeros(len(labels))
    for i, own in enumerate(labels):
        mates = (labels == own) & (np.arange(len(labels)) != i)
        others = [distances[i, labels == k].mean() for k in range(labels.max() + 1) if k != own]
        if own < 0 or not mates.any() or not others:
            continue
        a, b = distances[i, mates].mean(), min(others)
        scores[i] = (b - a) / max(a, b) if max(a, b) > 0 else 0
    return scores.mean()


@pytest.mark.parametrize("eps", [0.3, 0.5, 0.7])
def test_silhouette_equals_the_dense_one(people, eps):
    graph = jaccard_graph(people(200, 12, spread=1.2), k1=15, k2=4, eps=0.7)
    distances = np.ones(graph.shape)
    coo = graph.tocoo()
    distances[coo.row, coo.col] = coo.data
    labels = dbscan(graph, eps=eps, min_samples=4)
    assert labels.max() > 0
    assert sparse_silhouette(graph, labels) == pytest.approx(dense_silhouette(distances, labels))


def test_silhouette_of_what_is_not_two_clusters(people):
    graph = jaccard_graph(people(50, 3), k1=10, k2=3, eps=0.7)
    assert sparse_silhouette(graph, np.full(50, -1)) == 0
    assert sparse_silhouette(graph, np.zeros(50, int)) == 0
    assert sparse_silhouette(graph, np.r_[0, 1, np.full(48, -1)]) == 0  # clusters of one


def test_the_chosen_radius_parts_people_where_the_usual_one_joins_them(people):
    """Ten pictures a person, thirty neighbours."""
    features = people(400, 40, width=16, spread=0.7)
    person = np.arange(400) % 40
    usual, chosen = (cluster(features, eps=eps) for eps in (0.6, "auto"))
    assert chosen.eps < 0.6
    assert chosen.silhouette == max(value for _, value in chosen.tried)
    assert adjusted_rand_index(chosen.labels, person) > adjusted_rand_index(usual.labels, person)


def test_chosen_neighbours_follow_the_size_of_people(people):
    few, many = (cluster(people(600, count, spread=0.5), k1="auto", eps="auto") for count in (40, 12))
    assert (few.k1, many.k1) == (15, 40)
    assert adjusted_rand_index(few.labels, np.arange(600) % 40) > 0.99


def test_choices_by_hand():
    labels = np.repeat([0, 1, 2, 3, -1], [20, 20, 4, 4, 50])
    assert choose_k1(labels) == 20  # the median picture's; the median cluster has 12
    assert choose_k1(np.repeat([0, 1], 500)) == 40
    assert choose_k1(np.repeat([0, 1], 3)) == 10
    assert choose_k1(np.full(9, -1)) == 10
    assert [choose_mu(*sizes) for sizes in ((400, 400), (1095, 400), (9000, 400), (3, 9), (0, 0), (5, 0))] == [
        1,
        3,
        4,
        1,
        1,
        1,
    ]


def test_a_wanted_number_of_clusters_moves_the_choice(people):
    graph = jaccard_graph(people(300, 30, width=16), k1=20, k2=6, eps=0.75)
    free = choose_eps(graph, min_samples=4)
    most = max(int(dbscan(graph, eps=eps, min_samples=4).max()) + 1 for eps, _ in free.tried)
    bound = choose_eps(graph, min_samples=4, at_least=most)
    assert bound.labels.max() + 1 == most
    impossible = choose_eps(graph, min_samples=4, at_least=10**6)
    assert impossible.eps == free.eps


def test_nothing_to_choose_by_gives_the_usual_radius():
    apart = cluster(np.eye(20, dtype=np.float32), k1=3, k2=1, eps="auto", min_samples=10)
    assert (apart.labels == -1).all()
    assert (apart.eps, apart.silhouette, apart.clusters) == (0.6, 0, 0)


@pytest.mark.parametrize("count", [0, 1, 3, 5])
@pytest.mark.parametrize("auto", [False, True])
def test_few_pictures(people, count, auto):
    features = people(count, 1, spread=0.01) if count else np.empty((0, 8), np.float32)
    found = cluster(features, **({"k1": "auto", "eps": "auto"} if auto else {}))
    assert len(found.labels) == count
    if count < 4:
        assert (found.labels == -1).all()
        assert found.clusters == 0
    elif not auto:
        assert (found.labels == 0).all()


def test_too_few_clusters_widen_the_radius(people):
    features = people(300, 30, spread=1.0)
    plain = cluster(features, k1=15, k2=4, eps=0.35)
    wide = cluster(features, k1=15, k2=4, eps=0.35, at_least=plain.clusters + 1)
    assert wide.clusters > plain.clusters
    assert wide.eps in {0.35 * 1.1**times for times in (1, 2, 3)}
    never = cluster(features, k1=15, k2=4, eps=0.9, at_least=10**6)
    assert never.eps < 1


def test_too_few_clusters_of_joined_people_narrow_the_radius(people):
    features = people(300, 30)
    joined = cluster(features, k1=30, eps=0.72)
    assert (joined.labels < 0).mean() < 0.5
    apart = cluster(features, k1=30, eps=0.72, at_least=joined.clusters + 1)
    assert apart.clusters > joined.clusters
    assert any(apart.eps == pytest.approx(0.72 / 1.1**times) for times in (1, 2, 3))


def test_clusters_stay_within_their_group(people):
    features, cameras = people(240, 6, spread=0.4), np.repeat(["b", "a"], 120)
    labels = cluster_each(features, cameras, k1=10, k2=3)
    assert labels.max() + 1 == len(set(labels[labels >= 0].tolist()))
    assert not set(labels[:120].tolist()) & set(labels[120:].tolist()) - {-1}
    own = cluster(features[120:], k1=10, k2=3).labels
    np.testing.assert_array_equal(labels[120:], own)  # groups in order of their names
    np.testing.assert_array_equal(cluster_each(features[:0], [], k1=10, k2=3), [])


def test_the_same_twice(people):
    first, second = (cluster(people(300, 30), k1="auto", eps="auto") for _ in range(2))
    np.testing.assert_array_equal(first.labels, second.labels)
    assert first.tried == second.tried


def test_misuse(people):
    features = people(20, 2)
    with pytest.raises(UsageError, match="eps is 'atuo'; give a number or 'auto'"):
        cluster(features, eps="atuo")
    with pytest.raises(UsageError, match="k1 is 'many'"):
        cluster(features, k1="many")
    with pytest.raises(UsageError, match=r"eps is 1\.5"):
        cluster(features, eps=1.5)
    with pytest.raises(UsageError, match="radii is empty"):
        choose_eps(jaccard_graph(features, k1=5, k2=2, eps=0.5), min_samples=4, radii=())
    with pytest.raises(UsageError, match="groups have shape"):
        cluster_each(features, [1, 2])


def test_joint_distances_give_each_side_clusters_of_its_own() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(5, 16))
    sides = []
    for count in (8, 12):
        side = np.repeat(centres, count, axis=0) + 0.1 * rng.normal(size=(5 * count, 16))
        sides.append(side / np.linalg.norm(side, axis=1, keepdims=True))
    found = cluster_jointly(sides, k1=20, k2=6)
    for count, side, mixed in zip((8, 12), found.sides, found.mixed, strict=True):
        np.testing.assert_array_equal(side.labels, np.repeat(np.arange(5), count))
        np.testing.assert_array_equal(mixed, side.labels, "everybody is seen on both sides")


def test_mixed_clusters_have_members_on_every_side() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(5, 16))
    sides = []
    for shown in ([0, 1, 2], [1, 2, 3, 4]):
        side = np.repeat(centres[shown], 10, axis=0) + 0.1 * rng.normal(size=(10 * len(shown), 16))
        sides.append(side / np.linalg.norm(side, axis=1, keepdims=True))
    visible, infrared = cluster_jointly(sides, k1=20, k2=6).mixed
    np.testing.assert_array_equal(visible, np.repeat([-1, 0, 1], 10))
    np.testing.assert_array_equal(infrared, np.repeat([0, 1, -1, -1], 10))
    alone = cluster_jointly([sides[0], sides[0][:0]], k1=20, k2=6)
    assert (alone.mixed[0] == -1).all()
    assert len(alone.mixed[1]) == 0
