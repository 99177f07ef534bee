"""The ViT: grids, overlapping patches, positions that are resized, and start weights in both directions."""

import pytest
import timm
import torch
from torch.nn import functional as F

from vireid.errors import UsageError, WeightsError
from vireid.networks.backbones import backbone
from vireid.networks.vit import ViT
from vireid.networks.weights import load_start, save_start
from vireid.types import Modality

NANO = "vit_nano_patch12"


def images(count, *, size=(48, 24), seed=0):
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("size", "stride", "grid"),
    [
        ((256, 128), None, (16, 8)),
        ((256, 128), 12, (21, 10)),
        ((288, 144), 16, (18, 9)),
        ((288, 144), 12, (23, 11)),
        ((384, 128), 12, (31, 10)),
        ((384, 144), 12, (31, 11)),
    ],
)
def test_grid_of_a_base_vit(size, stride, grid):
    with torch.device("meta"):
        network = ViT("vit_base_patch16_224.orig_in21k_ft_in1k", image_size=size, stride=stride)
        tokens = network(torch.empty(2, 3, *size), torch.empty(1, 3, *size))
    assert (network.grid, network.channels) == (grid, 768)
    assert tokens.whole.shape == (3, 768)
    assert tokens.patches.shape == (3, grid[0] * grid[1], 768)


def test_the_narrow_one_is_small():
    with torch.device("meta"):
        network = ViT(NANO, image_size=(144, 72))
    assert network.grid == (12, 6)
    assert 1.2e6 < sum(p.numel() for p in network.parameters()) < 1.3e6


def test_it_computes_what_timm_computes():
    torch.manual_seed(0)
    reference = timm.create_model(NANO, num_classes=0, img_size=(48, 24)).eval()
    network = ViT(NANO, image_size=(48, 24)).eval()
    network.load_start({**reference.state_dict(), "pos_grid": torch.tensor([4, 2])})
    visible, infrared = images(2), images(1, seed=1)
    with torch.no_grad():
        expected = reference.forward_features(torch.cat([visible, infrared]))
        whole, patches, _ = network(visible, infrared)
        torch.testing.assert_close(whole, expected[:, 0])
        torch.testing.assert_close(patches, expected[:, 1:])
        torch.testing.assert_close(network(None, infrared).patches, expected[2:, 1:])


def test_the_attention_of_the_class_token_is_that_of_the_last_block():
    torch.manual_seed(0)
    network = ViT(NANO, image_size=(48, 24)).eval()
    block, given, made = network.model.blocks[-1], [], []
    block.register_forward_pre_hook(lambda _, tokens: given.append(tokens[0]))
    block.attn.register_forward_hook(lambda *seen: made.append(seen[2]))
    with torch.no_grad():
        tokens = network(images(2), None, attention=True)
        plain = network(images(2), None)
        parts = block.attn.qkv(block.norm1(given[0])).view(2, 9, 3, 4, 32).permute(2, 0, 3, 1, 4)
        query, key, value = parts
        attention = (query @ key.mT / 32**0.5).softmax(dim=-1)
        read = block.attn.proj((attention @ value).transpose(1, 2).flatten(2))
    torch.testing.assert_close(read, made[0], atol=1e-5, rtol=1e-4)  # this is what the block does
    torch.testing.assert_close(tokens.attention, attention.mean(dim=1)[:, 0, 1:])
    assert plain.attention is None
    assert torch.equal(plain.patches, tokens.patches)


def test_the_last_blocks_are_those_before_the_end():
    network = ViT(NANO, image_size=(48, 24))
    names = {id(p): name for name, p in network.model.named_parameters()}
    found = {names[id(p)].rpartition(".")[0].split(".attn")[0] for p in network.last(2)}
    assert {name.split(".")[1] for name in found if name.startswith("blocks")} == {"4", "5"}
    assert {names[id(p)] for p in network.last(0)} == {"norm.weight", "norm.bias"}
    with pytest.raises(UsageError, match="has 6 blocks, not 7 that could learn"):
        network.last(7)


def test_overlapping_patches_are_those_that_a_stride_cuts():
    network = ViT(NANO, image_size=(36, 24), stride=6)
    picture = images(1, size=(36, 24))
    embedded = network.model.patch_embed(picture)
    assert network.grid == (5, 3)
    cut = F.unfold(picture, 12, stride=6)
    expected = network.model.patch_embed.proj.weight.flatten(1) @ cut[0] + network.model.patch_embed.proj.bias[:, None]
    torch.testing.assert_close(embedded[0].T, expected, atol=1e-5, rtol=1e-5)


