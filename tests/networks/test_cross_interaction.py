"""Cross interaction: both streams read from the same tokens, and weights are shared or not as asked."""

import pytest
import torch
from torch import nn

from vireid.errors import UsageError
from vireid.networks.cross_interaction import CrossInteraction, CrossReadingBlock
from vireid.types import Modality

VISIBLE, INFRARED = Modality.VISIBLE, Modality.INFRARED


def tokens(count=2, patches=5, channels=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, patches, channels, generator=generator, dtype=torch.float64)


def interaction(blocks=2, **options):
    torch.manual_seed(0)
    return CrossInteraction(8, heads=2, blocks=blocks, **options).double().eval()


def meet(network, visible, infrared):
    return network(network.prepare(visible, VISIBLE), network.prepare(infrared, INFRARED))


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_zero_output_layers_make_it_the_identity(blocks):
    network = interaction(blocks)
    for name, parameter in network.named_parameters():
        if ".out." in name or ".narrow." in name:
            nn.init.zeros_(parameter)
    visible, infrared = tokens(), tokens(seed=1)
    found = meet(network, visible, infrared)
    assert torch.equal(found[0], visible)
    assert torch.equal(found[1], infrared)


def test_a_partner_of_equal_tokens_offers_their_value_to_every_query():
    torch.manual_seed(0)
    block = CrossReadingBlock(8, heads=2).double().eval()
    nn.init.zeros_(block.narrow.weight)
    nn.init.zeros_(block.narrow.bias)
    own, partner = tokens(), tokens(patches=1, seed=1).expand(-1, 5, -1)
    found = block(own, block.asked(own), block.offered(partner))
    value = block.offered(partner)[..., 8:]
    torch.testing.assert_close(found, own + block.out(value))


def test_with_shared_weights_swapping_the_sides_swaps_the_results():
    network = interaction(share_streams=True)
    visible, infrared = tokens(), tokens(seed=1)
    left, right = meet(network, visible, infrared)
    mirrored = meet(network, infrared, visible)
    assert torch.equal(mirrored[0], right)
    assert torch.equal(mirrored[1], left)
    assert sum(p.numel() for p in interaction().parameters()) == 2 * sum(p.numel() for p in network.parameters())


def test_streams_of_their_own_do_not_swap():
    visible, infrared = tokens(), tokens(seed=1)
    network = interaction()
    assert not torch.allclose(meet(network, visible, infrared)[0], meet(network, infrared, visible)[1])


def test_both_streams_read_what_stood_before_the_block():
    network = interaction(1)
    visible, infrared = tokens(), tokens(seed=1)
    block = network.streams["infrared"][0]
    expected = block(infrared, block.asked(infrared), block.offered(visible))
    torch.testing.assert_close(meet(network, visible, infrared)[1], expected)


@pytest.mark.parametrize("reader", list(Modality))
def test_one_way_leaves_the_other_side_as_it_is(reader):
    network = interaction(direction=reader)
    visible, infrared = tokens(), tokens(seed=1)
    found = dict(zip(Modality, meet(network, visible, infrared), strict=True))
    given = {VISIBLE: visible, INFRARED: infrared}
    assert torch.equal(found[reader.other], given[reader.other])
    assert not torch.allclose(found[reader], given[reader])
    prepared = network.prepare(visible, VISIBLE)
    assert (prepared.asked is None) == (reader is INFRARED)
    assert (prepared.offered is None) == (reader is VISIBLE)


def test_patches_have_no_position():
    network = interaction()
    visible, infrared, order = tokens(), tokens(seed=1), torch.tensor([3, 0, 4, 1, 2])
    left, right = meet(network, visible, infrared)
    shuffled = meet(network, visible, infrared[:, order])
    torch.testing.assert_close(shuffled[0], left)
    torch.testing.assert_close(shuffled[1], right[:, order])


def test_heads_must_divide_channels():
    with pytest.raises(UsageError, match="3 heads do not divide 8 channels"):
        CrossInteraction(8, heads=3, blocks=1)
