"""Teaching vectors the order of pair scores."""

import math

import pytest
import torch
from torch.nn import functional as F

from vireid.losses.distillation import pair_distillation, similarity_distillation, vector_distillation


def test_by_hand_and_zero_where_the_orders_agree():
    logits = torch.tensor([[math.log(3.0), 0.0], [0.0, math.log(3.0)]])
    # rows and columns: 3/4 and 1/4 against 1/2 and 1/2
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert pair_distillation(logits, torch.zeros(2, 2), temperature=0.5).item() == pytest.approx(expected)
    assert pair_distillation(logits, logits / 4, temperature=0.25).item() == pytest.approx(0.0, abs=1e-6)


def test_only_the_vectors_learn():
    logits, cosines = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4, requires_grad=True)
    pair_distillation(logits, cosines, temperature=0.1).backward()
    assert logits.grad is None
    assert cosines.grad is not None


def test_pairs_that_were_not_looked_at_do_not_count():
    generator = torch.Generator().manual_seed(0)
    logits, cosines = (torch.randn(3, 3, generator=generator) for _ in range(2))
    looked = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    cosines.requires_grad_()
    found = pair_distillation(logits, cosines, temperature=0.5, looked=looked)
    # a row and a column of one pair have nothing to be taught
    expected = pair_distillation(logits[:2, :2], cosines[:2, :2], temperature=0.5) * 2 / 3
    torch.testing.assert_close(found, expected)
    found.backward()
    assert (cosines.grad[~looked] == 0).all()
    assert cosines.grad.isfinite().all()


def rows(count: int, width: int, seed: int) -> torch.Tensor:
    return F.normalize(torch.randn(count, width, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_vectors_cost_what_their_angle_is_whatever_their_length():
    teacher = torch.eye(3)[:2]
    assert float(vector_distillation(5.0 * teacher, teacher)) == pytest.approx(0.0, abs=1e-6)
    assert float(vector_distillation(torch.eye(3)[[2, 2]], teacher)) == pytest.approx(1.0)
    assert float(vector_distillation(-teacher, teacher)) == pytest.approx(2.0)


def test_likeness_is_taught_between_spaces_of_any_width():
    teacher = rows(6, 8, 0)
    turned = torch.cat([teacher.flip(1), torch.zeros(6, 3)], dim=1)
    assert float(similarity_distillation(turned, teacher, temperature=0.1)) == pytest.approx(0.0, abs=1e-6)
    student = rows(6, 4, 1).requires_grad_(True)
    found = similarity_distillation(student, teacher.requires_grad_(True), temperature=0.1)
    expected = 0.0
    for i in range(6):
        others = [j for j in range(6) if j != i]
        theirs = F.softmax((teacher.detach()[others] @ teacher.detach()[i]) / 0.1, dim=0)
        own = F.log_softmax((student.detach()[others] @ student.detach()[i]) / 0.1, dim=0)
        expected += float((theirs * (theirs.log() - own)).sum()) / 6
    assert float(found.detach()) == pytest.approx(expected, rel=1e-5)
    found.backward()
    assert student.grad.abs().sum() > 0
    assert teacher.grad is None
