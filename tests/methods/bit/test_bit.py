"""The method: two phases, what is frozen in the second, and what its options refuse."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from vireid.errors import RecipeError, UsageError
from vireid.losses import batch_hard_triplet
from vireid.losses.modality_gap import discriminative_centre_loss, modality_shared_enhancement
from vireid.matching import Dot
from vireid.methods.bit import BIT, BITOptions
from vireid.types import Modality


def total(losses):
    return torch.stack(list(losses.values())).sum()


def test_base_losses_are_those_of_both_modalities(small, batch, clock):
    method = small(pmt={"enabled": False}).train()
    losses = method.losses(batch, clock("base"))
    whole = method.network(batch["visible"].images, batch["infrared"].images).whole
    labels = torch.cat([batch["visible"].labels, batch["infrared"].labels])
    logits = method.head(whole)[1]
    expected = F.cross_entropy(logits[:3], labels[:3]) + F.cross_entropy(logits[3:], labels[3:])
    torch.testing.assert_close(losses["identity"], expected)
    torch.testing.assert_close(losses["triplet"], batch_hard_triplet(whole, labels, margin=0.1))
    assert set(losses) == {"identity", "triplet"}


def doubled(batch):
    """Two visible pictures of each person, as two infrared ones."""
    view = batch["visible"]
    images = torch.cat([view.images, view.images.flip(3)])
    more = {name: getattr(view, name).repeat(2) for name in ("labels", "cameras", "rows")}
    return {**batch, "visible": replace(view, images=images, **more)}


def test_pmt_begins_with_grey_pictures_and_triplets_within_a_modality(small, batch, clock):
    method, batch = small(pmt={"grey_epochs": 1}).train(), doubled(batch)
    losses = method.losses(batch, clock("base"))
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (method.data.mean, method.data.std))
    pixels = batch["visible"].images * std + mean
    grey = 0.299 * pixels[:, :1] + 0.587 * pixels[:, 1:2] + 0.114 * pixels[:, 2:]
    whole = method.network((grey - mean) / std, batch["infrared"].images).whole
    labels = batch["visible"].labels
    expected = sum(batch_hard_triplet(side, labels, margin=0.1) for side in whole.split(6))
    torch.testing.assert_close(losses["triplet"], expected, atol=1e-4, rtol=1e-4)
    assert set(losses) == {"identity", "triplet"}


def test_pmt_goes_on_with_its_two_losses(small, batch, clock):
    method, batch = small(pmt={"grey_epochs": 1, "enhancement": 0.25, "centre": 2.0}).train(), doubled(batch)
    losses = method.losses(batch, replace(clock("base"), epoch=1))
    whole = method.network(batch["visible"].images, batch["infrared"].images).whole
    labels = batch["visible"].labels.repeat(2)
    infrared = torch.arange(12) >= 6
    torch.testing.assert_close(losses["enhancement"], 0.25 * modality_shared_enhancement(whole, labels, infrared))
    torch.testing.assert_close(losses["centre"], 2 * discriminative_centre_loss(whole, labels))
    torch.testing.assert_close(losses["triplet"], batch_hard_triplet(whole, labels, margin=0.1))
    off = small(pmt={"grey_epochs": 0, "enhancement": 0.0, "centre": 0.0}).train()
    assert set(off.losses(batch, clock("base"))) == {"identity", "triplet"}


def test_the_last_blocks_join_in(small, batch, clock):
    method = small(joint={"blocks": 1, "rate": 0.5}).train()
    pairs, joint = method.parameter_groups("pair")
    assert (pairs.rate, joint.rate) == (1.0, 0.5)
    learning = {id(p) for p in joint.parameters}
    names = {name for name, p in method.named_parameters() if id(p) in learning}
    assert all(name.startswith(("network.model.blocks.5.", "network.model.norm.", "head.")) for name in names)
    losses = method.losses(batch, clock("pair"))
    assert {"pair", "contrast", "identity", "triplet"} == set(losses)
    losses["pair"].backward()
    assert method.network.model.blocks[5].attn.qkv.weight.grad.abs().sum() > 0
    with pytest.raises(UsageError, match="has 6 blocks, not 7"):
        small(joint={"blocks": 7})


def test_what_pairs_know_is_taught_to_the_vector_alone(small, batch, clock):
    method = small(distil={"weight": 1.0}, retrieval="vector").train()
    plain = small(pairs=False).eval()
    images = batch["visible"].images
    torch.testing.assert_close(
        method.eval().embed(images, Modality.VISIBLE).vector, plain.embed(images, Modality.VISIBLE).vector
    )
    method.train()
    losses = method.losses(batch, clock("pair"))
    losses["distillation"].backward()
    learnt = {name for name, p in method.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert learnt == {"distilled.weight", "distilled.bias"}
    assert isinstance(method.matcher(), Dot)
    assert method.eval().embed(images, Modality.VISIBLE).fields == {}


def test_hard_pairs_are_a_part_of_all(small, batch, clock):
    method, whole = small(negatives=1).train(), small().train()
    looked = []
    inner = method.pairs.all_pairs
    method.pairs.all_pairs = lambda *sides, **options: looked.append(options["looked"]) or inner(*sides, **options)
    losses = method.losses(batch, clock("pair"))
    same = batch["visible"].labels[:, None] == batch["infrared"].labels
    assert (looked[0] & same).equal(same)
    assert 6 < looked[0].sum() < 18
    assert ((looked[0] & ~same).sum(0) >= 1).all()
    assert ((looked[0] & ~same).sum(1) >= 1).all()
    every = small(negatives=6).train().losses(batch, clock("pair"))
    for name, value in whole.losses(batch, clock("pair")).items():
        torch.testing.assert_close(every[name], value)
        assert not torch.equal(losses[name], value)


def test_patches_that_the_class_token_looks_at_are_kept(small, batch):
    method = small({"tokens": 2}).eval()
    images = batch["infrared"].images
    with torch.no_grad():
        found = method.embed(images, Modality.INFRARED)
        seen = method.network(None, images, attention=True)
    assert found.fields["tokens"].shape == (6, 2, 128)
    best = seen.attention.topk(2, dim=1).indices.sort(dim=1).values
    assert torch.equal(found.fields["places"].long(), best)
    rows = torch.arange(6)[:, None]
    torch.testing.assert_close(found.fields["tokens"].float(), seen.patches[rows, best], atol=1e-2, rtol=1e-2)
    with pytest.raises(UsageError, match=r"bci.tokens is 7, but a picture has 6 patches"):
        small({"tokens": 7})


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
    sides = [method.pairs.prepare(side, modality) for side, modality in zip(tokens, Modality, strict=True)]
    logits, _ = method.pairs.all_pairs(*sides, chunk=7)
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
        {"bci": {"tokens": 4, "width": 32}, "negatives": 1},
        {"distil": {"weight": 0.5}, "joint": {"blocks": 2}},
        {"architecture": "resnet10t_half", "stride": None, "separate_stages": 1, "joint": {"blocks": 1}},
        {"architecture": "resnet10t_half", "stride": None, "bci": {"tokens": 4, "width": 32}},
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
        ({"architecture": "resnet50"}, "set stride=null"),
        ({"separate_stages": 1}, "a ViT has no stages of its own"),
        ({"bci": {"direction": "visible", "share_streams": True}}, "share_streams needs direction=both"),
        ({"qa": {"enabled": False, "k": 5}}, "leave the rest of qa"),
        ({"pairs": False, "ac": {"weight": 0.0}}, "pairs=false has no pair network; leave ac out"),
        ({"pairs": False, "negatives": 3, "retrieval": "vector"}, "leave negatives and retrieval out"),
        ({"pmt": {"enabled": False, "centre": 1.0}}, "leave the rest of pmt"),
        ({"joint": {"rate": 0.5}}, "give blocks too"),
        ({"distil": {"temperature": 0.5}}, "give weight too"),
    ],
)
def test_options_without_effect_are_refused(small, options, message):
    with pytest.raises(RecipeError, match=message):
        small(**options)
