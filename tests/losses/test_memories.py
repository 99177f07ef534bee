import math

import pytest
import torch
from torch.nn import functional as F

from vireid.losses.memories import cluster_contrast, updated_memory


def units(count: int, width: int, seed: int) -> torch.Tensor:
    return F.normalize(torch.randn(count, width, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_it_is_cross_entropy_of_products_and_the_memory_gets_no_gradient():
    queries, memory = units(6, 5, 0).requires_grad_(True), units(3, 5, 1).requires_grad_(True)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    found = cluster_contrast(queries, memory, labels, temperature=0.05)
    torch.testing.assert_close(found, F.cross_entropy(queries @ memory.T / 0.05, labels), atol=1e-6, rtol=1e-6)
    found.backward()
    assert memory.grad is None
    assert queries.grad is not None


def test_equal_centroids_cost_the_logarithm_of_their_number():
    memory = units(1, 4, 0).expand(7, 4)
    found = cluster_contrast(units(5, 4, 1), memory, torch.arange(5), temperature=0.05)
    assert float(found) == pytest.approx(math.log(7), rel=1e-6)


def test_labels_below_zero_do_not_count_and_none_at_all_is_an_exact_zero():
    queries, memory = units(4, 5, 0), units(3, 5, 1)
    some = cluster_contrast(queries, memory, torch.tensor([-1, 2, -1, 0]), temperature=0.1)
    assert some == cluster_contrast(queries[[1, 3]], memory, torch.tensor([2, 0]), temperature=0.1)
    none = cluster_contrast(queries.requires_grad_(True), memory, torch.full((4,), -1), temperature=0.1)
    assert float(none) == 0.0
    assert not none.requires_grad


def test_a_sequential_update_by_hand():
    memory = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    queries = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.6, 0.8]])
    labels = torch.tensor([0, 1, 0])
    first = F.normalize(torch.tensor([0.2, 0.8]), dim=0)
    expected = torch.stack(
        [
            F.normalize(0.2 * first + 0.8 * queries[2], dim=0),
            F.normalize(torch.tensor([0.8, 0.2]), dim=0),
        ]
    )
    found = updated_memory(memory, queries, labels, momentum=0.2, how="sequential")
    torch.testing.assert_close(found, expected)
    assert torch.equal(memory, torch.eye(2)), "a new tensor is returned"
    torch.testing.assert_close(updated_memory(memory, queries, labels, momentum=1.0, how="sequential"), memory)
    last = updated_memory(memory, queries, labels, momentum=0.0, how="sequential")
    torch.testing.assert_close(last, queries[[2, 1]])


def test_the_mean_and_the_hardest_query_by_hand():
    memory = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    queries = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.6, 0.8]])
    labels = torch.tensor([0, -1, 0])
    mean = updated_memory(memory, queries, labels, momentum=0.5, how="mean")
    torch.testing.assert_close(mean[0], F.normalize(0.5 * memory[0] + 0.5 * torch.tensor([0.3, 0.9]), dim=0))
    hard = updated_memory(memory, queries, labels, momentum=0.5, how="hard")
    torch.testing.assert_close(hard[0], F.normalize(torch.tensor([0.5, 0.5]), dim=0))
    for found in (mean, hard):
        assert torch.equal(found[1], memory[1]), "noise and clusters without a query change nothing"


@pytest.mark.parametrize("how", ["mean", "sequential", "hard"])
def test_rows_stay_of_unit_length(how):
    labels = torch.tensor([0, 1, 1, 2, 0, -1])
    found = updated_memory(units(4, 8, 0), units(6, 8, 1), labels, momentum=0.2, how=how)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(4))


@pytest.mark.parametrize("how", ["mean", "sequential", "hard"])
def test_a_batch_of_noise_alone_changes_nothing(how):
    memory = units(4, 8, 0)
    found = updated_memory(memory, units(3, 8, 1), torch.full((3,), -1), momentum=0.2, how=how)
    assert torch.equal(found, memory)
