"""Patches and the whole of a ResNet's last map, in the form of a ViT's tokens."""

import pytest
import torch

from vireid.errors import UsageError
from vireid.networks.token_resnet import TokenResNet
from vireid.networks.two_stream import TwoStreamResNet
from vireid.networks.weights import load_start
from vireid.types import Modality

SMALL = "resnet10t_half"


def images(count, *, size=(64, 40), seed=0):
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("architecture", "size", "grid"),
    [("resnet50", (384, 144), (24, 9)), (SMALL, (144, 72), (9, 5)), (SMALL, (65, 33), (5, 3))],
)
def test_one_patch_for_every_position_of_the_map(architecture, size, grid):
    with torch.device("meta"):
        network = TokenResNet(architecture, image_size=size)
        found = network(torch.empty(2, 3, *size), torch.empty(1, 3, *size), attention=True)
    assert network.grid == grid
    assert found.whole.shape == (3, network.channels)
    assert found.patches.shape == (3, grid[0] * grid[1], network.channels)
    assert found.attention.shape == (3, grid[0] * grid[1])


def test_patches_are_the_map_row_by_row_and_the_whole_its_generalised_mean():
    torch.manual_seed(0)
    network = TokenResNet(SMALL, image_size=(64, 40), separate_stages=1).eval()
    plain = TwoStreamResNet(SMALL, separate_stages=1).eval()
    plain.load_state_dict(network.maps.state_dict())
    with torch.no_grad():
        found = network(images(2), images(1, seed=1), attention=True)
        maps = plain(images(2), images(1, seed=1))
    assert maps.shape[2:] == (4, 3)
    torch.testing.assert_close(found.patches[:, 1 * 3 + 2], maps[:, :, 1, 2])
    torch.testing.assert_close(found.whole, maps.pow(3).mean(dim=(2, 3)).pow(1 / 3), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.attention.sum(dim=1), torch.ones(3))
    heaviest = maps.square().sum(dim=1).flatten(1).argmax(dim=1)
    assert torch.equal(found.attention.argmax(dim=1), heaviest)


def test_starts_are_those_of_a_resnet():
    network = TokenResNet(SMALL, image_size=(144, 72), separate_stages=1)
    report = load_start(network, "stand-in")
    assert not report.fresh
    own = network.start_state(Modality.INFRARED)
    again = TokenResNet(SMALL, image_size=(144, 72))
    again.load_start(own)
    assert all(torch.equal(value, own[key]) for key, value in again.start_state(Modality.VISIBLE).items())


def test_last_blocks_are_counted_from_the_end():
    network = TokenResNet(SMALL, image_size=(64, 40), separate_stages=1)
    found = {id(p) for p in network.last(1)}
    assert {name.split(".")[2] for name, p in network.named_parameters() if id(p) in found} == {"layer4"}
    assert network.last(0) == []
    with pytest.raises(UsageError, match="shares 4 blocks, not 5"):
        network.last(5)


def test_another_size_is_refused():
    with pytest.raises(UsageError, match=r"built for images of \(64, 40\), not \(64, 48\)"):
        TokenResNet(SMALL, image_size=(64, 40))(images(1, size=(64, 48)), None)
