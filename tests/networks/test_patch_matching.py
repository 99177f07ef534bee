"""Query-aware scoring, against values worked out by hand and against both softmaxes written out."""

import math

import pytest
import torch

from vireid.errors import UsageError
from vireid.networks.patch_matching import ConfidenceAggregation, chosen_pairs, patch_scores


def logits(pairs=2, patches=6, seed=0):
    return 2 * torch.randn(pairs, patches, patches, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("k", [6, 7])
def test_all_partners_give_an_even_score(k):
    scores, chosen, _ = patch_scores(logits(), k=k, penalty=0.2)
    assert chosen.all()
    torch.testing.assert_close(scores, torch.full((2, 6), 1 / 6, dtype=torch.float64))


def test_one_partner_is_the_mutual_nearest_neighbour():
    found = chosen_pairs(logits(50), 1)
    assert (found.flatten(1).sum(1) >= 1).all()
    assert (found.sum(1) <= 1).all()
    assert (found.sum(2) <= 1).all()
    values = logits(50)
    expected = (values == values.amax(2, keepdim=True)) & (values == values.amax(1, keepdim=True))
    assert torch.equal(found, expected)


def test_hand_case():
    scores, chosen, _ = patch_scores(
        torch.tensor([[[4.0, 3.0, 0.0], [5.0, 0.0, 0.0], [0.0, 0.0, 1.0]]]), k=1, penalty=0.2
    )
    assert chosen.nonzero().tolist() == [[0, 1, 0], [0, 2, 2]]
    torch.testing.assert_close(scores, torch.tensor([[0.144280, 0.986703, 0.576117]]), atol=1e-6, rtol=0)


def test_a_diagonal_is_its_own_partner():
    scores, chosen, _ = patch_scores(8 * torch.eye(4)[None], k=1, penalty=0.2)
    assert torch.equal(chosen[0], torch.eye(4, dtype=torch.bool))
    torch.testing.assert_close(scores, torch.full((1, 4), 0.9989946))


@pytest.mark.parametrize("k", [1, 2, 3, 5, 6])
def test_mutual_means_mutual(k):
    values = logits(20)
    found = chosen_pairs(values, k)
    assert torch.equal(found, chosen_pairs(values.mT, k).mT)
    assert (found.sum(2) <= k).all()
    assert (found.flatten(1).sum(1) <= 6 * k).all()
    scores, *_ = patch_scores(values, k=k, penalty=1.0)
    lonely = found.sum(2) == 0
    assert torch.equal(scores[lonely], values.softmax(2).amax(2)[lonely])
    without, *_ = patch_scores(values, k=k, penalty=1.0, completion=False)
    assert (without[lonely] == 0).all()
    assert torch.equal(without[~lonely], scores[~lonely])


def test_without_mutuality_a_row_takes_its_own_greatest():
    values = logits()
    scores, chosen, _ = patch_scores(values, k=2, penalty=0.2, mutual=False)
    assert (chosen.sum(2) == 2).all()
    torch.testing.assert_close(scores, values.softmax(2).topk(2, dim=2).values.mean(2))


def test_one_matrix_serves_both_directions():
    values = logits(10)
    rows, columns = values.softmax(2), values.mT.softmax(2)
    k = 3

    def greatest(affinity):
        return torch.zeros_like(affinity, dtype=torch.bool).scatter_(2, affinity.topk(k, dim=2).indices, value=True)

    mutual = greatest(rows) & greatest(columns).mT
    assert torch.equal(chosen_pairs(values, k), mutual)


def test_permuting_partners_changes_nothing_and_permuting_rows_permutes():
    values, order = logits(), torch.tensor([4, 2, 0, 5, 1, 3])
    scores, *_ = patch_scores(values, k=2, penalty=0.2)
    torch.testing.assert_close(patch_scores(values[:, :, order], k=2, penalty=0.2)[0], scores)
    torch.testing.assert_close(patch_scores(values[:, order], k=2, penalty=0.2)[0], scores[:, order])


def test_equal_values_stand_in_order():
    found = chosen_pairs(torch.zeros(1, 3, 3), 1, mutual=False)
    assert found.nonzero().tolist() == [[0, 0, 0], [0, 1, 0], [0, 2, 0]]


def test_gradient_flows_through_affinities():
    values = logits(1, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda given: patch_scores(given, k=2, penalty=0.2)[0], (values,))


def test_half_precision_is_scored_in_fp32():
    scores, *_ = patch_scores(logits().bfloat16(), k=1, penalty=0.2)
    assert scores.dtype == torch.float32


def test_no_partner_at_all_is_refused():
    with pytest.raises(UsageError, match="k is 0"):
        chosen_pairs(logits(), 0)


def test_aggregation_starts_at_the_share_of_positives_and_knows_positions():
    torch.manual_seed(0)
    aggregation = ConfidenceAggregation(4)
    assert aggregation.out.bias.item() == pytest.approx(math.log(1 / 7))
    scores = torch.rand(3, 4)
    found = aggregation(scores)
    assert found.shape == (3,)
    assert not torch.allclose(aggregation(scores.flip(1)), found)
