"""CAL as a whole: its embeddings, its retrieval, its rows of the ablation, and what happens at the end."""

from typing import Any

import numpy as np
import pytest
import torch

from vireid.errors import UsageError
from vireid.methods import create
from vireid.methods.cal import CAL
from vireid.methods.cal.correspondence import permutation_table
from vireid.methods.explain import Shown
from vireid.types import Batch, Clock, DataInfo, Embeddings, Modality, View

VISIBLE, INFRARED = Modality.VISIBLE, Modality.INFRARED
DATA = DataInfo(identities=4, image_size=(64, 32), visible_cameras=(1,), infrared_cameras=(3,))
NO_KD = {"masks": 0, "logits": 0}
ROWS: dict[str, dict[str, Any]] = {
    "full": {},
    "baseline": {"tca": False, "kd": NO_KD},
    "tca": {"kd": NO_KD},
    "no-diversity": {"drm": {"diversity_weight": 0}},
    "no-region-identity": {"drm": {"identity_weight": 0}},
    "shared": {"drm": {"shared": True}},
    "vectors": {"drm": {"kind": "vectors"}},
    "stripes": {"drm": {"kind": "stripes", "parts": 6}},
    "scaled-dot": {"tsaa": {"similarity": "scaled_dot"}},
    "no-gate": {"tsaa": {"similarity": "scaled_dot", "channel_gate": False}},
    "pcl-none": {"pcl": {"kind": "none"}},
    "pcl-triplet": {"pcl": {"kind": "triplet"}},
    "pcl-centre": {"pcl": {"kind": "centre"}},
    "masks-only": {"kd": {"logits": 0}},
    "logits-only": {"kd": {"masks": 0}},
    "cosine": {"kd": {"similarity": "cosine"}},
    "identity-match": {"kd": {"match": "identity"}},
    "seven-parts": {"drm": {"parts": 7}},
}
TERMS = {
    "baseline": {"identity"},
    "tca": {"identity", "part_alignment", "region_identity", "region_overlap"},
    "vectors": {"identity", "part_alignment", "mask_distillation", "logit_distillation"},
    "stripes": {"identity", "part_alignment", "region_identity", "mask_distillation", "logit_distillation"},
    "pcl-triplet": {
        "identity", "triplet", "region_identity", "region_overlap", "mask_distillation", "logit_distillation",
    },
    "logits-only": {"identity", "part_alignment", "region_identity", "region_overlap", "logit_distillation"},
}  # fmt: skip


def build(**options: Any) -> CAL:
    torch.manual_seed(0)
    options["tsaa"] = {"width": 16, **options.get("tsaa", {})}
    method = create("cal", data=DATA, architecture="resnet10t_half", **options)
    assert isinstance(method, CAL)
    return method


def pictures(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 3, 64, 32, generator=torch.Generator().manual_seed(seed))


def batch() -> Batch:
    """Four identities: two visible and three infrared pictures of each."""

    def view(modality: Modality, each: int) -> View:
        labels = torch.arange(4).repeat_interleave(each)
        return View(
            modality=modality,
            images=pictures(4 * each, each),
            labels=labels,
            cameras=torch.ones_like(labels),
            rows=torch.arange(4 * each),
        )

    return {"visible": view(VISIBLE, 2), "infrared": view(INFRARED, 3)}


def clock(epoch: int = 0) -> Clock:
    return Clock(phase="train", epoch=epoch, epochs=2, batch=0, batches=1, step=0, seed=0)


def embedded(method: CAL, modality: Modality, seed: int = 0) -> Embeddings[torch.Tensor]:
    method.eval()
    with torch.inference_mode():
        return method.embed(pictures(4, seed), modality)


@pytest.mark.parametrize("row", ROWS)
def test_every_row_of_the_ablation_trains_all_that_it_has(row: str) -> None:
    method = build(**ROWS[row]).train()
    losses = method.losses(batch(), clock())
    if row in TERMS:
        assert set(losses) == TERMS[row]
    torch.stack(list(losses.values())).sum().backward()
    modules = {
        name.split(".")[0]
        for name, parameter in method.named_parameters()
        if parameter.grad is not None and parameter.grad.abs().sum() > 0
    }
    assert modules == {name.split(".")[0] for name, parameter in method.named_parameters() if parameter.requires_grad}
    assert not [n for n, p in method.named_parameters() if p.requires_grad and p.grad is None]
    method.after_step(batch(), getattr(losses, "embeddings", {}), clock(epoch=1))
    method.end_phase(None, clock(epoch=1))  # type: ignore[arg-type]
    assert embedded(method, VISIBLE).vector.norm(dim=1) == pytest.approx(torch.ones(4).numpy(), abs=1e-5)