def test_dropout_and_path_dropout_reach_the_blocks():
    network = ViT(NANO, image_size=(48, 24), dropout=0.03, path_dropout=0.1)
    assert network.model.pos_drop.p == network.model.blocks[0].mlp.drop1.p == network.model.blocks[0].attn.proj_drop.p
    assert network.model.pos_drop.p == 0.03
    rates = [getattr(block.drop_path1, "drop_prob", 0.0) for block in network.model.blocks]
    assert rates == pytest.approx([0.0, 0.02, 0.04, 0.06, 0.08, 0.1])


def test_square_positions_are_resized_and_the_class_token_keeps_its_own():
    network = ViT(NANO, image_size=(48, 24))
    state = timm.create_model(NANO, num_classes=7, img_size=(24, 24)).state_dict()
    corners = torch.tensor([0.0, 1.0, 2.0, 3.0])  # a plane: rows count 2, columns 1
    state["pos_embed"] = torch.cat([torch.full((1,), 9.0), corners])[None, :, None].expand(1, 5, 128).clone()
    report = network.load_start(state)
    assert report.skipped == ("head.bias", "head.weight")
    found = network.model.pos_embed[0, :, 0]
    assert found[0] == 9.0
    torch.testing.assert_close(found[1:], torch.tensor([0.0, 1.0, 0.5, 1.5, 1.5, 2.5, 2.0, 3.0]))


def test_start_state_makes_the_way_back_at_any_size(tmp_path):
    torch.manual_seed(0)
    trained = ViT(NANO, image_size=(48, 24))
    file = tmp_path / "start.safetensors"
    save_start(file, trained.start_state(Modality.VISIBLE), architecture=NANO)
    again = ViT(NANO, image_size=(48, 24))
    assert load_start(again, str(file)).skipped == ()
    assert torch.equal(again.eval()(images(1), None).patches, trained.eval()(None, images(1)).patches)
    larger = ViT(NANO, image_size=(96, 48), stride=8)
    load_start(larger, str(file))
    assert torch.equal(larger.model.blocks[0].attn.qkv.weight, trained.model.blocks[0].attn.qkv.weight)
    assert larger.model.pos_embed.shape == (1, 1 + 11 * 5, 128)


def test_positions_of_two_squares_are_those_of_a_person():
    state = timm.create_model(NANO, num_classes=0, img_size=(48, 24)).state_dict()
    network = ViT(NANO, image_size=(48, 24))
    network.load_start(state)
    assert torch.equal(network.model.pos_embed, state["pos_embed"])


def test_positions_that_are_no_square_are_refused():
    state = timm.create_model(NANO, num_classes=0, img_size=(36, 24)).state_dict()
    with pytest.raises(WeightsError, match="6 positions of patches, which are no square"):
        ViT(NANO, image_size=(96, 48)).load_start(state)
    with pytest.raises(WeightsError, match="missing keys"):
        ViT(NANO, image_size=(96, 48)).load_start({})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"architecture": "vit_nano_patch21"}, "unknown ViT architecture 'vit_nano_patch21'; did you mean"),
        ({"architecture": "vit_base_patch16_224.orig"}, "unknown weights tag of vit_base_patch16_224"),
        ({"architecture": "vit_base_patch16_gap_224"}, "does not end in one class token"),
        ({"architecture": "vit_base_patch14_reg4_dinov2"}, "does not end in one class token"),
        ({"stride": 13}, "stride must be 1..12"),
        ({"stride": 0}, "stride must be 1..12"),
        ({"image_size": (48, 11)}, "smaller than one patch of 12 pixels"),
    ],
)
def test_what_cannot_be_built_is_refused(arguments, message):
    with torch.device("meta"), pytest.raises(UsageError, match=message):
        ViT(**{"architecture": NANO, "image_size": (48, 24), **arguments})


def test_other_sizes_and_no_images_are_refused():
    network = ViT(NANO, image_size=(48, 24))
    with pytest.raises(UsageError, match="both are None"):
        network(None, None)
    with pytest.raises(UsageError, match=r"built for images of \(48, 24\), not \(24, 48\)"):
        network(images(1), images(1, size=(24, 48)))


@pytest.mark.parametrize("architecture", [NANO, "resnet10t_half"])
def test_a_backbone_and_its_pooling_give_one_feature_a_picture(architecture):
    network, pool = backbone(architecture, image_size=(48, 24))
    assert pool(network(images(2), images(3))).shape == (5, network.channels)
    assert torch.equal(pool(network(images(2), None)).isfinite().all(), torch.tensor(True))
