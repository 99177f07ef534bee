"""What every method promises. A new method is tested by existing."""

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from vireid.errors import UsageError
from vireid.matching import Matcher
from vireid.methods import create, method_class, names
from vireid.methods.base import Labels, Losses, Method, TrainingPictures, unit
from vireid.methods.bundle import Bundle, Card, Preprocessing, save_bundle
from vireid.methods.explain import Shown
from vireid.networks.modes import evaluating
from vireid.options import parse
from vireid.training.recipe import load_recipe, recipe_names
from vireid.types import Batch, Clock, DataInfo, Embeddings, Modality, Side, View

SIZE = (64, 32)
DATA = DataInfo(identities=4, image_size=SIZE, visible_cameras=(1, 2), infrared_cameras=(3,))
DOCS = Path(__file__).parents[2] / "docs" / "methods"
every_method = pytest.mark.parametrize("name", names())


def build(name: str) -> Method:
    """The method as its demo recipe makes it."""
    torch.manual_seed(0)
    data = DATA if method_class(name).supervised else replace(DATA, identities=None)
    return create(name, data=data, **load_recipe(f"{name}-demo").options)


def pictures(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, *SIZE, generator=torch.Generator().manual_seed(seed))


def training_pictures(method: Method) -> TrainingPictures:
    """Eight pictures of each of four identities in either modality, embedded by who they show."""
    with torch.inference_mode(), evaluating(method):
        found = method.embed(pictures(1), Modality.VISIBLE)
    generator = torch.Generator().manual_seed(0)
    people = torch.randn(4, found.vector.shape[1], generator=generator).repeat_interleave(8, dim=0)
    sides = {m: unit(people + 0.3 * torch.randn(people.shape, generator=generator)).numpy() for m in Modality}
    identities = {m: torch.arange(4).repeat_interleave(8).numpy() for m in Modality}
    return TrainingPictures(
        lambda modality: Embeddings(sides[modality]),
        cameras={Modality.VISIBLE: np.tile([1, 2], 16), Modality.INFRARED: np.full(32, 3)},
        rows={Modality.VISIBLE: np.arange(32), Modality.INFRARED: 100 + np.arange(32)},
        classes_per_batch=4,
        labels=Labels(of=identities, paired=True) if method.supervised else None,
    )


def batch_for(method: Method, phase: str) -> Batch:
    """Four classes, two pictures each in every view, after the labels of an epoch were asked for."""
    whole = training_pictures(method) if not method.supervised else None
    found = method.relabel(whole, clock(phase)) if whole else None
    assert method.supervised or found is not None, "without labels a method must find some"
    labels = torch.arange(4).repeat_interleave(2)
    taken = 8 * labels + torch.tensor([0, 1] * 4)
    cameras = {Modality.VISIBLE: torch.tensor([1, 2] * 4), Modality.INFRARED: torch.full((8,), 3)}
    return {
        view: View(
            modality=request.modality,
            images=pictures(8, number),
            labels=torch.from_numpy(found.of[request.modality])[taken] if found else labels,
            cameras=cameras[request.modality],
            rows=torch.from_numpy(whole.rows[request.modality])[taken] if whole else torch.arange(8) + 100 * number,
        )
        for number, (view, request) in enumerate(method.views().items())
    }


def clock(phase: str) -> Clock:
    return Clock(phase=phase, epoch=0, epochs=2, batch=0, batches=3, step=0, seed=0)


@every_method
def test_losses_are_named_finite_scalars_and_reach_every_trainable_parameter(name: str) -> None:
    method = build(name).train()
    for phase in method.phases(method.options):
        method.zero_grad()
        losses = method.losses(batch_for(method, phase), clock(phase))
        assert losses
        assert all(value.ndim == 0 and torch.isfinite(value) for value in losses.values())
        torch.stack(list(losses.values())).sum().backward()
        trained = {id(p) for group in method.parameter_groups(phase) for p in group.parameters}
        without = [key for key, p in method.named_parameters() if id(p) in trained and p.grad is None]
        assert not without, f"no gradient reaches {without} in {phase}"


@every_method
def test_a_few_steps_on_one_batch_lower_the_loss(name: str) -> None:
    method = build(name).train()
    phase = method.phases(method.options)[0]
    parameters = [p for group in method.parameter_groups(phase) for p in group.parameters]
    optimiser = torch.optim.AdamW(parameters, lr=1e-3)
    batch, values = batch_for(method, phase), []
    for _ in range(12):
        loss = torch.stack(list(method.losses(batch, clock(phase)).values())).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values.append(float(loss.detach()))
    assert values[-1] < 0.8 * values[0]


@every_method
def test_training_state_gives_a_fresh_copy_the_same_losses(name: str) -> None:
    method, again = build(name), build(name)
    phase = method.phases(method.options)[-1]
    batch = batch_for(method, phase)
    found = method.losses(batch, clock(phase))
    with torch.no_grad():
        method.after_step(batch, found.embeddings if isinstance(found, Losses) else {}, clock(phase))
    again.load_state_dict(method.state_dict())
    state = {key: value.clone() for key, value in method.training_state().items()}
    again.load_training_state(state)
    assert again.training_state().keys() == state.keys()
    assert all(torch.equal(again.training_state()[key], value) for key, value in state.items())
    results = []
    for each in (method, again):
        torch.manual_seed(1)
        results.append(each.losses(batch, clock(phase)))
    assert results[0].keys() == results[1].keys()
    assert all(torch.equal(results[0][key], value) for key, value in results[1].items())


