"""AMINet: what depends on what, its losses, its vector, its switches."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vireid.errors import RecipeError, UsageError
from vireid.losses import batch_hard_triplet, identity_loss, multi_kernel_mmd
from vireid.methods import create
from vireid.methods.aminet import AMINet
from vireid.methods.base import unit
from vireid.methods.explain import Shown
from vireid.training.recipe import load_recipe
from vireid.types import Batch, Clock, DataInfo, Embeddings, Modality, View

SIZE = (64, 32)
DATA = DataInfo(identities=4, image_size=SIZE, visible_cameras=(1,), infrared_cameras=(3,))
CLOCK = Clock(phase="train", epoch=0, epochs=2, batch=0, batches=3, step=0, seed=0)
OFF: dict[str, Any] = {"upper_body": {"enabled": False}, "mmd": {"intra": 0.0, "cross": 0.0}, "phase_attention": False}
NO_MMD = {"intra": 0.0, "cross": 0.0}


def build(**options: Any) -> AMINet:
    torch.manual_seed(0)
    found = create("aminet", data=DATA, **({"architecture": "resnet10t_half"} | options))
    assert isinstance(found, AMINet)
    return found.eval()


def pictures(count: int = 8, seed: int = 0, size: tuple[int, int] = SIZE) -> Tensor:
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(seed))


def batch_for(method: AMINet) -> Batch:
    labels = torch.arange(4).repeat_interleave(2)
    rest = {"labels": labels, "cameras": torch.ones(8, dtype=torch.int64), "rows": torch.arange(8)}
    return {
        name: View(modality=request.modality, images=pictures(8, number, (request.rows(SIZE[0]), SIZE[1])), **rest)
        for number, (name, request) in enumerate(method.views().items())
    }


@torch.no_grad()
def embedded(method: AMINet, images: Tensor, modality: Modality = Modality.VISIBLE) -> Tensor:
    return method.embed(images, modality).vector


@torch.no_grad()
def shake(module: nn.Module) -> None:
    for parameter in module.parameters():
        parameter.add_(torch.randn_like(parameter))


# What there is


def test_the_vector_holds_both_crops_and_is_of_unit_length() -> None:
    found = embedded(build(), pictures())
    assert found.shape == (8, 512)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(8))


def test_a_published_network_gives_4096_numbers_or_2048_without_the_upper_body() -> None:
    with torch.device("meta"):
        whole, half = (AMINet(AMINet.Options.model_validate(options), DATA) for options in ({}, OFF))
    assert whole.mixed_head.neck.num_features == 4096
    assert half.full_head.neck.num_features == 2048
    assert 45e6 < sum(p.numel() for p in whole.parameters()) < 55e6


def test_without_the_upper_body_none_of_its_parts_are_there() -> None:
    method = build(**OFF)
    assert embedded(method, pictures()).shape == (8, 256)
    assert {name.partition(".")[0] for name, _ in method.named_parameters()} == {"full", "full_head"}
    assert set(method.views()) == {"visible", "infrared"}


@pytest.mark.parametrize(
    ("size", "expected"), [((388, 144), (25, 9)), ((194, 144), (13, 9)), ((384, 144), (24, 9)), ((192, 144), (12, 9))]
)
def test_maps_are_a_sixteenth_of_the_crop(size: tuple[int, int], expected: tuple[int, int]) -> None:
    network = build(**OFF).full.network
    with torch.no_grad():
        assert tuple(network(pictures(1, 0, size), None).shape[2:]) == expected


@pytest.mark.parametrize(("proportion", "rows"), [(0.3, 116), (0.5, 194), (0.6, 232), (1.0, 388)])
def test_rows_of_the_upper_body_at_the_published_size(proportion: float, rows: int) -> None:
    data = DataInfo(identities=4, image_size=(388, 144))
    method = create("aminet", data=data, architecture="resnet10t_half", upper_body={"proportion": proportion})
    assert method.upper_rows == rows
    assert method.upper.congruency.size == (rows, 144)  # type: ignore[union-attr]


# What depends on what


def test_the_lower_half_does_not_reach_the_upper_body() -> None:
    method = build(retrieval="pooled")
    images = pictures()
    other = images.clone()
    other[:, :, SIZE[0] // 2 :] = 3.0
    seen: list[Tensor] = []
    method.upper.register_forward_hook(lambda module, inputs, result: seen.append(result))
    one, two = embedded(method, images), embedded(method, other)
    assert torch.equal(*seen)
    assert not torch.equal(one, two)


def test_changed_infrared_stems_leave_visible_features_alone() -> None:
    method = build()
    before = {modality: embedded(method, pictures(), modality) for modality in Modality}
    shake(method.full.network.infrared)
    shake(method.upper.network.infrared)
    assert torch.equal(embedded(method, pictures(), Modality.VISIBLE), before[Modality.VISIBLE])
    assert not torch.equal(embedded(method, pictures(), Modality.INFRARED), before[Modality.INFRARED])


def test_a_changed_upper_trunk_leaves_full_body_features_alone() -> None:
    method = build()
    with torch.no_grad():
        full, upper = method.full(pictures(), None), method.upper(pictures()[:, :, :32], None)
        shake(method.upper.network.shared)
        assert torch.equal(method.full(pictures(), None), full)
        assert not torch.equal(method.upper(pictures()[:, :, :32], None), upper)


def test_a_shared_trunk_is_that_of_the_full_body() -> None:
    method, separate = build(upper_body={"trunk": "shared"}), build()
    assert not list(method.upper.network.shared.parameters())
    assert not [name for name in method.state_dict() if name.startswith("upper.network.shared")]
    assert "upper.network.shared.layer4.0.conv1.weight" in separate.state_dict()
    before = embedded(method, pictures())
    shake(method.full.network.shared)
    assert not torch.equal(embedded(method, pictures())[:, 256:], before[:, 256:])


@pytest.mark.parametrize("trunk", ["separate", "shared"])
def test_start_weights_reach_all_stems_and_trunks(trunk: str) -> None:
    method = build(upper_body={"trunk": trunk})
    report = method.load_start("stand-in")
    assert report is not None
    assert report.loaded
    stems = [getattr(branch.network, m.value).state_dict() for branch in (method.full, method.upper) for m in Modality]
    for stem in stems[1:]:
        assert all(torch.equal(value, stems[0][name]) for name, value in stem.items())
    if trunk == "separate":
        trunks = [branch.network.shared.state_dict() for branch in (method.full, method.upper)]
        assert all(torch.equal(value, trunks[1][name]) for name, value in trunks[0].items())
    assert method.load_start("none").loaded == ()  # type: ignore[union-attr]


def test_attention_is_the_identity_at_start_bit_for_bit() -> None:
    method, without = build(), build(phase_attention=False)
    without.load_state_dict({name: v for name, v in method.state_dict().items() if ".attention." not in name[:20]})
    for modality in Modality:
        assert torch.equal(embedded(method, pictures(), modality), embedded(without, pictures(), modality))


# Losses


def test_all_off_leaves_identity_and_triplet_of_the_full_body() -> None:
    method = build(**OFF).train()
    batch = batch_for(method)
    found = method.losses(batch, CLOCK)
    labels = torch.arange(4).repeat_interleave(2).repeat(2)
    pooled = method.full(batch["visible"].images, batch["infrared"].images)
    _, logits = method.full_head(pooled)
    assert set(found) == {"full_identity", "full_triplet"}
    torch.testing.assert_close(found["full_identity"], identity_loss(logits, labels), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found["full_triplet"], batch_hard_triplet(pooled, labels, margin=0.35))


@pytest.mark.parametrize(
    ("mmd", "added"),
    [
        (NO_MMD, set()),
        ({"intra": 0.4, "cross": 0.0}, {"intra_mmd"}),
        ({"intra": 0.0, "cross": 0.6}, {"cross_mmd"}),
        ({"intra": 0.4, "cross": 0.6}, {"intra_mmd", "cross_mmd"}),
    ],
)
def test_rows_of_the_ablation_table_by_their_losses(mmd: dict[str, float], added: set[str]) -> None:
    method = build(mmd=mmd).train()
    found = method.losses(batch_for(method), CLOCK)
    features = ("full", "upper", "intra", "cross")
    assert set(found) == {f"{one}_{loss}" for one in features for loss in ("identity", "triplet")} | added


@pytest.mark.parametrize("form", ["paper", "official"])
@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
def test_losses_are_those_of_the_features_by_hand(form: str, estimator: str) -> None:
    method = build(mmd={"intra": 0.4, "cross": 0.6, "estimator": estimator}, cross_descriptor=form)
    batch = batch_for(method)
    labels = torch.arange(4).repeat_interleave(2)
    with torch.no_grad():
        found = method.losses(batch, CLOCK)
        g_v, a_v = (branch(batch["visible"].images[:, :, :h], None) for branch, h in halves(method))
        g_i, a_i = (branch(None, batch["infrared"].images[:, :, :h]) for branch, h in halves(method))
        intra = torch.cat([g_v, a_v], 1), torch.cat([g_i, a_i], 1)
        crossed = {
            "paper": (torch.cat([g_v, a_i], 1), torch.cat([g_i, a_v], 1)),
            "official": (torch.cat([g_v, g_i], 1), torch.cat([a_i, a_v], 1)),
        }[form]
        for name, pair, weight in (("intra", intra, 0.4), ("cross", crossed, 0.6)):
            rows = torch.cat(pair)
            _, logits = method.mixed_head(rows)
            triplet = batch_hard_triplet(rows, labels.repeat(2), margin=0.35)
            mmd = weight * multi_kernel_mmd(*pair, weights=torch.ones(5), estimator=estimator)  # type: ignore[arg-type]
            torch.testing.assert_close(found[f"{name}_identity"], identity_loss(logits, labels.repeat(2)))
            torch.testing.assert_close(found[f"{name}_triplet"], triplet, atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(found[f"{name}_mmd"], mmd, atol=1e-4, rtol=1e-4)


def halves(method: AMINet) -> list[tuple[nn.Module, int]]:
    return [(method.full, SIZE[0]), (method.upper, SIZE[0] // 2)]


def test_an_upper_body_that_is_augmented_on_its_own_comes_as_views() -> None:
    method = build(upper_body={"augmentation": "independent", "proportion": 0.6}).train()
    views = method.views()
    assert list(views) == ["visible", "infrared", "visible_upper", "infrared_upper"]
    assert [view.upper for view in views.values()] == [1.0, 1.0, 0.6, 0.6]
    assert [view.modality for view in views.values()] == [*Modality, *Modality]
    seen: list[Tensor] = []
    method.upper.network.visible.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    batch = batch_for(method)
    method.losses(batch, CLOCK)
    assert torch.equal(seen[0], batch["visible_upper"].images)
    assert seen[0].shape[2] == method.upper_rows == 38


@pytest.mark.parametrize("alpha", ["softmax_min", "softmax_max"])
def test_learnt_kernel_weights_are_trained_with_the_heads(alpha: str) -> None:
    method = build(mmd={"alpha": alpha}).train()
    heads, backbone = method.parameter_groups("train")
    logits = [id(module.logits) for module in method.discrepancies.values()]
    assert len(logits) == 2
    assert set(logits) <= {id(p) for p in heads.parameters}
    assert (heads.rate, backbone.rate) == (1.0, 0.1)
    torch.stack(list(method.losses(batch_for(method), CLOCK).values())).sum().backward()
    assert all(module.logits.grad.abs().sum() > 0 for module in method.discrepancies.values())


def test_a_batch_that_is_not_paired_is_refused() -> None:
    method = build().train()
    batch = dict(batch_for(method))
    view = batch["infrared"]
    batch["infrared"] = View(
        modality=view.modality, images=view.images, labels=view.labels.flip(0), cameras=view.cameras, rows=view.rows
    )
    with pytest.raises(UsageError, match=r"set batch\.visible = batch\.infrared"):
        method.losses(batch, CLOCK)


# Search


def test_neck_or_pooled_features_are_compared() -> None:
    method, pooled = build(), build(retrieval="pooled")
    pooled.load_state_dict(method.state_dict())
    with torch.no_grad():
        method.mixed_head.neck.weight.uniform_(0.5, 2.0)
        feature = torch.cat([branch(pictures()[:, :, :h], None) for branch, h in halves(method)], dim=1)
        torch.testing.assert_close(embedded(pooled, pictures()), unit(feature))
        torch.testing.assert_close(embedded(method, pictures()), unit(method.mixed_head.neck(feature)))


def test_the_explanation_holds_the_parts_and_the_phase_congruency_of_both_pictures() -> None:
    method = build().train()
    query, candidate = (Shown(image=pictures(1, n)[0], modality=m) for n, m in enumerate(Modality))
    found = method.explain(query, candidate)
    assert method.training
    assert [part.name for part in found.parts] == ["full body", "upper body"]
    assert sum(part.weight for part in found.parts) == pytest.approx(found.score, abs=1e-5)
    vectors = [embedded(method.eval(), shown.image[None], shown.modality)[0] for shown in (query, candidate)]
    assert found.parts[0].weight == pytest.approx(float(vectors[0][:256] @ vectors[1][:256]), abs=1e-5)
    one, other = found.maps["phase congruency"]
    assert one.shape == other.shape == SIZE
    assert method.full.congruency is not None
    np.testing.assert_array_equal(other, method.full.congruency(candidate.image[None])[0, 0].double().numpy())


def test_an_explanation_names_nothing_that_is_not_there() -> None:
    query, candidate = (Shown(image=pictures(1, n)[0], modality=m) for n, m in enumerate(Modality))
    found = build(**OFF).explain(query, candidate)
    assert (found.parts, found.maps) == ((), {})


# Options and recipes


def test_a_discrepancy_of_descriptors_that_are_not_there_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"with upper_body\.enabled=false set both to 0"):
        build(upper_body={"enabled": False})
    with pytest.raises(RecipeError, match="did you mean 'proportion'"):
        build(upper_body={"proportions": 0.5})
    with pytest.raises(UsageError, match="trained with labels"):
        create("aminet", data=DataInfo(identities=None, image_size=SIZE))


def test_recipes_are_the_paper_and_its_code() -> None:
    paper, official = (load_recipe(name).method_options() for name in ("aminet-sysu", "aminet-official-sysu"))
    assert isinstance(paper, AMINet.Options)
    assert isinstance(official, AMINet.Options)
    assert (paper.mmd.intra, paper.mmd.cross, paper.mmd.estimator) == (0.4, 0.6, "unbiased")
    assert (paper.phase_attention, paper.mmd.alpha, paper.cross_descriptor) == (True, "softmax_min", "paper")
    assert (official.mmd.intra, official.mmd.cross, official.mmd.estimator) == (1.0, 1.0, "biased")
    assert (official.phase_attention, official.mmd.alpha, official.cross_descriptor) == (False, "fixed", "official")
    for name in ("aminet-sysu", "aminet-official-sysu", "aminet-regdb", "aminet-official-regdb", "aminet-llcm"):
        recipe = load_recipe(name)
        assert recipe.image.size == (388, 144)
        rates = [0.1 * recipe.phases[0].schedule.factor(epoch, 80) for epoch in (0, 10, 19, 20, 49, 50, 79)]
        assert rates == pytest.approx([0.01, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    regdb = load_recipe("aminet-regdb").method_options()
    assert isinstance(regdb, AMINet.Options)
    assert (regdb.mmd.intra, regdb.mmd.cross) == (0.2, 0.8)


def test_the_demo_baseline_is_the_demo_without_what_the_paper_adds() -> None:
    demo, baseline = (load_recipe(name).resolved() for name in ("aminet-demo", "aminet-baseline-demo"))
    assert {key for key in demo if demo[key] != baseline[key]} == {"options"}
    changed = {key for key in demo["options"] if demo["options"][key] != baseline["options"][key]}
    assert changed == {"phase_attention", "upper_body", "mmd"}
    expected = build(**OFF, backbone_rate=1.0, retrieval="pooled").options
    assert create("aminet", data=DATA, **baseline["options"]).options == expected


def test_vectors_of_one_modality_alone_have_fields_for_no_matcher() -> None:
    found = build().embed(pictures(2), Modality.INFRARED)
    assert isinstance(found, Embeddings)
    assert not found.fields
