"""Reductions and classifiers of single parts."""

import torch
from torch.nn import functional as F

from vireid.networks.parts import PartClassifiers, PartReduction


def draw(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_every_part_has_a_reduction_of_its_own():
    reduction = PartReduction(3, 8, 4)
    parts = draw(6, 3, 8)
    with torch.no_grad():
        found = reduction(parts)
        for i in range(3):
            linear = parts[:, i] @ reduction.linear.weight[4 * i : 4 * i + 4, :, 0].T
            normalised = (linear - linear.mean(0)) / (linear.var(0, unbiased=False) + 1e-5).sqrt()
            torch.testing.assert_close(found[:, i], normalised.relu(), atol=1e-5, rtol=1e-4)
    assert found.shape == (6, 3, 4)


def test_every_part_has_a_classifier_of_its_own():
    classifiers = PartClassifiers(3, 4, 7)
    assert classifiers.weight.std() < 2e-3
    torch.nn.init.normal_(classifiers.bias)
    features = draw(5, 3, 4)
    found = classifiers(features)
    assert found.shape == (5, 3, 7)
    for i in range(3):
        expected = F.linear(features[:, i], classifiers.weight[i], classifiers.bias[i])
        torch.testing.assert_close(found[:, i], expected)


def test_classifiers_are_reordered_with_their_parts():
    classifiers, parts = PartClassifiers(4, 6, 3), draw(2, 4, 6)
    torch.nn.init.normal_(classifiers.bias)
    order = torch.tensor([2, 0, 3, 1])
    before = classifiers(parts)
    classifiers.reorder(order)
    torch.testing.assert_close(classifiers(parts[:, order]), before[:, order])
