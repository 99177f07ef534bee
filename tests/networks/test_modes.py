"""The mode a network is left in."""

import pytest
from torch import nn

from vireid.networks.modes import evaluating


@pytest.mark.parametrize("training", [True, False])
def test_a_network_is_evaluated_meanwhile_and_left_as_it_was(training):
    network = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2)).train(training)
    with evaluating(network):
        assert not any(module.training for module in network.modules())
    assert all(module.training is training for module in network.modules())


def test_the_mode_comes_back_after_an_error():
    network = nn.Dropout()
    with pytest.raises(RuntimeError, match="broken"), evaluating(network):
        raise RuntimeError("broken")
    assert network.training
