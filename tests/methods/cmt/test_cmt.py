"""CMT as a whole: routing, ablations, and what each loss sees."""

import pytest
import torch

from vireid.errors import RecipeError, UsageError
from vireid.evaluation.scoring import Pictures
from vireid.losses import identity_loss
from vireid.matching import Dot, ModulatedCosine, ModulatedEuclidean, ModulatedPartCosine
from vireid.methods import create
from vireid.methods.cmt import CMT
from vireid.networks.parts import PartClassifiers, PartReduction
from vireid.networks.pooling import StripeGeM
from vireid.networks.two_stream import TwoStreamResNet
from vireid.training.recipe import load_recipe, recipe_names
from vireid.types import Clock, DataInfo, Modality, View

SIZE = (48, 24)
DATA = DataInfo(identities=3, image_size=SIZE, visible_cameras=(1,), infrared_cameras=(3,))
CLOCK = Clock(phase="train", epoch=0, epochs=1, batch=0, batches=1, step=0, seed=0)
OFF = {"mam": {"enabled": False, "heads": 4}, "iam": {"modulation": "none"}}


def build(**options) -> CMT:
    torch.manual_seed(0)
    small = {"architecture": "resnet10t_half", "separate_stages": 1, "parts": 3, "part_channels": 32}
    return create("cmt", data=DATA, **(small | {"mam": {"heads": 4}} | options))


def pictures(count, seed):
    return torch.randn(count, 3, *SIZE, generator=torch.Generator().manual_seed(seed))


def batch():
    labels = torch.arange(3).repeat_interleave(2)
    return {
        modality.value: View(modality=modality, images=pictures(6, number), labels=labels, cameras=labels, rows=labels)
        for number, modality in enumerate(Modality)
    }


def embedded(method, modality, seed=9):
    with torch.inference_mode():
        return method.eval().embed(pictures(4, seed), modality)


def test_without_both_modules_it_is_the_part_baseline():
    method = build(**OFF).eval()
    torch.manual_seed(0)
    network, pool = TwoStreamResNet("resnet10t_half", separate_stages=1), StripeGeM(3)
    reduction, classifiers = PartReduction(3, 256, 32), PartClassifiers(3, 32, 3)
    modules = {"network": network, "reduction": reduction, "classifiers": classifiers}
    expected = {f"{name}.{key}" for name, module in modules.items() for key in module.state_dict()}
    assert set(method.state_dict()) == expected
    for name, module in modules.items():
        module.load_state_dict(method.get_submodule(name).state_dict())
        module.eval()
    images = pictures(4, 9)
    with torch.inference_mode():
        parts = reduction(pool(network(None, images)))
        found = method.embed(images, Modality.INFRARED)
        torch.testing.assert_close(found.vector, torch.nn.functional.normalize(parts.flatten(1)))
        torch.testing.assert_close(method.describe(images, Modality.INFRARED).complete, parts)
    assert not found.fields
    assert isinstance(method.matcher(), Dot)
    assert set(method.train().losses(batch(), CLOCK)) == {"identity", "hetero_centre"}


def test_each_modality_sees_its_own_stem_and_both_the_rest():
    method = build()
    plain = {modality: embedded(method, modality) for modality in Modality}

    def changed(part):
        before = {key: value.clone() for key, value in part.state_dict().items()}
        with torch.no_grad():
            for parameter in part.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        found = {m for m in Modality if (embedded(method, m).vector - plain[m].vector).abs().max() > 1e-5}
        part.load_state_dict(before)
        return found

    assert changed(method.network.infrared) == {Modality.INFRARED}
    assert changed(method.network.visible) == {Modality.VISIBLE}
    assert changed(method.network.shared.layer1) == set(Modality)


def test_at_the_start_the_query_changes_nothing_and_learns_to():
    method = build().train()
    query, gallery = embedded(method, Modality.INFRARED), embedded(method, Modality.VISIBLE, 8)
    assert torch.equal(query.fields["scale"], torch.ones(4, 32))
    assert torch.equal(query.fields["shift"], torch.zeros(4, 32))
    scores = method.matcher().score(query, gallery)
    torch.testing.assert_close(scores, query.vector @ gallery.vector.T, atol=1e-5, rtol=1e-5)
    optimiser = torch.optim.Adam(method.parameters(), lr=1e-2)
    for _ in range(3):
        optimiser.zero_grad()
        torch.stack(list(method.train().losses(batch(), CLOCK).values())).sum().backward()
        optimiser.step()
    assert all(bool(p.grad.abs().max() > 0) for p in method.modulation.parameters()), "the first layer too"
    assert (embedded(method, Modality.INFRARED).fields["scale"].std(dim=0) > 0).any(), "every query its own"