def test_mask_distillation_lies_between_minus_two_parts_and_zero() -> None:
    losses = build().train().losses(batch(), clock())
    assert -2 * 4 <= float(losses["mask_distillation"].detach()) < 0
    assert float(losses["logit_distillation"].detach()) >= 0


def test_pairs_change_with_every_step_and_not_with_the_seed() -> None:
    method = build().train()

    def draw(seed: int) -> float:
        torch.manual_seed(seed)
        return float(method.losses(batch(), clock())["part_alignment"].detach())

    assert draw(1) == draw(1)
    assert len({draw(seed) for seed in range(6)}) > 1


def test_matchings_are_counted_in_the_last_epoch_alone_from_infrared_to_visible() -> None:
    method = build().train()
    found = method.losses(batch(), clock()).embeddings["matchings"]  # type: ignore[attr-defined]
    assert found.shape == (20,)
    method.after_step(batch(), {"matchings": found}, clock(epoch=0))
    assert int(method.matches.counts.sum()) == 0
    method.after_step(batch(), {"matchings": found}, clock(epoch=1))
    assert int(method.matches.counts.sum()) == 20
    assert "matches.counts" in method.state_dict()


def test_both_sides_of_a_planted_order_are_counted_as_one_matching() -> None:
    """Visible part u is made with the prototype of infrared part order[u], so that parts match crosswise."""
    method = build(drm={"kept": 4.0}).train()
    order = torch.tensor([1, 2, 3, 0])
    visible, infrared = (method.regions[m] for m in (VISIBLE, INFRARED))
    with torch.no_grad():
        infrared.scorer.weight.mul_(40)
        visible.scorer.weight.copy_(infrared.scorer.weight[order])
        for layer in (method.adapter.of_positions, method.adapter.of_queries):
            layer.load_state_dict(method.adapter.of_positions.state_dict())
    images = pictures(4, 3)
    method.network.infrared.load_state_dict(method.network.visible.state_dict())
    view = {
        m: View(modality=m, images=images, labels=torch.arange(4), cameras=torch.ones(4), rows=torch.arange(4))
        for m in Modality
    }
    same = {m.value: view[m] for m in Modality}
    method.eval()
    numbers = method.losses(same, clock()).embeddings["matchings"]  # type: ignore[attr-defined]
    expected = order.argsort()  # infrared part u is visible part expected[u]
    assert permutation_table(4)[numbers].tolist() == [expected.tolist()] * 8
    method.after_step(same, {"matchings": numbers}, clock(epoch=1))
    before = embedded(method, INFRARED).vector
    method.end_phase(None, clock(epoch=1))  # type: ignore[arg-type]
    torch.testing.assert_close(visible.scorer.weight, infrared.scorer.weight)
    torch.testing.assert_close(embedded(method, VISIBLE).vector, before)


def test_reordering_permutes_the_visible_parts_and_nothing_else() -> None:
    method = build()
    before = {m: embedded(method, m).vector.unflatten(1, (4, -1)) for m in Modality}
    classifiers = method.part_classifiers[VISIBLE].weight.detach().clone()
    method.matches.add(torch.tensor([9, 9, 2]))
    order = permutation_table(4)[9]
    method.end_phase(None, clock(epoch=1))  # type: ignore[arg-type]
    after = {m: embedded(method, m).vector.unflatten(1, (4, -1)) for m in Modality}
    torch.testing.assert_close(after[VISIBLE], before[VISIBLE][:, order])
    assert torch.equal(after[INFRARED], before[INFRARED])
    assert torch.equal(method.part_classifiers[VISIBLE].weight, classifiers[order])


@pytest.mark.parametrize("row", ["shared", "stripes", "identity-match", "tca"])
def test_parts_that_have_their_place_are_not_reordered(row: str) -> None:
    method = build(**ROWS[row])
    if hasattr(method, "matches"):
        method.matches.add(torch.tensor([9, 9]))
    before = {name: value.clone() for name, value in method.state_dict().items()}
    method.end_phase(None, clock(epoch=1))  # type: ignore[arg-type]
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())


