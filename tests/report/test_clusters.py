import numpy as np

from vireid.report.sections.clusters import label_series, split_people, wrong_merges

LABELS = np.array([0, 0, 1, 1, 2, -1, 2, 3])
PEOPLE = np.array([7, 7, 7, 8, 8, 8, 9, 8])


def test_people_in_pieces_and_people_in_one_cluster_by_hand() -> None:
    assert split_people(LABELS, PEOPLE) == [8, 7], "8 is in three clusters, 7 in two, noise is none"
    assert wrong_merges(LABELS, PEOPLE) == [1, 2]
    assert split_people(np.full(3, -1), np.arange(3)) == wrong_merges(np.full(3, -1), np.arange(3)) == []


def test_figures_go_by_epoch_and_unknown_ones_are_left_out() -> None:
    records = [
        {"step": 0, "labels": {"visible": {"clusters": 3, "ari": None}}},
        {"step": 0, "loss": 1.0},
        {"step": 5, "labels": {"visible": {"clusters": 4, "ari": 0.5}, "matched": {"precision": 0.25}}},
    ]
    assert label_series(records) == {
        "clusters": {"visible": ([0, 1], [3, 4])},
        "ari": {"visible": ([1], [0.5])},
        "precision": {"matched": ([1], [0.25])},
    }
