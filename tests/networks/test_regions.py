from functools import partial

import pytest
import timm
import torch

from vireid.errors import UsageError, WeightsError
from vireid.networks.part_attention import PartAttention
from vireid.networks.regions import ConvolutionalStem, RegionResNet, RegionViT

NANO = "vit_nano_patch12"
SIZE = (48, 24)


def images(count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, *SIZE, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def vit() -> RegionViT:
    torch.manual_seed(0)
    attention = partial(PartAttention, parts=2)
    return RegionViT(NANO, image_size=SIZE, regions=3, attention=attention, positions=(4, 5)).eval()


def test_every_class_token_says_something_of_its_own_and_stems_differ_by_modality(vit):
    found = vit(images(), images())
    assert found.features.shape == (4, 3, 128)
    assert [gate.shape for gate in found.gates] == [(4, 128)] * 2
    assert not torch.allclose(found.features[:, 0], found.features[:, 1], atol=1e-3)
    torch.testing.assert_close(found.features[:2], found.features[2:])  # stems begin equal
    torch.manual_seed(1)
    torch.nn.init.normal_(vit.infrared.proj.weight)
    other = vit(None, images()).features
    assert not torch.allclose(other, found.features[:2], atol=1e-2)


def test_stripes_are_means_of_rows_of_patches():
    torch.manual_seed(0)
    network = RegionViT(NANO, image_size=SIZE, regions=2, class_tokens=False).eval()
    assert network(images(), None).features.shape == (2, 2, 128)
    with pytest.raises(UsageError, match="4 rows of patches do not divide into 3 stripes"):
        RegionViT(NANO, image_size=SIZE, regions=3, class_tokens=False)


def test_a_start_fills_both_stems_and_keeps_class_tokens_apart():
    torch.manual_seed(0)
    state = timm.create_model(NANO, num_classes=5, img_size=SIZE).state_dict()
    network = RegionViT(NANO, image_size=SIZE, regions=2)
    own = network.tokens.detach().clone()
    report = network.load_start(state)
    assert report.skipped == ("head.bias", "head.weight")
    assert torch.equal(network.visible.proj.weight, state["patch_embed.proj.weight"])
    assert torch.equal(network.infrared.proj.weight, state["patch_embed.proj.weight"])
    torch.testing.assert_close(network.tokens.detach(), own + state["cls_token"] + state["pos_embed"][:, :1])
    assert not torch.equal(network.tokens[:, 0], network.tokens[:, 1])
    with pytest.raises(WeightsError, match="missing keys"):
        network.load_start({})


def test_constant_positions_stay_constant_on_a_larger_grid():
    state = timm.create_model(NANO, num_classes=0, img_size=SIZE).state_dict()
    state["pos_embed"] = torch.full_like(state["pos_embed"], 0.3)
    network = RegionViT(NANO, image_size=(96, 48), regions=2)
    network.load_start(state)
    torch.testing.assert_close(network.positions.detach(), torch.full((1, 32, 128), 0.3))


def test_a_convolutional_stem_gives_as_many_tokens_as_patches_and_its_own_weights_fit():
    torch.manual_seed(0)
    network = RegionViT(NANO, image_size=SIZE, regions=2, stem="convolutional").eval()
    assert isinstance(network.visible, ConvolutionalStem)
    assert network.visible(images()).shape == (2, 8, 128)
    state = timm.create_model(NANO, num_classes=0, img_size=SIZE).state_dict()
    assert "patch_embed.proj.weight" in network.load_start(state).skipped
    theirs = {key: value for key, value in state.items() if not key.startswith("patch_embed.")}
    names = {"convolutions.": "conv.", "projection.": "proj.", ".instance.": ".IN.", ".batch.": ".BN."}
    for key, value in network.visible.state_dict().items():
        for one, other in names.items():
            key = key.replace(one, other)
        theirs[f"patch_embed.{key}"] = value + 1
    assert network.load_start(theirs).skipped == ()
    torch.testing.assert_close(network.infrared.projection.bias, theirs["patch_embed.proj.bias"])


def test_a_resnet_has_stripes_of_its_gated_map():
    torch.manual_seed(0)
    network = RegionResNet("resnet10t_half", regions=3, attention=partial(PartAttention, parts=1)).eval()
    found = network(images(), None)
    assert found.features.shape == (2, 3, 256)
    assert found.gates[0].shape == (2, 256)
    plain = network.pool(network.network(images(), None))
    torch.testing.assert_close(found.features, plain)  # attention begins as the identity


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"positions": (6,)}, r"attention stands before a block, 0\.\.5, not 6"),
        ({"architecture": "vit_nano_patch21"}, "unknown ViT architecture"),
    ],
)
def test_misuse_is_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        RegionViT(**{"architecture": NANO, "image_size": SIZE, "regions": 2} | arguments)


def test_pictures_of_another_size_are_refused(vit):
    with pytest.raises(UsageError, match="built for images of"):
        vit(torch.zeros(1, 3, 24, 24), None)
    with pytest.raises(UsageError, match="both are None"):
        vit(None, None)
