import numpy as np

from vireid.clustering import ClusterMatches
from vireid.methods.mcf.merging import groups, merge_targets


def matches(to_infrared: list[int], to_visible: list[list[int]]) -> ClusterMatches:
    return ClusterMatches(
        to_infrared=np.array(to_infrared), to_visible=tuple(np.array(own, np.int64) for own in to_visible), mu=3
    )


def lists(found: tuple[np.ndarray, ...]) -> list[list[int]]:
    return [own.tolist() for own in found]


def test_visible_clusters_of_one_infrared_cluster_belong_together():
    visible, infrared = groups(matches([0, 1, 0, -1], [[2, 0], [1]]))
    assert lists(visible) == [[0, 2], [1], [0, 2], [3]]
    assert lists(infrared) == [[0], [1]]


def test_a_cover_joins_infrared_clusters_and_components_go_further():
    chained = matches([0, 0, 1], [[0, 1], [2, 1], [2]])  # infrared 1 also covers visible 1, infrared 2 visible 2
    visible, infrared = groups(chained)
    assert lists(visible) == [[0, 1], [0, 1, 2], [1, 2]]
    assert lists(infrared) == [[0, 1], [0, 1, 2], [1, 2]]
    whole = groups(chained, closure="components")
    assert lists(whole[0]) == lists(whole[1]) == [[0, 1, 2]] * 3


def test_a_cluster_alone_is_pulled_nowhere_and_two_alternate():
    alone, pair = groups(matches([0, 1, 1], [[0], [1, 2]]))[0][:1], groups(matches([0, 0], [[0, 1]]))[0]
    assert merge_targets(alone, 5).tolist() == [-1]
    assert [merge_targets(pair, epoch).tolist() for epoch in range(3)] == [[-1, 0], [1, -1], [-1, 0]]


def test_three_take_turns_and_nobody_is_pulled_to_itself():
    trio = groups(matches([0, 0, 0], [[2, 0, 1]]))[0]
    targets = [merge_targets(trio, epoch).tolist() for epoch in range(3)]
    assert targets == [[-1, 0, 0], [1, -1, 1], [2, 2, -1]]


def test_nobody_is_no_error():
    assert groups(matches([], [])) == ((), ())
    assert merge_targets((), 0).tolist() == []


def test_members_are_visited_once_and_nobody_meets_itself_whatever_the_matches():
    rng = np.random.default_rng(0)
    for _ in range(20):
        visible, infrared = rng.integers(1, 9, size=2)
        to_infrared = rng.integers(-1, infrared, size=visible)
        to_visible = [rng.permutation(np.flatnonzero(to_infrared == j)).tolist() for j in range(infrared)]
        for side in groups(matches(to_infrared.tolist(), to_visible)):
            for own, group in enumerate(side):
                visited = [int(merge_targets(side, epoch)[own]) for epoch in range(len(group))]
                assert sorted(target if target >= 0 else own for target in visited) == group.tolist()
                assert own not in visited
