import random

import numpy as np
import pandas as pd

from vireid.data.sampling import draw_by_seed, gallery_by_seed, sightings


def test_first_choices_of_seed_zero():
    assert draw_by_seed(0, [25, 25, 25]) == [[12], [24], [13]]


def test_equals_the_global_generator_and_leaves_it_alone():
    sizes = [3, 17, 1, 40, 25, 8]
    random.seed(7)
    by_global = [[random.choice(range(size))] for size in sizes]
    random.seed(99)
    before = random.getstate()
    assert draw_by_seed(7, sizes) == by_global
    assert draw_by_seed(7, sizes, shots=4) == draw_by_seed(7, sizes, shots=4)
    assert random.getstate() == before


def test_several_shots_are_distinct_ascending_and_at_most_all():
    drawn = draw_by_seed(3, [30, 4, 10], shots=10)
    assert [len(positions) for positions in drawn] == [10, 4, 10]
    for positions, size in zip(drawn, [30, 4, 10], strict=True):
        assert positions == sorted(set(positions))
        assert 0 <= positions[0] <= positions[-1] < size


def test_sightings_are_ordered_by_identity_then_camera_then_row():
    images = pd.DataFrame({"identity": [5, 2, 2, 5, 2, 9], "camera": [1, 4, 1, 1, 4, 2]})
    groups = sightings(images, np.array([4, 0, 1, 2, 3]))
    assert list(groups) == [(2, 1), (2, 4), (5, 1)]
    assert [group.tolist() for group in groups.values()] == [[2], [1, 4], [0, 3]]


def test_nothing_to_draw_from():
    images = pd.DataFrame({"identity": [1], "camera": [1]})
    assert sightings(images, np.empty(0, np.int64)) == {}
    assert [len(gallery) for gallery in gallery_by_seed([])] == [0] * 10
