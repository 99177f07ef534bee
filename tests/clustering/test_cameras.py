import numpy as np
import pytest
from scipy.sparse import csr_array

from vireid.clustering import refine_by_camera
from vireid.errors import UsageError

CAMERAS = np.array([1, 1, 1, 1, 2, 2])
LOCAL = np.array([0, 0, 1, -1, 5, 6])


def neighbours(graph):
    return [graph.indices[graph.indptr[row] : graph.indptr[row + 1]].tolist() for row in range(graph.shape[0])]


def test_six_pictures_before_two_cameras():
    refined = refine_by_camera(csr_array(np.ones((6, 6))), cameras=CAMERAS, local_labels=LOCAL)
    assert neighbours(refined) == [
        [0, 1, 3, 4, 5],
        [0, 1, 3, 4, 5],
        [2, 3, 4, 5],
        [0, 1, 2, 3, 4, 5],  # noise contradicts nobody
        [0, 1, 2, 3, 4],
        [0, 1, 2, 3, 5],
    ]
    again = refine_by_camera(refined, cameras=CAMERAS, local_labels=LOCAL)
    assert neighbours(again) == neighbours(refined)


def test_several_wrong_neighbours_in_a_row_all_go():
    cameras, local = np.ones(9, int), np.array([0, 1, 1, 1, 1, 1, 1, 1, 0])
    refined = refine_by_camera(csr_array(np.ones((9, 9))), cameras=cameras, local_labels=local)
    assert neighbours(refined)[0] == [0, 8]


def test_stored_zeros_are_neighbours_and_values_stay():
    graph = csr_array((np.array([0.0, 0.5, 0.7]), (np.array([0, 0, 0]), np.array([0, 2, 4]))), shape=(6, 6))
    refined = refine_by_camera(graph, cameras=CAMERAS, local_labels=LOCAL)
    assert refined.indices.tolist() == [0, 4]
    assert refined.data.tolist() == [0.0, 0.7]


def test_neighbours_of_other_cameras_alone_stay_as_they_are():
    refined = refine_by_camera(
        csr_array(np.ones((6, 2))),
        cameras=CAMERAS,
        local_labels=LOCAL,
        bank_cameras=np.array([3, 6]),
        bank_labels=np.array([0, 1]),
    )
    assert neighbours(refined) == [[0, 1]] * 6


def test_lengths_must_fit():
    with pytest.raises(UsageError, match="give 6 cameras and labels, one for each column"):
        refine_by_camera(
            csr_array(np.ones((6, 6))),
            cameras=CAMERAS,
            local_labels=LOCAL,
            bank_cameras=np.array([1]),
            bank_labels=LOCAL,
        )
