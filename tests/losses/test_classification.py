"""Identity loss against sums written out."""

import math

import pytest
import torch

from vireid.losses import identity_loss


def slow_cross_entropy(logits, labels, smoothing):
    total = 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        log_sum = math.log(sum(math.exp(value) for value in row))
        for place, value in enumerate(row):
            target = smoothing / len(row) + (1.0 - smoothing if place == label else 0.0)
            total -= target * (value - log_sum)
    return total / len(labels)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_equals_plain_loops(smoothing):
    logits = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 3, 4, 0, 2])
    expected = slow_cross_entropy(logits, labels, smoothing)
    assert identity_loss(logits, labels, smoothing=smoothing).item() == pytest.approx(expected, abs=1e-6)


def test_equal_logits_give_log_of_the_number_of_identities():
    loss = identity_loss(torch.zeros(3, 11), torch.tensor([0, 5, 10]))
    assert loss.item() == pytest.approx(math.log(11), abs=1e-6)


def test_half_precision_logits_are_summed_in_single_precision():
    logits = torch.randn(4, 300, generator=torch.Generator().manual_seed(1)).bfloat16()
    labels = torch.tensor([0, 1, 2, 3])
    assert identity_loss(logits, labels).dtype == torch.float32
    assert identity_loss(logits, labels).item() == pytest.approx(identity_loss(logits.float(), labels).item())
