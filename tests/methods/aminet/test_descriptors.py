"""Intra and cross descriptors, on constants."""

import pytest
import torch

from vireid.errors import UsageError
from vireid.methods.aminet.descriptors import ByModality, cross_descriptors, intra_descriptors, refuse_unpaired

FULL = ByModality(torch.full((2, 1), 1.0), torch.full((2, 1), 2.0))
UPPER = ByModality(torch.full((2, 1), 3.0), torch.full((2, 1), 4.0))


def test_intra_descriptors_join_the_crops_of_one_picture() -> None:
    found = intra_descriptors(FULL, UPPER)
    assert found.visible.tolist() == [[1.0, 3.0]] * 2
    assert found.infrared.tolist() == [[2.0, 4.0]] * 2
    assert found.rows.tolist() == [[1.0, 3.0]] * 2 + [[2.0, 4.0]] * 2


def test_cross_descriptors_of_the_paper_join_modalities_those_of_its_code_join_crops() -> None:
    paper, official = (cross_descriptors(FULL, UPPER, form) for form in ("paper", "official"))
    assert [paper.visible.tolist(), paper.infrared.tolist()] == [[[1.0, 4.0]] * 2, [[2.0, 3.0]] * 2]
    assert [official.visible.tolist(), official.infrared.tolist()] == [[[1.0, 2.0]] * 2, [[4.0, 3.0]] * 2]


def test_rows_of_one_process_are_split_by_modality() -> None:
    found = ByModality.gathered(torch.arange(5)[:, None], 2)
    assert [part.flatten().tolist() for part in found] == [[0, 1], [2, 3, 4]]


@pytest.mark.parametrize("infrared", [[0, 0, 1], [0, 1, 0, 1]])
def test_rows_of_different_people_are_refused(infrared: list[int]) -> None:
    with pytest.raises(UsageError, match=r"set batch\.visible = batch\.infrared"):
        refuse_unpaired(ByModality(torch.tensor([0, 0, 1, 1]), torch.tensor(infrared)))
