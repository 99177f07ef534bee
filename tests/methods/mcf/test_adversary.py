import math

import pytest
import torch
from torch import nn

from vireid.methods.mcf.adversary import EXCHANGED, ModalityClassifier

MODALITY = torch.tensor([0, 0, 0, 1, 1, 2, 2])


def classifier() -> ModalityClassifier:
    torch.manual_seed(0)
    return ModalityClassifier(16)


def features() -> torch.Tensor:
    return torch.randn(7, 16, generator=torch.Generator().manual_seed(0)).requires_grad_(True)


def test_an_undecided_classifier_costs_three_times_the_logarithm_of_three():
    module = classifier()
    nn.init.zeros_(module[-1].weight)
    nn.init.zeros_(module[-1].bias)
    for loss in (module.own_loss(features(), MODALITY), module.against(features(), MODALITY)):
        assert float(loss.detach()) == pytest.approx(3 * math.log(3), rel=1e-6)


def test_the_classifier_learns_without_the_features_and_they_without_it():
    module, given = classifier(), features()
    module.own_loss(given, MODALITY).backward()
    assert given.grad is None
    assert all(p.grad is not None for p in module.parameters() if p.requires_grad)
    module.zero_grad()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    module.against(given, MODALITY).backward()
    assert given.grad.abs().sum() > 0
    assert all(p.grad is None for p in module.parameters())
    assert all(torch.equal(module.state_dict()[name], value) for name, value in before.items())
    assert module.training


def test_features_that_look_channel_augmented_are_left_alone():
    module = classifier()
    nn.init.zeros_(module[-1].weight)
    with torch.no_grad():
        module[-1].bias.copy_(torch.tensor([0.0, 0.0, 100.0]))
    given = features()
    module.against(given, MODALITY).backward()
    assert float(given.grad.abs().max()) < 1e-6
    assert module.eval()(given).shape == (7, 3)
    assert EXCHANGED == 2
