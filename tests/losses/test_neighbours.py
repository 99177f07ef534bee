import pytest
import torch
from torch.nn import functional as F

from vireid.losses.neighbours import neighbour_contrast

BEGINS = torch.tensor([0, 2, 2, 3, 7])
COLUMNS = torch.tensor([1, 4, 0, 0, 2, 3, 5])


def units(count: int, seed: int) -> torch.Tensor:
    return F.normalize(torch.randn(count, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=1)


def by_pairs(queries, bank, *, micro: bool) -> torch.Tensor:
    rows = []
    for i, query in enumerate(queries):
        own = COLUMNS[BEGINS[i] : BEGINS[i + 1]].tolist()
        rows.append([F.cross_entropy((bank @ query / 0.05)[None], torch.tensor([j])) for j in own])
    if micro:
        return torch.stack([pair for row in rows for pair in row]).mean()
    return torch.stack([torch.stack(row).mean() for row in rows if row]).mean()


@pytest.mark.parametrize("reduction", ["macro", "micro"])
def test_it_equals_a_cross_entropy_for_every_pair_with_its_gradient(reduction):
    queries, bank = units(4, 0).requires_grad_(True), units(6, 1).requires_grad_(True)
    found = neighbour_contrast(queries, bank, BEGINS, COLUMNS, temperature=0.05, reduction=reduction)
    (gradient,) = torch.autograd.grad(found, queries)
    expected = by_pairs(queries, bank, micro=reduction == "micro")
    (wanted,) = torch.autograd.grad(expected, queries)
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=1e-10)
    torch.testing.assert_close(gradient, wanted, atol=1e-9, rtol=1e-9)
    assert bank.grad is None


def test_a_single_neighbour_is_cross_entropy_and_none_is_an_exact_zero():
    queries, bank = units(2, 0), units(5, 1)
    found = neighbour_contrast(queries, bank, torch.tensor([0, 1, 2]), torch.tensor([3, 0]), temperature=0.1)
    torch.testing.assert_close(found, F.cross_entropy(queries @ bank.T / 0.1, torch.tensor([3, 0])))
    nobody = neighbour_contrast(
        queries.requires_grad_(True), bank, torch.zeros(3, dtype=torch.long), torch.empty(0).long(), temperature=0.1
    )
    assert float(nobody) == 0.0
    assert not nobody.requires_grad


def test_equal_weights_change_nothing_and_a_heavy_neighbour_counts_alone():
    queries, bank = units(4, 0), units(6, 1)
    plain = neighbour_contrast(queries, bank, BEGINS, COLUMNS, temperature=0.05)
    even = neighbour_contrast(queries, bank, BEGINS, COLUMNS, temperature=0.05, weights=torch.full((7,), 0.5))
    torch.testing.assert_close(even, plain)
    weights = torch.tensor([1.0, 1e-12, 1.0, 1.0, 1e-12, 1e-12, 1e-12])
    single = neighbour_contrast(
        queries[[0, 2, 3]], bank, torch.tensor([0, 1, 2, 3]), torch.tensor([1, 0, 0]), temperature=0.05
    )
    found = neighbour_contrast(queries, bank, BEGINS, COLUMNS, temperature=0.05, weights=weights)
    torch.testing.assert_close(found, single, atol=1e-6, rtol=1e-6)


def test_it_is_single_precision_where_the_rest_is_in_half_the_bits():
    queries, bank = units(4, 0).float(), units(6, 1).float()
    exact = neighbour_contrast(queries, bank, BEGINS, COLUMNS, temperature=0.05)
    with torch.autocast("cpu", torch.bfloat16):
        found = neighbour_contrast(queries, bank, BEGINS, COLUMNS, temperature=0.05)
    assert found.dtype == torch.float32
    assert torch.equal(found, exact)
