"""The two-stream ResNet: shapes, what is shared, and where attention stands."""

import pytest
import timm
import torch

from vireid.errors import UsageError
from vireid.networks.two_stream import TwoStreamResNet
from vireid.types import Modality


def images(count, *, size=(64, 32), seed=0):
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(seed))


def change(parameter):
    with torch.no_grad():
        parameter.add_(1.0)


@pytest.mark.parametrize(("size", "maps"), [((144, 72), (9, 5)), ((288, 144), (18, 9)), ((384, 144), (24, 9))])
@pytest.mark.parametrize(("architecture", "channels"), [("resnet10t", 512), ("resnet18", 512), ("resnet50", 2048)])
def test_maps_are_a_sixteenth_of_the_picture(architecture, channels, size, maps):
    with torch.device("meta"):
        network = TwoStreamResNet(architecture, non_local=True)
        assert network.channels == channels
        found = network(torch.empty(2, 3, *size), torch.empty(3, 3, *size))
    assert found.shape == (5, channels, *maps)


@pytest.mark.parametrize("architecture", ["resnet26d", "resnetblur18", "resnetaa34d", "seresnext26t_32x4d", "senet154"])
def test_other_families_lose_their_last_stride_too(architecture):
    with torch.device("meta"):
        visible = torch.empty(1, 3, 128, 64)
        assert TwoStreamResNet(architecture)(visible, None).shape[2:] == (8, 4)
        assert TwoStreamResNet(architecture, last_stride=2)(visible, None).shape[2:] == (4, 2)


@pytest.mark.parametrize("architecture", ["resnet10t", "resnet18"])
@pytest.mark.parametrize("separate", range(6))
def test_it_computes_what_timm_computes(architecture, separate):
    torch.manual_seed(0)
    reference = timm.create_model(architecture, num_classes=0).eval()
    network = TwoStreamResNet(architecture, separate_stages=separate, last_stride=2).eval()
    network.load_start(reference.state_dict())
    visible, infrared = images(2), images(1, seed=1)
    with torch.no_grad():
        expected = reference.forward_features(torch.cat([visible, infrared]))
        assert torch.allclose(network(visible, infrared), expected, atol=1e-5)
        assert torch.allclose(network(visible, None), expected[:2], atol=1e-5)
        assert torch.allclose(network(None, infrared), expected[2:], atol=1e-5)


@pytest.mark.parametrize("separate", range(6))
def test_each_modality_owns_its_first_stages_and_shares_the_others(separate):
    network = TwoStreamResNet("resnet10t", separate_stages=separate).eval()
    for name, parameter in network.named_parameters():
        if "bn" in name:  # timm starts the last one of each block at zero, which would hide a change within
            torch.nn.init.ones_(parameter)
    picture = images(1)
    with torch.no_grad():
        for stage, name in enumerate(("conv1.0", "layer1", "layer2", "layer3", "layer4")):
            before = network(picture, None), network(None, picture)
            assert stage or torch.equal(*before)  # both modalities start equal
            part = network.infrared if stage < separate else network.shared
            change(next(part.get_submodule(name).parameters()))
            assert not torch.equal(network(None, picture), before[1])
            assert torch.equal(network(picture, None), before[0]) == (stage < separate)


@pytest.mark.parametrize("separate", range(6))
def test_the_stages_of_one_modality_are_a_whole_resnet(separate):
    with torch.device("meta"):
        network = TwoStreamResNet("resnet10t", separate_stages=separate)
        whole = timm.create_model("resnet10t", num_classes=0)
    sizes = [sum(p.numel() for p in part.parameters()) for part in (network.visible, network.infrared, network.shared)]
    assert sizes[0] == sizes[1]
    assert sizes[0] + sizes[2] == sum(p.numel() for p in whole.parameters())


