"""Losses on parts, against values worked out by hand and plain loops."""

import pytest
import torch

from vireid.losses.part_alignment import (
    divergence,
    part_aligned_centre_loss,
    part_centre_loss,
    region_overlap,
    unit_parts,
)


def at(*degrees: float) -> torch.Tensor:
    """Unit vectors (N, 1, 2) at angles."""
    angle = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    return torch.stack([angle.cos(), angle.sin()], dim=1)[:, None]


def aligned(own: tuple, crossed: tuple, labels: tuple, margin: float = 0.6) -> float:
    return float(part_aligned_centre_loss(own, crossed, labels, margin=margin))


def test_aligned_parts_of_distant_people_cost_nothing() -> None:
    parts, labels = at(0, 0, 90, 90), torch.tensor([3, 3, 8, 8])
    assert aligned((parts, parts), (parts, parts), (labels, labels)) == pytest.approx(0, abs=1e-12)


def test_centres_too_close_cost_what_lacks_to_the_margin() -> None:
    gap = torch.rad2deg(2 * torch.asin(torch.tensor(0.1, dtype=torch.float64)))  # a chord of 0.2
    parts, labels = at(0, 0, float(gap), float(gap)), torch.tensor([0, 0, 1, 1])
    # Each of the three kinds of pair has two ordered pairs, and each of them lacks 0.4.
    assert aligned((parts, parts), (parts, parts), (labels, labels)) == pytest.approx(3 * 0.4)


def test_part_alignment_is_a_plain_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([4, 1, 4, 1, 7]), torch.tensor([7, 4, 1])
    own, crossed = (
        tuple(torch.randn(len(of), 3, 6, generator=generator, dtype=torch.float64) for of in labels) for _ in range(2)
    )
    total = 0.0
    for part in range(3):
        centres = [
            {int(i): unit_parts(side)[of == i, part].mean(dim=0) for i in of.unique()}
            for side, of in zip(own, labels, strict=True)
        ]
        for side, of, centre in zip(crossed, labels, centres, strict=True):
            total += sum(float((unit_parts(side)[n, part] - centre[int(i)]).norm()) for n, i in enumerate(of)) / len(of)
        for a, b in ((0, 1), (1, 1), (0, 0)):
            pairs = [(i, j) for i in (1, 4, 7) for j in (1, 4, 7) if i != j]
            total += sum(max(0.0, 1.2 - float((centres[a][i] - centres[b][j]).norm())) for i, j in pairs) / len(pairs)
    assert aligned(own, crossed, labels, margin=1.2) == pytest.approx(total / 3)
    scaled = tuple(3 * side for side in own), tuple(0.5 * side for side in crossed)
    assert aligned(*scaled, labels, margin=1.2) == pytest.approx(total / 3)


def test_gradients_are_finite_where_distances_are_zero_and_one_identity_is_enough() -> None:
    parts, labels = at(10, 10).requires_grad_(), torch.tensor([0, 0])
    loss = part_aligned_centre_loss((parts, parts), (parts, parts), (labels, labels), margin=0.6)
    assert float(loss.detach()) == pytest.approx(0, abs=1e-9)
    loss.backward()
    assert parts.grad is not None
    assert torch.isfinite(parts.grad).all()


def test_the_centre_loss_is_the_squared_distance_to_the_batch_centre() -> None:
    parts, labels = at(0, 90, 45), torch.tensor([0, 0, 1])
    assert float(part_centre_loss(parts, labels)) == pytest.approx((0.5 + 0.5 + 0) / 3)


def test_region_overlap_counts_pairs_once() -> None:
    disjoint = torch.eye(4).repeat_interleave(2, dim=1)[None]
    assert region_overlap(disjoint).tolist() == [0]
    even = torch.zeros(1, 4, 20)
    even[:, :, :5] = 1 / 20
    assert float(region_overlap(even)) == pytest.approx(6 * 5 / 20**2)


def test_divergence_is_zero_for_equals_never_negative_and_does_not_teach_the_teacher() -> None:
    generator = torch.Generator().manual_seed(0)
    teacher, student = (torch.randn(50, 4, 9, generator=generator).requires_grad_() for _ in range(2))
    assert divergence(teacher, teacher).abs().max() < 1e-6
    found = divergence(teacher, student)
    assert (found > 0).all()
    expected = torch.distributions.kl_divergence(
        torch.distributions.Categorical(logits=teacher), torch.distributions.Categorical(logits=student)
    )
    torch.testing.assert_close(found, expected)
    found.sum().backward()
    assert teacher.grad is None
    assert student.grad is not None
    assert student.grad.abs().sum() > 0
