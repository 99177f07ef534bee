"""Centres of identities and the losses on them, against hand-worked cases and plain loops."""

import pytest
import torch

from vireid.errors import UsageError
from vireid.losses import centre_consistency, hetero_centre_triplet, modality_centres

LABELS = torch.tensor([0, 1, 0, 1])
INFRARED = torch.tensor([False, False, True, True])


def rows(count, *shape, seed=0):
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_centres_are_the_means_of_an_identity_in_a_modality():
    features = rows(7, 2, 3)
    labels = torch.tensor([5, 5, 9, 5, 9, 9, 9])
    infrared = torch.tensor([False, True, False, False, False, True, True])
    centres, people, lit = modality_centres(features, labels, infrared)
    found = {(int(p), bool(m)): centre for p, m, centre in zip(people, lit, centres, strict=True)}
    assert set(found) == {(5, False), (5, True), (9, False), (9, True)}
    torch.testing.assert_close(found[5, False], (features[0] + features[3]) / 2)
    torch.testing.assert_close(found[9, True], (features[5] + features[6]) / 2)
    torch.testing.assert_close(found[5, True], features[1])


def test_hetero_centre_triplet_of_a_case_worked_by_hand():
    # Visible centres (0,0) and (1,0), infrared (.5,0) and (3,0): per anchor 0, 1.8, .3 and 0.
    features = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, 0.0], [3.0, 0.0]], dtype=torch.float64)
    loss = hetero_centre_triplet(features, LABELS, INFRARED, margin=0.3)
    assert loss.item() == pytest.approx(0.525, abs=1e-12)


def test_hetero_centre_triplet_knows_neither_order_nor_duplicates():
    features, labels = rows(12, 5), torch.arange(3).repeat(4)
    infrared = torch.arange(12) >= 6
    plain = hetero_centre_triplet(features, labels, infrared)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    moved = hetero_centre_triplet(features[order], labels[order], infrared[order])
    torch.testing.assert_close(moved, plain)
    twice = hetero_centre_triplet(features.repeat(2, 1), labels.repeat(2), infrared.repeat(2))
    torch.testing.assert_close(twice, plain)


def test_hetero_centre_triplet_of_a_person_without_infrared_pictures():
    features = torch.tensor([[0.0], [0.0], [5.0]], dtype=torch.float64, requires_grad=True)
    # Identity 1 has a visible centre at 5 only: its positive is itself at 0, its negative 5 away.
    loss = hetero_centre_triplet(features, torch.tensor([0, 0, 1]), torch.tensor([False, True, False]), margin=5.5)
    assert loss.item() == pytest.approx(0.5, abs=1e-12)
    loss.backward()
    assert torch.isfinite(features.grad).all()


def test_hetero_centre_triplet_has_the_gradient_of_its_values_and_refuses_one_identity():
    features = rows(8, 3).requires_grad_()
    labels, infrared = torch.arange(2).repeat(4), torch.arange(8) >= 4
    assert torch.autograd.gradcheck(lambda x: hetero_centre_triplet(x, labels, infrared, margin=9.0), features)
    with pytest.raises(UsageError, match="at least two identities"):
        hetero_centre_triplet(rows(4, 3), torch.zeros(4, dtype=torch.int64), INFRARED)


def plain_consistency(made, features, labels, infrared, by_part):
    values = []
    for lit in (True, False):
        norms = []
        for row in range(len(labels)):
            if bool(infrared[row]) is lit:
                real = [features[i] for i in range(len(labels)) if labels[i] == labels[row] and infrared[i] != lit]
                away = made[row] - sum(real) / len(real)
                norms.append(float(away.norm(dim=1).sum() if by_part else away.norm()))
        values.append(sum(norms) / len(norms))
    return values


@pytest.mark.parametrize("by_part", [False, True])
def test_consistency_equals_plain_loops(by_part):
    made, features = rows(12, 3, 4), rows(12, 3, 4, seed=1)
    labels, infrared = torch.tensor([0, 1, 2, 0, 1, 2, 2, 0, 1, 1, 1, 0]), torch.arange(12) % 2 == 1
    found = centre_consistency(made, features, labels, infrared, by_part=by_part)
    assert [float(value) for value in found] == pytest.approx(
        plain_consistency(made, features, labels, infrared, by_part)
    )


def test_consistency_is_zero_where_what_was_made_is_the_centre_and_only_there():
    features = rows(4, 3, 5)  # one picture an identity and modality: the centre is the picture itself
    other = torch.tensor([2, 3, 0, 1])
    made = features[other].clone().requires_grad_()
    both = centre_consistency(made, features, LABELS, INFRARED)
    assert [value.item() for value in both] == [0.0, 0.0]
    torch.stack(both).sum().backward()
    assert (made.grad == 0).all(), "no gradient, and not not-a-number, at distance 0"
    moved = made.detach().clone()
    moved[0, 0, 0] += 0.25  # a visible picture, whose infrared features were made
    visible, infrared = centre_consistency(moved, features, LABELS, INFRARED)
    assert (float(visible), float(infrared)) == (0.0, pytest.approx(0.125))


def test_consistency_grows_with_the_features():
    made, features = rows(4, 3, 5), rows(4, 3, 5, seed=1)
    plain = centre_consistency(made, features, LABELS, INFRARED)
    larger = centre_consistency(7 * made, 7 * features, LABELS, INFRARED)
    torch.testing.assert_close(torch.stack(larger), 7 * torch.stack(plain))


def test_consistency_moves_both_sides_unless_centres_are_detached():
    made, features = rows(4, 3, 5).requires_grad_(), rows(4, 3, 5, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda m, f: centre_consistency(m, f, LABELS, INFRARED), (made, features))
    torch.stack(centre_consistency(made, features, LABELS, INFRARED, detach_centres=True)).sum().backward()
    assert features.grad is None
    assert made.grad.abs().max() > 0


def test_a_picture_without_counterpart_does_not_count():
    made, features = rows(5, 3, 5), rows(5, 3, 5, seed=1)
    labels, infrared = torch.tensor([0, 1, 0, 1, 7]), torch.tensor([False, False, True, True, True])
    found = centre_consistency(made, features, labels, infrared)
    torch.testing.assert_close(found, centre_consistency(made[:4], features[:4], LABELS, INFRARED))
    nothing = centre_consistency(made[:2], features[:2], LABELS[:2], INFRARED[:2])
    assert [float(value) for value in nothing] == [0.0, 0.0]


def test_half_precision_features_are_averaged_in_single_precision_under_autocast():
    features = (100 + rows(4, 3, 5)).to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        centres, _, _ = modality_centres(features.repeat(2, 1, 1), LABELS.repeat(2), INFRARED.repeat(2))
    assert centres.dtype == torch.float32
    torch.testing.assert_close(centres, features[[0, 2, 1, 3]].float(), rtol=1e-6, atol=0)