def test_shared_batch_norm_sees_both_modalities_in_one_forward():
    torch.manual_seed(2)
    network = TwoStreamResNet("resnet10t")
    seen = []
    network.shared.layer1[0].bn1.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].shape[0]))
    network(images(3), images(2, seed=1) + 2.0)
    assert seen == [5]
    assert network.visible.bn1.num_batches_tracked == network.shared.layer4[0].bn1.num_batches_tracked == 1
    assert not torch.equal(network.visible.bn1.running_mean, network.infrared.bn1.running_mean)


@pytest.mark.parametrize(
    ("architecture", "places"),
    [
        ("resnet50", {"layer2_2", "layer2_3", "layer3_3", "layer3_4", "layer3_5"}),
        ("resnet18", {"layer2_0", "layer2_1", "layer3_0", "layer3_1"}),
        ("resnet10t", {"layer2_0", "layer3_0"}),
    ],
)
def test_non_local_blocks_follow_the_last_blocks(architecture, places):
    with torch.device("meta"):
        network = TwoStreamResNet(architecture, non_local=True)
    assert set(network.shared.attention) == places
    assert not network.visible.attention


@pytest.mark.parametrize("separate", [1, 3])
def test_non_local_blocks_change_nothing_at_start_and_something_later(separate):
    torch.manual_seed(3)
    plain = TwoStreamResNet("resnet10t", separate_stages=separate).eval()
    attentive = TwoStreamResNet("resnet10t", separate_stages=separate, non_local=True).eval()
    attentive.load_start(plain.start_state(Modality.VISIBLE))
    visible, infrared = images(2), images(2, seed=1)
    with torch.no_grad():
        assert torch.equal(attentive(visible, infrared), plain(visible, infrared))
        change(attentive.get_parameter(("visible" if separate == 3 else "shared") + ".attention.layer2_0.norm.weight"))
        assert not torch.equal(attentive(visible, None), plain(visible, None))
        assert torch.equal(attentive(None, infrared), plain(None, infrared)) == (separate == 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"architecture": "resnet5O"}, "did you mean 'resnet50'"),
        ({"architecture": "vit_tiny_patch16_224"}, "unknown ResNet architecture"),
        ({"architecture": "resnet50.imagenet"}, "unknown weights tag of resnet50 'imagenet'"),
        ({"architecture": "resnet10t", "separate_stages": 6}, "separate_stages must be 0..5, not 6"),
        ({"architecture": "resnet10t", "last_stride": 3}, "last_stride must be 1 or 2, not 3"),
    ],
)
def test_misuse_is_named(arguments, message):
    with pytest.raises(UsageError, match=message):
        TwoStreamResNet(**arguments)


def test_no_images_at_all_are_refused():
    network = TwoStreamResNet("resnet10t")
    with pytest.raises(UsageError, match="both are None"):
        network(None, None)


def test_a_tag_is_part_of_the_name():
    with torch.device("meta"):
        assert TwoStreamResNet("resnet50.tv_in1k").architecture == "resnet50.tv_in1k"


def test_it_exports_for_any_number_of_pictures():
    class Infrared(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = TwoStreamResNet("resnet10t", non_local=True)

        def forward(self, pictures):
            return self.network(None, pictures)

    module = Infrared().eval()
    batch = torch.export.Dim("batch", min=1, max=1024)
    program = torch.export.export(module, (images(2),), dynamic_shapes=({0: batch},))
    with torch.no_grad():
        assert torch.allclose(program.module()(images(5)), module(images(5)), atol=1e-5)


@pytest.mark.parametrize(("separate", "channels"), [(0, 3), (1, 32), (2, 32), (4, 128)])
def test_own_stages_tell_their_channels(separate, channels):
    network = TwoStreamResNet("resnet10t_half", separate_stages=separate).eval()
    images = torch.randn(2, 3, 32, 16)
    maps = network.own_stages(images, images[:1])
    assert maps.shape[:2] == (3, channels)
    assert network.own_channels == channels
    assert torch.equal(network.shared(maps), network(images, images[:1]))
