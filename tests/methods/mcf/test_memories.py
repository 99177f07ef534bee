import numpy as np
import pytest

from vireid.clustering import ClusterMatches
from vireid.methods.mcf.memories import first_partners, mixed_memory, shared_memories

VISIBLE = np.array([[1.0, 0, 0], [1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]])
INFRARED = np.array([[0, 0, 1.0], [0, 1.0, 0], [0, 1.0, 0], [0, 1.0, 0]])
VISIBLE_LABELS, INFRARED_LABELS = np.array([0, 0, 1, -1]), np.array([0, 1, 1, 1])


def matches(to_infrared: list[int], to_visible: list[list[int]]) -> ClusterMatches:
    return ClusterMatches(
        to_infrared=np.array(to_infrared), to_visible=tuple(np.array(own, np.int64) for own in to_visible), mu=2
    )


def unit(*values: float) -> np.ndarray:
    return np.array(values) / np.linalg.norm(values)


def test_means_over_pictures_of_both_modalities_by_hand():
    found = shared_memories(
        VISIBLE, VISIBLE_LABELS, INFRARED, INFRARED_LABELS, matches([0, 0], [[0, 1], []]), balance="instance"
    )
    np.testing.assert_allclose(found[0], [unit(2, 0, 1), [0, 1, 0]])
    np.testing.assert_allclose(found[1], [unit(2, 1, 1), [0, 1, 0]])


def test_balanced_by_modality_a_mean_counts_as_much_as_the_other():
    found = shared_memories(
        VISIBLE, VISIBLE_LABELS, INFRARED, INFRARED_LABELS, matches([0, 0], [[0, 1], []]), balance="modality"
    )
    np.testing.assert_allclose(found[0], [unit(1, 0, 1), [0, 1, 0]])
    np.testing.assert_allclose(found[1], [unit(2 / 3, 1 / 3, 1), [0, 1, 0]])


@pytest.mark.parametrize("balance", ["instance", "modality"])
def test_without_matches_they_are_the_centroids(balance):
    alone = matches([-1, -1], [[], []])
    np.testing.assert_array_equal(first_partners(alone), [-1, -1])
    found = shared_memories(VISIBLE, VISIBLE_LABELS, INFRARED, INFRARED_LABELS, alone, balance=balance)
    np.testing.assert_allclose(found[0], [[1, 0, 0], [0, 1, 0]])
    np.testing.assert_allclose(found[1], [[0, 0, 1], [0, 1, 0]])


def test_a_mixed_memory_is_the_mean_of_the_modalities_means():
    found = mixed_memory([VISIBLE, INFRARED], [np.array([0, 0, 1, -1]), np.array([1, 0, 0, 0])])
    np.testing.assert_allclose(found, [unit(1, 1, 0), unit(0, 1, 1)])
    nobody = mixed_memory([VISIBLE, INFRARED], [np.full(4, -1), np.full(4, -1)])
    assert nobody.shape == (0, 3)
