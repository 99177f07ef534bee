"""Matching of parts, by number of the permutation, and the partners of pictures."""

import pytest
import torch
from scipy.optimize import linear_sum_assignment

from vireid.errors import UsageError
from vireid.methods.cal.correspondence import (
    MatchCounts,
    best_matchings,
    inverse,
    mask_overlaps,
    matched,
    numbers_of,
    partners,
    permutation_table,
)


def overlaps(count: int, parts: int) -> torch.Tensor:
    return torch.rand(count, parts, parts, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("parts", [1, 2, 3, 4, 5, 6, 7])
def test_the_best_matching_is_that_of_the_hungarian_algorithm(parts: int) -> None:
    values = overlaps(40, parts)
    numbers = best_matchings(values)
    for one, chosen in zip(values, permutation_table(parts)[numbers], strict=True):
        assert chosen.tolist() == linear_sum_assignment(one.numpy(), maximize=True)[1].tolist()
    assert torch.equal(best_matchings(values + 0.3), numbers)
    totals = matched(values, numbers).sum(dim=1)
    assert (totals <= parts).all()
    assert (totals >= values.diagonal(dim1=1, dim2=2).sum(dim=1) - 1e-12).all()


def test_a_planted_permutation_is_found_and_distinct_masks_match_themselves() -> None:
    masks = torch.eye(5).repeat_interleave(3, dim=1)[:4] / 3  # four disjoint masks over 15 positions
    assert best_matchings((masks @ masks.T)[None]).tolist() == [0]
    order = torch.tensor([2, 0, 3, 1])
    assert permutation_table(4)[best_matchings((masks[order] @ masks.T)[None])].tolist() == [order.tolist()]


def test_overlaps_of_masks() -> None:
    one, other = torch.eye(10)[:2]
    even = torch.full((10,), 0.1)
    masks = torch.stack([one, other, even])[None]
    tenth = 10**-0.5
    product = torch.tensor([[1, 0, 0.1], [0, 1, 0.1], [0.1, 0.1, 0.1]])
    cosine = torch.tensor([[1, 0, tenth], [0, 1, tenth], [tenth, tenth, 1]])
    torch.testing.assert_close(mask_overlaps(masks, masks, cosine=False)[0], product)
    torch.testing.assert_close(mask_overlaps(masks, masks, cosine=True)[0], cosine)


def test_numbers_count_permutations_in_lexicographic_order() -> None:
    for parts in (1, 3, 5):
        assert numbers_of(permutation_table(parts)).tolist() == list(range(len(permutation_table(parts))))
    numbers = torch.arange(24)
    for one, other in zip(permutation_table(4), permutation_table(4)[inverse(numbers, 4)], strict=True):
        assert one[other].tolist() == [0, 1, 2, 3]


def test_no_gradient_passes_the_matching_but_the_matched_values_get_it() -> None:
    values = overlaps(2, 3).requires_grad_()
    numbers = best_matchings(values)
    matched(values, numbers).sum().backward()
    assert values.grad is not None
    expected = torch.zeros(2, 3, 3)
    for picture, chosen in enumerate(permutation_table(3)[numbers]):
        expected[picture, torch.arange(3), chosen] = 1
    torch.testing.assert_close(values.grad.float(), expected)


def test_the_most_frequent_permutation_wins_then_its_edges_then_the_first() -> None:
    table = permutation_table(3)
    counts = MatchCounts(3)
    assert counts.winner().tolist() == [0, 1, 2]
    counts.add(torch.tensor([4, 4, 1]))
    assert counts.winner().tolist() == table[4].tolist()
    counts.add(torch.tensor([1, 5]))  # 1 and 4 tie; 1 = (0, 2, 1), 4 = (2, 0, 1), 5 = (2, 1, 0) shares an edge with 4
    assert counts.winner().tolist() == table[4].tolist()
    first = MatchCounts(3)
    first.add(torch.tensor([3, 4]))  # (1, 2, 0) and (2, 0, 1) have no edge in common
    assert first.winner().tolist() == table[3].tolist()
    assert set(first.state_dict()) == {"counts"}


def test_partners_are_of_the_same_identity_and_move_with_the_shift() -> None:
    labels, others = torch.tensor([5, 5, 2, 2, 2]), torch.tensor([2, 5, 2, 5, 5])
    for shift in range(6):
        found = partners(labels, others, shift)
        assert torch.equal(others[found], labels)
    assert partners(labels, others, 0).tolist() == [1, 3, 0, 2, 0]
    assert partners(labels, others, 1).tolist() == [3, 4, 2, 0, 2]
    with pytest.raises(UsageError, match="class 7 has none"):
        partners(torch.tensor([5, 7]), others, 0)