@pytest.mark.parametrize("kind", ["none", "scale", "shift", "affine"])
def test_ablations_of_the_modulation(kind):
    method = build(iam={"modulation": kind})
    with torch.no_grad():
        for parameter in method.modulation.parameters():
            parameter.add_(0.1)
    scale, shift = method.modulation(torch.randn(5, 3, 32))
    assert (kind in ("scale", "affine")) == (not torch.equal(scale, torch.ones(5, 32)))
    assert (kind in ("shift", "affine")) == bool(shift.any())
    assert ("modulation" in method.losses(batch(), CLOCK)) == (kind != "none")


@pytest.mark.parametrize(
    ("mam", "names"),
    [
        ({"consistency": "none"}, {"identity", "hetero_centre", "modulation"}),
        ({"compensation": False, "consistency": "none"}, {"identity", "hetero_centre", "modulation"}),
        ({"consistency": "part", "detach_centres": True}, {"consistency_visible", "consistency_infrared"}),
        ({"decoder_residual": True, "decoder_feed_forward": True, "layers": 2}, {"consistency_visible"}),
    ],
)
def test_ablations_of_the_modality_alignment_train(mam, names):
    method = build(mam={"heads": 4} | mam).train()
    losses = method.losses(batch(), CLOCK)
    assert names <= set(losses)
    assert ("consistency_visible" in losses) == (mam.get("consistency") != "none")
    torch.stack(list(losses.values())).sum().backward()
    assert not [name for name, p in method.named_parameters() if p.requires_grad and p.grad is None]


def test_completed_features_add_what_was_made_to_the_features_before_the_encoder():
    method = build().eval()
    with torch.inference_mode():
        found = method.describe(pictures(4, 9), Modality.VISIBLE)
        torch.testing.assert_close(found.complete, found.own + found.made)
        own = method.reduction(method.pool(method.network(pictures(4, 9), None)))
    torch.testing.assert_close(found.own, own)
    torch.testing.assert_close(found.attention.sum(dim=2), torch.ones(4, 3))
    refined = build(mam={"heads": 4, "compensation": False, "consistency": "none"}).eval()
    with torch.inference_mode():
        assert refined.describe(pictures(4, 9), Modality.VISIBLE).made is None


@pytest.mark.parametrize("modulation", ["none", "affine"])
@pytest.mark.parametrize(
    ("metric", "matcher"),
    [("cosine", ModulatedCosine), ("euclidean", ModulatedEuclidean), ("part_cosine", ModulatedPartCosine)],
)
def test_metrics(metric, matcher, modulation):
    method = build(metric=metric, iam={"modulation": modulation})
    if modulation == "none" and metric != "euclidean":
        matcher = Dot
    assert type(method.matcher()) is matcher
    query, gallery = embedded(method, Modality.INFRARED), embedded(method, Modality.VISIBLE, 8)
    assert set(query.fields) == set(matcher.fields)
    with torch.inference_mode():
        own, other = (
            method.describe(pictures(4, n), m).complete for n, m in ((9, Modality.INFRARED), (8, Modality.VISIBLE))
        )
    plain = {
        "cosine": torch.nn.functional.cosine_similarity(own.flatten(1)[:, None], other.flatten(1)[None], dim=2),
        "euclidean": -(own[:, None] - other[None]).square().sum((2, 3)),
        "part_cosine": torch.nn.functional.cosine_similarity(own[:, None], other[None], dim=3).mean(2),
    }[metric]
    torch.testing.assert_close(method.matcher().score(query, gallery), plain, atol=1e-4, rtol=1e-4)


def test_identity_loss_is_a_sum_over_parts():
    method = build(**OFF, smoothing=0.1)
    features, labels = torch.randn(6, 3, 32), torch.tensor([0, 1, 2, 0, 1, 2])
    logits = method.classifiers(features)
    expected = sum(identity_loss(logits[:, i], labels, smoothing=0.1) for i in range(3))
    torch.testing.assert_close(method._identity_loss(features, labels), expected)


def test_evaluation_mode_repeats_itself_and_dropout_is_seeded():
    method = build()
    assert torch.equal(embedded(method, Modality.VISIBLE).vector, embedded(method, Modality.VISIBLE).vector)
    values = []
    for _ in range(2):
        torch.manual_seed(3)
        values.append([value.item() for value in build().train().losses(batch(), CLOCK).values()])
    assert values[0] == values[1]


