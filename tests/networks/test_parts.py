"""Reductions and classifiers of single parts."""

import torch

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
    features = draw(5, 3, 4)
    found = classifiers(features)
    assert found.shape == (5, 3, 7)
    for i in range(3):
        expected = features[:, i] @ classifiers.linear.weight[7 * i : 7 * i + 7, :, 0].T
        torch.testing.assert_close(found[:, i], expected)
    assert classifiers.linear.weight.std() < 2e-3
