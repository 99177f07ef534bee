"""The method: two phases, what is frozen in the second, and what its options refuse."""

import pytest
import torch
from torch.nn import functional as F

from vireid.errors import RecipeError
from vireid.losses import batch_hard_triplet
from vireid.matching import Dot
from vireid.methods.bit import BIT, BITOptions
from vireid.types import Modality


def total(losses):
    return torch.stack(list(losses.values())).sum()


def test_base_losses_are_those_of_both_modalities(small, batch, clock):
    method = small().train()
    losses = method.losses(batch, clock("base"))
    whole = method.network(batch["visible"].images, batch["infrared"].images).whole
    labels = torch.cat([batch["visible"].labels, batch["infrared"].labels])
    logits = method.head(whole)[1]
    expected = F.cross_entropy(logits[:3], labels[:3]) + F.cross_entropy(logits[3:], labels[3:])
    torch.testing.assert_close(losses["identity"], expected)
    torch.testing.assert_close(losses["triplet"], batch_hard_triplet(whole, labels, margin=0.1))


def test_the_pair_phase_leaves_the_backbone_alone(small, batch, clock):
    method = small(dropout=0.5, path_dropout=0.5).train()
    before = {name: value.clone() for name, value in method.state_dict().items()}
    [group] = method.parameter_groups("pair")
    optimiser = torch.optim.SGD(group.parameters, lr=1.0)
    first = method.losses(batch, clock("pair"))
    second = method.losses(batch, clock("pair"))
    assert all(torch.equal(first[name], second[name]) for name in first)  # no dropout in what is frozen
    assert method.network.training
    total(first).backward()
    assert all(p.grad is None for p in (*method.network.parameters(), *method.head.parameters()))
    optimiser.step()
    changed = {name for name, value in method.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith("pairs.") for name in changed)


def test_pair_losses_see_all_pairs(small, batch, clock):
    method = small().train()
    losses = method.losses(batch, clock("pair"))
    tokens = [method.eval().network(batch[m].images, None).patches for m in ("visible", "infrared")]
    logits, _ = method.pairs.all_pairs(*tokens, chunk=7)
    same = batch["visible"].labels[:, None] == batch["infrared"].labels
    expected = F.binary_cross_entropy_with_logits(logits, same.float())
    torch.testing.assert_close(losses["pair"], expected)
    assert set(small(ac={"weight": 0.0}).losses(batch, clock("pair"))) == {"pair"}


@pytest.mark.parametrize("chunk", [1, 4, 1000])
def test_chunks_change_no_gradient(small, batch, clock, chunk):
    gradients = []
    for size in (18, chunk):
        method = small(chunk=size).train()
        total(method.losses(batch, clock("pair"))).backward()
        gradients.append({name: p.grad for name, p in method.pairs.named_parameters()})
    for name, value in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], value, atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize(
    "options",
    [
        {"bci": {"direction": "visible"}},
        {"bci": {"direction": "infrared"}, "qa": {"enabled": False}, "ac": {"weight": 0.0}},
        {"bci": {"share_streams": True}, "qa": {"enabled": False}},
        {"qa": {"aggregate": "mean", "mutual": False}},
        {"qa": {"k": 50, "completion": False}},
    ],
)
def test_every_row_of_the_ablation_trains_and_matches(small, batch, clock, options):
    method = small(**options).train()
    total(method.losses(batch, clock("pair"))).backward()
    trained = {name for name, p in method.pairs.named_parameters() if p.grad is not None and p.grad.isfinite().all()}
    assert trained == {name for name, _ in method.pairs.named_parameters()}
    with torch.inference_mode():
        sides = [method.eval().embed(batch[modality].images, modality) for modality in Modality]
        assert method.matcher().score(*sides).isfinite().all()


def test_the_baseline_is_the_backbone_alone(small, batch):
    method = small(pairs=False)
    assert method.phases(method.options) == ("base",)
    assert isinstance(method.matcher(), Dot)
    assert method.eval().embed(batch["visible"].images, Modality.VISIBLE).fields == {}
    assert not hasattr(method, "pairs")


def test_the_published_sizes():
    with torch.device("meta"):
        from vireid.types import DataInfo

        data = DataInfo(identities=395, image_size=(256, 128))
        method, shared = (BIT(BITOptions.model_validate({"bci": {"share_streams": s}}), data) for s in (False, True))
    assert method.network.grid == (21, 10)
    count = [sum(p.numel() for p in m.pairs.interaction.parameters()) for m in (method, shared)]
    assert count[0] == 2 * count[1]
    assert round(count[0] / 1e6, 1) == 42.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"architecture": "resnet50"}, "bit compares the patches of a ViT"),
        ({"bci": {"direction": "visible", "share_streams": True}}, "share_streams needs direction=both"),
        ({"qa": {"enabled": False, "k": 5}}, "leave the rest of qa"),
        ({"pairs": False, "ac": {"weight": 0.0}}, "pairs=false has no pair network"),
    ],
)
def test_options_without_effect_are_refused(small, options, message):
    with pytest.raises(RecipeError, match=message):
        small(**options)