def test_a_change_of_the_infrared_prototypes_leaves_visible_pictures_alone() -> None:
    method = build(retrieval="target-aware")
    before = {m: embedded(method, m) for m in Modality}
    with torch.no_grad():
        method.regions[INFRARED].scorer.weight.normal_()
    after = {m: embedded(method, m) for m in Modality}
    assert all(torch.equal(after[VISIBLE].arrays()[k], v) for k, v in before[VISIBLE].arrays().items())
    assert not torch.equal(after[INFRARED].vector, before[INFRARED].vector)


def test_vectors_score_the_mean_cosine_of_parts() -> None:
    method = build()
    query, gallery = (embedded(method, m, seed).vector.double() for seed, m in enumerate(Modality))
    parts = [torch.nn.functional.normalize(v.unflatten(1, (4, -1)), dim=2) for v in (query, gallery)]
    torch.testing.assert_close(query @ gallery.T, torch.einsum("qpc,gpc->qg", *parts) / 4, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("retrieval", ["target-aware", "target-aware-mutual"])
def test_a_picture_that_is_searched_with_itself_scores_one(retrieval: str) -> None:
    method = build(retrieval=retrieval)
    found = embedded(method, VISIBLE)
    assert found.fields["tokens"].dtype == torch.float16
    scores = method.matcher().score(found, found)
    torch.testing.assert_close(scores.diagonal(), torch.ones(4), atol=2e-3, rtol=0)
    assert set(method.matcher().fields) == set(found.fields)
    assert torch.equal(found.vector, embedded(build(), VISIBLE).vector)


@pytest.mark.parametrize("retrieval", ["self", "target-aware", "target-aware-mutual"])
def test_an_explanation_divides_the_score_among_regions_and_parts(retrieval: str) -> None:
    method = build(retrieval=retrieval).train()
    with torch.no_grad():
        method.regions[VISIBLE].scorer.weight.mul_(50)
        method.adapter.of_queries[-1].weight.mul_(20)
    shown = [Shown(image=pictures(1, n)[0], modality=m) for n, m in enumerate((INFRARED, VISIBLE))]
    found = method.explain(*shown)
    assert method.training
    method.eval()
    with torch.inference_mode():
        sides = [method.embed(one.image[None], one.modality) for one in shown]
    assert found.score == pytest.approx(float(method.matcher().score(*sides)), abs=1e-3)
    assert found.together.sum() == pytest.approx(found.score, abs=1e-5)
    np.testing.assert_allclose(found.together.sum(axis=1), found.query.ravel())
    np.testing.assert_allclose(found.together.sum(axis=0), found.candidate.ravel())
    assert sum(part.weight for part in found.parts) == pytest.approx(found.score, abs=1e-5)
    assert len(found.parts) == 4
    for part in found.parts:
        assert part.query.shape == part.candidate.shape == (4, 2)
        assert part.query.sum() == pytest.approx(1, abs=1e-5)
        assert part.candidate.sum() == pytest.approx(1, abs=1e-5)
        assert part.candidate_region is not None
        assert 0 < part.candidate_region.sum() <= 1 + 1e-5
    assert found.parts[0].candidate.max() > 0.15  # attention is not even here


def test_stripes_have_attention_but_no_mined_regions_and_the_baseline_is_covered() -> None:
    shown = [Shown(image=pictures(1, n)[0], modality=m) for n, m in enumerate((INFRARED, VISIBLE))]
    assert all(part.query_region is None for part in build(**ROWS["stripes"]).explain(*shown).parts)
    assert build(**ROWS["baseline"]).explain(*shown).parts == ()


def test_what_cannot_be_trained_is_refused() -> None:
    with pytest.raises(UsageError, match="trained with labels"):
        create("cal", data=DataInfo(identities=None, image_size=(64, 32)), architecture="resnet10t_half")
    odd = dict(batch())
    view = odd["infrared"]
    labels = view.labels.clone().fill_(3)
    odd["infrared"] = View(modality=INFRARED, images=view.images, labels=labels, cameras=view.cameras, rows=view.rows)
    with pytest.raises(UsageError, match="class 0 has none"):
        build().train().losses(odd, clock())
