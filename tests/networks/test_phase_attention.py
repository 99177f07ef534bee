"""Attention by phase congruency: the identity at start, and what learns then."""

import torch
from torch import Tensor
from torch.nn import functional as F

from vireid.networks.phase_attention import PhaseAttention


def inputs() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(5, 8, 12, 6, generator=generator).relu(), torch.rand(5, 1, 48, 24, generator=generator)


def test_is_the_identity_at_start_bit_for_bit() -> None:
    maps, congruency = inputs()
    module = PhaseAttention(8)
    assert torch.equal(module(maps, congruency, visible=3), maps)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(module(maps.bfloat16(), congruency, visible=3), maps.bfloat16())


def test_gates_by_modality_and_adds_phase_features() -> None:
    maps, congruency = inputs()
    module = PhaseAttention(8)
    with torch.no_grad():
        module.mask.weight.normal_()
        module.visible_gain.fill_(2.0)
        module.infrared_gain.fill_(0.5)
        module.phase_gain.fill_(0.3)
    found = module(maps, congruency, visible=2)
    scaled = F.interpolate(congruency, size=(12, 6), mode="bilinear")
    gate = 2 * F.conv2d(scaled, module.mask.weight, module.mask.bias, padding=2).sigmoid()
    added = 0.3 * F.conv2d(scaled, module.phase.weight, module.phase.bias, padding=2)
    expected = torch.cat([2.0 * gate[:2] * maps[:2], 0.5 * gate[2:] * maps[2:]]) + added
    torch.testing.assert_close(found, expected)


def test_one_modality_alone_leaves_the_other_gain_alone() -> None:
    maps, congruency = inputs()
    for count, learns, rests in ((5, "visible_gain", "infrared_gain"), (0, "infrared_gain", "visible_gain")):
        module = PhaseAttention(8)
        module(maps, congruency, visible=count).square().sum().backward()
        assert getattr(module, learns).grad != 0
        assert getattr(module, rests).grad == 0


def test_every_part_learns_within_two_steps() -> None:
    maps, congruency = inputs()
    module = PhaseAttention(8)
    before = {name: value.detach().clone() for name, value in module.named_parameters()}
    optimiser = torch.optim.SGD(module.parameters(), lr=0.01)
    for _ in range(2):
        optimiser.zero_grad()
        (module(maps, congruency, visible=3) - 1).square().mean().backward()
        optimiser.step()
    assert not [name for name, value in module.named_parameters() if torch.equal(value, before[name])]