def test_an_unmodulated_score_explains_itself_stripe_by_stripe():
    from vireid.methods.explain import Shown

    method = build(**OFF).eval()
    query, candidate = (
        Shown(image=pictures(1, n)[0], modality=m) for n, m in ((9, Modality.INFRARED), (8, Modality.VISIBLE))
    )
    found = method.explain(query, candidate)
    with torch.inference_mode():
        own, other = (method.describe(s.image[None], s.modality).complete[0] for s in (query, candidate))
    expected = (own * other).sum(1) / (own.norm() * other.norm())
    assert found.query.ravel() == pytest.approx(expected.numpy(), abs=1e-6)
    assert found.together.diagonal() == pytest.approx(expected.numpy(), abs=1e-6)
    assert set(found.details) == {"scale of channels by the query", "shift of channels by the query"}


@pytest.mark.parametrize("metric", ["cosine", "part_cosine", "euclidean"])
def test_explanations_add_up_and_show_attention_and_modulation(metric):
    from vireid.methods.explain import Shown

    method = build(metric=metric).train()
    with torch.no_grad():
        for parameter in method.modulation.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    query, candidate = (
        Shown(image=pictures(1, n)[0], modality=m) for n, m in ((9, Modality.INFRARED), (8, Modality.VISIBLE))
    )
    found = method.explain(query, candidate)
    assert method.training, "left as it was"
    if metric != "euclidean":
        assert found.query.shape == (3, 1)
        assert found.query.sum() == pytest.approx(found.score) == found.candidate.sum()
        assert (found.together != 0).all(), "attention joins different stripes"
    sides = [method.eval().embed(shown.image[None], shown.modality) for shown in (query, candidate)]
    assert found.score == pytest.approx(method.matcher().score(*sides).item(), abs=1e-4, rel=1e-5)
    for side in ("query", "candidate"):
        assert found.details[f"prototype attention in the {side}"].sum(axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
    assert found.details["scale of channels by the query"] == pytest.approx(
        sides[0].fields["scale"][0].numpy(force=True) if metric else 0, abs=1e-6
    )


def test_embeddings_go_through_the_evaluator():
    import numpy as np

    from vireid.types import Embeddings, Trial

    method = build()
    found = embedded(method, Modality.VISIBLE)
    arrays = Embeddings.from_arrays({name: value.numpy() for name, value in found.arrays().items()})
    trial = Trial(index=0, query=np.arange(2), gallery=np.arange(2, 4), invalid=np.zeros((2, 2), bool))
    assert len(Pictures(arrays, np.arange(4), method.matcher(), [trial]).of(np.arange(2))) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mam": {"compensation": False}}, "set mam.consistency=none too"),
        ({"part_channels": 30, "mam": {"heads": 4}}, "part_channels=30 must be divisible by mam.heads=4"),
        ({"iam": {"modulation": "both"}}, "iam.modulation"),
        ({"mam": {"head": 4}}, "did you mean 'heads'"),
        ({"metric": "euclidean", "iam": {"distance": "retrieval"}}, "leave iam.distance out"),
    ],
)
def test_wrong_options_are_told(options, message):
    with pytest.raises(RecipeError, match=message):
        build(**options)


def test_it_needs_labels():
    with pytest.raises(UsageError, match="trained with labels"):
        create("cmt", data=DataInfo(identities=None, image_size=SIZE))


def test_the_published_recipes_and_their_baselines():
    for data, exponent in (("sysu", 3.0), ("regdb", 10.0), ("llcm", 3.0)):
        paper, plain = load_recipe(f"cmt-{data}"), load_recipe(f"cmt-hct-{data}")
        assert (paper.batch.identities, paper.batch.visible, paper.batch.infrared) == (8, 8, 8)
        assert (paper.image.size, paper.options["parts"]) == ((384, 144), 6)
        assert paper.options["pooling_exponent"] == exponent
        [phase] = paper.phases
        rates = [phase.optimiser.rate * phase.schedule.factor(epoch, 120) for epoch in (0, 59, 60, 89, 90)]
        assert rates == pytest.approx([3.5e-4, 3.5e-4, 3.5e-5, 3.5e-5, 3.5e-6])
        differences = {key for key in paper.options if paper.options[key] != plain.options[key]}
        assert differences == {"mam", "iam"}
        assert paper.model_copy(update={"options": {}}) == plain.model_copy(update={"options": {}})
        assert (plain.options["mam"]["enabled"], plain.options["iam"]["modulation"]) == (False, "none")
    assert {"cmt-demo", "cmt-hct-demo"} <= set(recipe_names())