@every_method
def test_parameter_groups_hold_every_trainable_parameter_once(name: str) -> None:
    method = build(name)
    trained: set[int] = set()
    for phase in method.phases(method.options):
        grouped = [id(p) for group in method.parameter_groups(phase) for p in group.parameters]
        assert len(grouped) == len(set(grouped))
        assert all(p.requires_grad for group in method.parameter_groups(phase) for p in group.parameters)
        trained |= set(grouped)
    assert trained == {id(p) for p in method.parameters() if p.requires_grad}


@every_method
@pytest.mark.parametrize("modality", Modality)
def test_embeddings_are_unit_vectors_and_do_not_depend_on_their_neighbours(name: str, modality: Modality) -> None:
    method = build(name).eval()
    images = pictures(5)
    with torch.inference_mode():
        whole = method.embed(images, modality)
        single = method.embed(images[2:3], modality)
    assert len(whole) == 5
    torch.testing.assert_close(whole.vector.norm(dim=1), torch.ones(5))
    for field, value in whole.arrays().items():
        rounding = 2e-3 if value.dtype == torch.float16 else 1e-4
        torch.testing.assert_close(single.arrays()[field], value[2:3], atol=1e-4, rtol=rounding, msg=field)


@every_method
def test_the_matcher_finds_what_it_needs_and_its_lift_agrees_with_its_score(name: str) -> None:
    method = build(name).eval()
    with torch.inference_mode():
        found = {m: method.embed(pictures(4, 7), m) for m in Modality}
    query, gallery = (numpy(found[m]) for m in (Modality.INFRARED, Modality.VISIBLE))
    matcher = method.matcher()
    assert isinstance(matcher, Matcher)
    assert set(matcher.fields) <= set(query.fields)
    scores = np.asarray(matcher.score(query, gallery))
    assert scores.shape == (4, 4)
    assert np.isfinite(scores).all()
    lifted = np.asarray(matcher.lift(query, Side.QUERY)) @ np.asarray(matcher.lift(gallery, Side.GALLERY)).T
    assert lifted.shape == (4, 4)
    if matcher.exact:
        assert (np.argsort(-lifted, axis=1) == np.argsort(-scores, axis=1)).all()


@every_method
def test_every_match_is_explained_and_the_explanation_adds_up(name: str) -> None:
    method = build(name).eval()
    query, candidate = (
        Shown(image=pictures(1, number)[0], modality=modality)
        for number, modality in enumerate((Modality.INFRARED, Modality.VISIBLE))
    )
    found = method.explain(query, candidate)
    with torch.inference_mode():
        sides = [method.embed(shown.image[None], shown.modality) for shown in (query, candidate)]
        assert found.score == pytest.approx(float(method.matcher().score(*sides)), abs=1e-4)
    for weights in (found.query, found.candidate):
        assert weights.ndim == 2
        assert np.isfinite(weights).all()
        assert weights.any()
    assert found.together.shape == (found.query.size, found.candidate.size)
    assert len({one for one, _, _ in found.correspondences(4)}) == len(found.correspondences(4))


def numpy(embeddings: Embeddings[Tensor]) -> Embeddings[np.ndarray]:
    return Embeddings.from_arrays({key: value.numpy() for key, value in embeddings.arrays().items()})


@every_method
def test_a_bundle_gives_back_the_same_method(name: str, tmp_path: Path, card: Card) -> None:
    method = build(name).eval()
    preprocessing = Preprocessing(height=SIZE[0], width=SIZE[1])
    save_bundle(tmp_path / "bundle", method, preprocessing=preprocessing, card=card)
    again = Bundle.open(tmp_path / "bundle").method()
    assert again.options == method.options
    with torch.inference_mode():
        for modality in Modality:
            expected, found = method.embed(pictures(3), modality), again.embed(pictures(3), modality)
            assert all(torch.equal(found.arrays()[key], value) for key, value in expected.arrays().items())


@every_method
def test_options_are_strict_and_explained(name: str) -> None:
    options = method_class(name).Options
    with pytest.raises(UsageError, match="no such option"):
        parse(options, {"not_an_option": 1}, where="test")
    unexplained = [field for field, info in options.model_fields.items() if not info.description]
    assert not unexplained
    defaults = options()
    assert parse(options, defaults.model_dump(mode="json"), where="test") == defaults


@every_method
def test_there_is_a_recipe_for_every_data_set_and_a_page_that_knows_them(name: str) -> None:
    page = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    own = [recipe for recipe in recipe_names() if load_recipe(recipe).method == name]
    assert {f"{name}-{data}" for data in ("sysu", "regdb", "llcm", "demo")} <= set(own)
    assert not [recipe for recipe in own if f"`{recipe}`" not in page]
    assert len(method_class(name).title) > 5


def test_package_data_holds_all_recipes() -> None:
    assert {f"{name}.yaml" for name in recipe_names()} <= {item.name for item in files("vireid.recipes").iterdir()}


def test_an_unknown_method_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown method 'awg'; did you mean 'agw'"):
        create("awg", data=DATA)
