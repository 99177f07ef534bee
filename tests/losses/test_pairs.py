"""Losses on pairs: values that can be worked out, and a plain loop."""

import math

import pytest
import torch

from vireid.errors import UsageError
from vireid.losses.pairs import aggregation_contrast, hardest_pairs, pair_matching_loss

PEOPLE = torch.tensor([0, 0, 1, 1, 2, 2])
SAME = PEOPLE[:, None] == PEOPLE


def cosines(rows=6, columns=6, seed=0):
    return 2 * torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 1


def test_matching_gradient_is_the_error_of_the_probability_over_the_pairs():
    logits = (3 * cosines()).requires_grad_()
    pair_matching_loss(logits.float(), SAME).backward()
    expected = (logits.detach().sigmoid() - SAME.double()) / 36
    torch.testing.assert_close(logits.grad, expected, atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("value", [-0.5, 0.0, 1.0])
def test_constant_cosines_count_the_negatives(value):
    found = aggregation_contrast(torch.full((6, 6), value), SAME, temperature=1 / 16)
    assert float(found) == pytest.approx(math.log(5))


def test_perfect_cosines_cost_next_to_nothing():
    perfect = torch.where(SAME, 1.0, -1.0).double()
    expected = math.log1p(4 * math.exp(-32))
    assert float(aggregation_contrast(perfect, SAME, temperature=1 / 16)) == pytest.approx(expected, rel=1e-6)


def test_a_further_negative_never_lowers_it():
    people = torch.tensor([0, 0, 1, 1, 2, 2, 3])
    same = PEOPLE[:, None] == people
    values = cosines(6, 7)
    whole = [aggregation_contrast(values[:, :count], same[:, :count], temperature=0.1) for count in (6, 7)]
    assert whole[1] >= whole[0]


def test_a_plain_loop_gives_the_same():
    people = torch.tensor([0, 1, 2, 2, 0])
    same, values, temperature = PEOPLE[:, None] == people, cosines(6, 5), 0.25

    def rows(similarities, alike):
        losses = []
        for scores, match in zip(similarities.tolist(), alike.tolist(), strict=True):
            negatives = sum(math.exp(s / temperature) for s, m in zip(scores, match, strict=True) if not m)
            own = [math.exp(s / temperature) for s, m in zip(scores, match, strict=True) if m]
            losses.append(sum(-math.log(p / (p + negatives)) for p in own) / len(own))
        return sum(losses) / len(losses)

    expected = (rows(values, same) + rows(values.T, same.T)) / 2
    assert float(aggregation_contrast(values, same, temperature=temperature)) == pytest.approx(expected)


def test_anchors_without_a_positive_do_not_count_and_without_a_negative_cost_nothing():
    same = torch.tensor([[True, True], [False, False]])
    values = cosines(2, 2).requires_grad_()
    rows = torch.zeros((), dtype=torch.float64)  # the first row has no negatives, the second no positive
    columns = torch.stack([torch.nn.functional.softplus(4 * (values[1, i] - values[0, i])) for i in range(2)]).mean()
    found = aggregation_contrast(values, same, temperature=0.25)
    torch.testing.assert_close(found, (rows + columns) / 2)
    found.backward()
    assert values.grad.isfinite().all()


def test_gradients_are_right():
    assert torch.autograd.gradcheck(
        lambda given: aggregation_contrast(given, SAME, temperature=0.5), (cosines().requires_grad_(),)
    )


def test_a_batch_without_positives_is_refused():
    with pytest.raises(UsageError, match="show one person"):
        aggregation_contrast(cosines(2, 2), torch.zeros(2, 2, dtype=torch.bool), temperature=0.1)


def test_the_hardest_pairs_are_the_nearest_of_every_picture():
    similar = torch.tensor([[0.9, 0.8, 0.1, 0.7], [0.2, 0.9, 0.3, 0.4], [0.5, 0.6, 0.1, 0.5]])
    same = torch.tensor([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]).bool()
    found = hardest_pairs(similar, same, 1)
    # rows choose columns 1, 3, 1; columns choose rows 2, 0, 1, 0
    expected = [[1, 1, 0, 1], [0, 1, 1, 1], [1, 1, 1, 0]]
    assert found.int().tolist() == expected
    assert hardest_pairs(similar, same, 9).all()
    equal = hardest_pairs(torch.zeros(2, 4), torch.zeros(2, 4, dtype=torch.bool), 1)
    assert equal.int().tolist() == [[1, 1, 1, 1], [1, 0, 0, 0]]


def test_losses_of_some_pairs_are_those_of_the_pairs_alone():
    values, looked = cosines(seed=3), torch.zeros(6, 6, dtype=torch.bool)
    looked[:4, :4] = True
    few = values[:4, :4]
    found = pair_matching_loss(values, SAME, looked=looked)
    torch.testing.assert_close(found, pair_matching_loss(few, SAME[:4, :4]))
    found = aggregation_contrast(values, SAME, temperature=0.2, looked=looked)
    torch.testing.assert_close(found, aggregation_contrast(few, SAME[:4, :4], temperature=0.2))
