"""The method on its own: what it decides before an epoch, and what its losses are made of."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from vireid.clustering import adjusted_rand_index
from vireid.errors import RecipeError, TrainingError, UsageError
from vireid.methods import create
from vireid.methods.base import unit
from vireid.methods.explain import Shown
from vireid.methods.mcf.merging import merge_targets
from vireid.training.recipe import load_recipe
from vireid.types import DataInfo, Modality

VISIBLE, INFRARED = Modality.VISIBLE, Modality.INFRARED


def started(build, people, batch_of, clock, changes=None, *, phase="across", epoch=0, recipe="mcf-demo", **options):
    method = build(changes, recipe=recipe, **options).train()
    pictures = people(method)
    labels = method.relabel(pictures, clock(phase, epoch))
    return method, pictures, labels, batch_of(method, pictures, labels)


def test_the_loss_of_each_modality_is_the_contrast_with_its_memory(build, people, batch_of, clock):
    method, _, labels, batch = started(build, people, batch_of, clock, phase="within")
    found = method.losses(batch, clock("within"))
    state = method.training_state()
    assert set(found) == {"visible", "infrared", "diversity", "gates", "classifier"}, "the classifier warms up alone"
    queries = found.embeddings["infrared.queries"]
    expected = F.cross_entropy(queries @ state["infrared.memory"].T / 0.05, batch["infrared"].labels)
    torch.testing.assert_close(found["infrared"].detach(), expected)
    assert len(found.embeddings["visible.queries"]) == 2 * len(batch["visible"])
    assert labels.of[VISIBLE].max() == 4
    assert not any("shared" in name or "bank" in name for name in state)


def test_the_first_phase_ends_its_warm_up_and_the_second_adds_what_crosses(build, people, batch_of, clock):
    method, _, _, batch = started(build, people, batch_of, clock, phase="within")
    late = method.losses(batch, clock("within", 5))
    assert "modality" in late
    assert not {"matching", "neighbours", "merging"} & set(late)
    method, _, _, batch = started(build, people, batch_of, clock)
    assert {"matching", "neighbours", "merging", "modality"} <= set(method.losses(batch, clock()))
    single = build({name: {"enabled": False} for name in ("vra", "vrnl", "um")})
    assert single.phases(single.options) == ("within",)
    assert method.phases(method.options) == ("within", "across")


def test_memories_meet_the_queries_of_a_step(build, people, batch_of, clock):
    method, _, _, batch = started(build, people, batch_of, clock)
    before = {name: value.clone() for name, value in method.training_state().items()}
    found = method.losses(batch, clock())
    method.after_step(batch, found.embeddings, clock())
    after = method.training_state()
    queries, labels = found.embeddings["infrared.queries"], found.embeddings["infrared.labels"]
    own = queries[labels == 1].mean(dim=0)
    expected = F.normalize(0.2 * before["infrared.memory"][1] + 0.8 * own, dim=0)
    torch.testing.assert_close(after["infrared.memory"][1], expected)
    assert torch.equal(after["infrared.memory"][4], before["infrared.memory"][4]), "no query, no change"
    unchanged = {"visible.labels", "visible.rows", "visible.bank", "visible.merge", "visible.partner"}
    assert all(torch.equal(after[name], before[name]) for name in unchanged)
    for m in Modality:
        assert not torch.equal(after[f"{m}.shared"][:4], before[f"{m}.shared"][:4])
        torch.testing.assert_close(after[f"{m}.shared"].norm(dim=1), torch.ones(len(after[f"{m}.shared"])))


@pytest.mark.parametrize("exchanged", ["visible", "own", "none"])
def test_channel_augmented_pictures_meet_the_memory_that_was_asked_for(build, people, batch_of, clock, exchanged):
    method, _, _, batch = started(build, people, batch_of, clock, {"memory": {"exchanged": exchanged}}, phase="within")
    found = method.losses(batch, clock("within"))
    assert ("exchanged" in found) == (exchanged == "own")
    own, copies = found.embeddings["visible.queries"].chunk(2)
    logits = own @ method.training_state()["visible.memory"].T / 0.05
    plain = F.cross_entropy(logits, batch["visible"].labels)
    if exchanged == "visible":
        both = F.cross_entropy(copies @ method.training_state()["visible.memory"].T / 0.05, batch["visible"].labels)
        plain = (plain + both) / 2
    torch.testing.assert_close(found["visible"].detach(), plain)
    before = method.training_state()["visible.memory"].clone()
    method.after_step(batch, found.embeddings, clock("within"))
    first = F.normalize(0.2 * before[0] + 0.8 * own[:2].mean(dim=0), dim=0)
    close = torch.allclose(method.training_state()["visible.memory"][0], first, atol=1e-6)
    assert close == (exchanged != "visible")


def test_clusters_without_a_partner_stay_out_of_the_cross_modal_contrast(build, people, batch_of, clock):
    never = {"vra": {"min_similarity": 1.0}}
    method, _, labels, batch = started(build, people, batch_of, clock, never)
    assert (labels.matches == -1).all()
    found = method.losses(batch, clock())
    assert float(found["matching"]) == 0.0
    assert float(found["merging"]) == 0.0
    torch.testing.assert_close(method.training_state()["visible.shared"], method.training_state()["visible.memory"])


def test_directions_alternate_by_epoch_or_both_are_there(build, people, clock):
    method = build()
    for epoch, present, absent in (
        (0, "visible.infrared", "infrared.visible"),
        (1, "infrared.visible", "visible.infrared"),
    ):
        method.relabel(people(method), clock("across", epoch))
        assert f"{present}.begins" in method.training_state()
        assert f"{absent}.begins" not in method.training_state()
    both = build({"vrnl": {"alternate": False, "soft": True}})
    both.relabel(people(both), clock("across", 1))
    names = {"visible.infrared.weights", "infrared.visible.weights", "visible.visible.weights"}
    assert names <= set(both.training_state())


def test_matches_and_neighbours_are_right_where_people_are_clear(build, people, clock):
    method = build()
    labels = method.relabel(people(method), clock())
    np.testing.assert_array_equal(labels.matches, np.arange(5))
    state = method.training_state()
    columns, begins = state["visible.visible.columns"].numpy(), state["visible.visible.begins"].numpy()
    for i in range(40):
        own = columns[begins[i] : begins[i + 1]]
        assert i in own
        assert set(own // 8) == {i // 8}
    assert labels.told["matched"]["infrared_without"] == 0
    assert labels.told["visible"]["kept_from_last_epoch"] is False


def test_the_order_of_pictures_changes_the_names_of_clusters_alone(build, people, clock):
    method, again = build(), build()
    first = method.relabel(people(method, spread=0.6), clock())
    order = np.random.default_rng(3).permutation(40)
    second = again.relabel(people(again, spread=0.6, order=order), clock())
    for m in Modality:
        assert adjusted_rand_index(first.of[m][order], second.of[m]) == 1.0
        rows, columns = np.nonzero(pairs(again, m)[np.argsort(order)][:, np.argsort(order)])
        expected = np.nonzero(pairs(method, m))
        np.testing.assert_array_equal(rows, expected[0])
        np.testing.assert_array_equal(columns, expected[1])


def pairs(method, m) -> np.ndarray:
    state = method.training_state()
    begins, columns = state[f"{m}.{m}.begins"], state[f"{m}.{m}.columns"]
    found = np.zeros((len(begins) - 1,) * 2, bool)
    found[np.repeat(np.arange(len(found)), begins.diff().numpy()), columns.numpy()] = True
    return found


def test_too_few_clusters_stop_the_first_epoch_and_keep_the_labels_of_a_later_one(build, people, clock):
    method = build()
    with pytest.raises(TrainingError, match=r"5 visible clusters at radius 0\.\d+, a batch needs 9"):
        method.relabel(people(method, needed=9), clock("within"))
    kept = method.relabel(people(method), clock("within"))
    nothing = method.relabel(people(method, spread=50.0, seed=4), clock("within", 1))
    for m in Modality:
        np.testing.assert_array_equal(nothing.of[m], kept.of[m])
        assert nothing.told[m.value]["kept_from_last_epoch"]
    assert len(nothing.notes) == 2
    assert "the labels of the last epoch stay" in nothing.notes[0]
    torch.testing.assert_close(
        method.training_state()["visible.memory"].norm(dim=1), torch.ones(5), msg="centroids of the new features"
    )


@pytest.mark.parametrize(("visible", "infrared", "mu"), [(9, 4, 2), (9, 4, "auto"), (5, 5, 1)])
def test_more_visible_clusters_than_the_limit_allows(build, people, batch_of, clock, visible, infrared, mu):
    method = build({"vra": {"mu": mu}})
    pictures = people(method, visible, infrared=infrared)
    labels = method.relabel(pictures, clock())
    counts = np.bincount(labels.matches[labels.matches >= 0], minlength=infrared)
    limit = 3 if mu == "auto" else mu
    assert counts.max() <= limit
    assert (labels.matches == -1).sum() == max(0, visible - limit * infrared)
    assert all(torch.isfinite(loss) for loss in method.losses(batch_of(method, pictures, labels), clock()).values())


def test_more_infrared_than_visible_clusters_and_many_copies(build, people, batch_of, clock):
    method = build()
    pictures = people(method, 4, infrared=4)
    wide = people(method, 9)
    pictures._embeddings = {VISIBLE: pictures.embed(VISIBLE), INFRARED: wide.embed(INFRARED)}.__getitem__
    pictures.rows = {VISIBLE: pictures.rows[VISIBLE], INFRARED: wide.rows[INFRARED]}
    pictures.cameras = {VISIBLE: pictures.cameras[VISIBLE], INFRARED: wide.cameras[INFRARED]}
    labels = method.relabel(pictures, clock())
    assert labels.of[INFRARED].max() == 8
    assert labels.told["matched"] == {"mu": 1, "infrared_without": 1}, "four are matched, four cover"
    assert all(torch.isfinite(loss) for loss in method.losses(batch_of(method, pictures, labels), clock()).values())
    copies = people(method, spread=0.0)
    labels = method.relabel(copies, clock())
    np.testing.assert_array_equal(labels.of[VISIBLE], np.repeat(np.arange(5), 8))


@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_merging_is_the_weighted_contrast_with_the_target_of_the_epoch(build, people, batch_of, clock, epoch):
    method, _, _, batch = started(build, people, batch_of, clock)
    trio, pair = groups_of([0, 1, 2]), groups_of([3, 4])
    merge = torch.from_numpy(merge_targets((*trio, *pair), epoch))
    state = method.training_state() | {"visible.merge": merge, "infrared.merge": torch.full((5,), -1)}
    method.load_training_state(state)
    found = method.losses(batch, clock("across", epoch))
    queries, labels = (found.embeddings[f"visible.{what}"] for what in ("queries", "labels"))
    targets = merge[labels]
    assert not (targets == labels).any()
    logits = queries @ state["visible.memory"].T / 0.05
    expected = 0.03 * 0.6 * F.cross_entropy(logits[targets >= 0], targets[targets >= 0])
    torch.testing.assert_close(found["merging"].detach(), expected)
    assert found["merging"].requires_grad


def groups_of(members):
    return tuple(np.array(members) for _ in members)


def test_merging_weighs_both_modalities_and_more_late_in_the_phase(build, people, batch_of, clock):
    method, _, _, batch = started(build, people, batch_of, clock, {"um": {"late_weight": 0.12}})
    targets = torch.tensor([1, 0, 3, 2, -1])
    method.load_training_state(method.training_state() | dict.fromkeys(("visible.merge", "infrared.merge"), targets))
    values = []
    for epoch in (34, 35):
        method.eval()
        found = method.losses(batch, clock("across", epoch))
        parts = [
            share
            * F.cross_entropy(
                found.embeddings[f"{m}.queries"] @ method.training_state()[f"{m}.memory"].T / 0.05,
                targets[found.embeddings[f"{m}.labels"]],
            )
            for m, share in ((VISIBLE, 0.6), (INFRARED, 0.4))
        ]
        values.append((float(found["merging"].detach()), float(sum(parts))))
    assert values[0][0] == pytest.approx(0.03 * values[0][1], rel=1e-5)
    assert values[1][0] == pytest.approx(0.12 * values[1][1], rel=1e-5)


def test_clusters_of_both_modalities_are_contrasted_with_in_the_second_phase(build, people, batch_of, clock):
    mixed = {"clustering": {"joint": "mixed", "k1": 16, "eps": 0.6, "mixed_weight": 0.5}}
    first, *_, batch = started(build, people, batch_of, clock, mixed, phase="within")
    assert "mixed" not in first.losses(batch, clock("within"))
    method, _, labels, batch = started(build, people, batch_of, clock, mixed)
    assert labels.told["mixed"]["clusters"] == 5
    before = method.training_state()["mixed.memory"].clone()
    found = method.losses(batch, clock())
    losses = [
        F.cross_entropy(found.embeddings[f"{m}.queries"] @ before.T / 0.05, found.embeddings[f"{m}.labels"])
        for m in Modality
    ]
    torch.testing.assert_close(found["mixed"].detach(), 0.5 * sum(losses))
    method.after_step(batch, found.embeddings, clock())
    after = method.training_state()["mixed.memory"]
    met = before
    for m in Modality:
        queries, own = found.embeddings[f"{m}.queries"], found.embeddings[f"{m}.labels"]
        row = F.normalize(0.8 * met[1] + 0.2 * queries[own == 1].mean(dim=0), dim=0)
        met = torch.cat([met[:1], row[None], met[2:]])
    torch.testing.assert_close(after[1], met[1])
    assert torch.equal(after[4], before[4])


def test_clusters_are_matched_by_their_regions_or_as_a_whole(build, people, clock):
    """One region tells people apart in one way and outweighs the other three in length."""
    found = {}
    for similarity in ("regions", "whole"):
        method = build({"vra": {"similarity": similarity}})
        pictures = people(method, 4)
        loud = pictures.embed(INFRARED).vector.reshape(32, 4, -1).copy()
        loud[:, 0] = 9 * loud[[*range(8, 32), *range(8)], 0]  # the next person's
        turned = unit(torch.from_numpy(loud.reshape(32, -1))).numpy()
        sides = {VISIBLE: pictures.embed(VISIBLE), INFRARED: type(pictures.embed(VISIBLE))(turned)}
        stretched = sides[VISIBLE].vector.reshape(32, 4, -1).copy()
        stretched[:, 0] *= 9
        sides[VISIBLE] = type(sides[VISIBLE])(unit(torch.from_numpy(stretched.reshape(32, -1))).numpy())
        pictures._embeddings = sides.__getitem__
        found[similarity] = method.relabel(pictures, clock()).matches.tolist()
    assert found["regions"] == [0, 1, 2, 3]
    assert found["whole"] == [3, 0, 1, 2]


def test_joint_distances_and_parameters_by_the_data(build, people, clock):
    for changes in ({"clustering": {"joint": "blocks", "k1": 16, "eps": 0.6}}, {"clustering": {"k1": "auto"}}):
        method = build(changes)
        labels = method.relabel(people(method), clock())
        np.testing.assert_array_equal(labels.of[INFRARED], np.repeat(np.arange(5), 8))


def test_the_feature_is_of_unit_length_and_does_not_mind_a_mirror(build):
    for recipe in ("mcf-demo", "mcf-adca-demo"):
        method = build(recipe=recipe).eval()
        images = torch.randn(3, 3, 64, 32, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            found = method.embed(images, VISIBLE).vector
            mirrored = method.embed(images.flip(3), VISIBLE).vector
        assert found.shape == (3, method.options.regions * 256)
        torch.testing.assert_close(found.norm(dim=1), torch.ones(3))
        torch.testing.assert_close(found, mirrored, atol=1e-6, rtol=1e-5)


def test_class_tokens_of_a_transformer_train_too(build, people, batch_of, clock):
    vit = {"architecture": "vit_nano_patch12", "region_mode": "class_tokens", "stem": "convolutional"}
    changes = {"pacbam": {"positions": (5,), "parts": 1}, "maal": {"per_region": True}}
    torch.manual_seed(0)
    method, _, _, batch = started(build, people, batch_of, clock, changes, diversity=1.0, path_dropout=0.1, **vit)
    losses = method.losses(batch, clock())
    assert 0 < float(losses["diversity"].detach()) <= 2
    torch.stack(list(losses.values())).sum().backward()
    missing = [name for name, p in method.named_parameters() if p.requires_grad and p.grad is None]
    assert not missing


def test_without_labels_nothing_can_be_learnt_yet(build, people, batch_of, clock):
    _, _, _, batch = started(build, people, batch_of, clock)
    with pytest.raises(UsageError, match="call relabel before losses"):
        build().losses(batch, clock())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"architecture": "resnet18"}, "has no tokens; set region_mode=stripes"),
        ({"vrnl": {"min_agree": 9}}, r"vrnl\.min_agree is 9, more than the 4 regions"),
        ({"clustering": {"joint": "blocks", "eps": "auto"}}, "joint distances take numbers"),
        ({"clustering": {"eps": 1.5}}, "eps is a distance between 0 and 1"),
        ({"pacbam": {"positions": []}}, "names no block of the ViT"),
        ({"vra": {"mu": 0}}, "mu counts clusters from 1"),
        ({"um": {"closur": "x"}}, "did you mean 'closure'"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises(RecipeError, match=message):
        create("mcf", data=DataInfo(identities=None, image_size=(64, 32)), **options)


def test_presets_are_what_they_are_called():
    matcher = load_recipe("mcf-tokenmatcher-sysu").method_options()
    assert (matcher.pacbam.enabled, matcher.maal.enabled, matcher.vra.mu, matcher.regions) == (False, False, 2, 4)
    assert (matcher.vra.weight, matcher.vrnl.weight, matcher.um.weight) == (0.4, 0.5, 0.03)
    assert load_recipe("mcf-regdb").method_options().regions == 6
    full = load_recipe("mcf-sysu")
    defaults = type(full.method_options())()
    assert full.method_options() == defaults
    assert (matcher.vra.similarity, matcher.vrnl.reduction, matcher.memory.update) == ("whole", "micro", "sequential")
    assert matcher.um.late_weight == 0.12
    small = load_recipe("mcf-tokenmatcher-regdb")
    assert (small.method_options().clustering.eps, [phase.epochs for phase in small.phases]) == (0.2, [35, 35])
    single = load_recipe("mcf-adca-sysu").method_options()
    assert (single.regions, single.crosses) == (1, False)


EPOCHS = (0, 20, 40, 50, 70, 90)


def rates(recipe, epochs) -> list[float]:
    """The base rate at the beginning of epochs counted over all phases."""
    found = []
    for epoch in epochs:
        for phase in recipe.phases:
            if epoch < phase.epochs:
                found.append(phase.optimiser.rate * phase.schedule.factor(epoch, phase.epochs))
                break
            epoch -= phase.epochs
    return found


def test_rates_fall_by_a_tenth_every_twenty_epochs_of_a_phase_and_the_baseline_follows_them():
    published = [3.5e-4, 3.5e-5, 3.5e-6, 3.5e-5, 3.5e-6, 3.5e-7]
    for name in ("mcf-sysu", "mcf-baseline-sysu"):
        recipe = load_recipe(name)
        assert rates(recipe, EPOCHS) == pytest.approx(published)
        assert {phase.optimiser.kind for phase in recipe.phases} == {"heavy-ball"}
    cosine = load_recipe("mcf-tokenmatcher-sysu")
    assert rates(cosine, (0, 50)) == pytest.approx([3.5e-4, 3.5e-5])
    ends = [phase.optimiser.rate * phase.schedule.factor(50, 50) for phase in cosine.phases]
    assert ends == pytest.approx([1e-6, 1e-7], rel=1e-3)


def test_the_classifier_of_modalities_has_a_rate_of_its_own_in_both_phases(build):
    for name in ("mcf-sysu", "mcf-regdb"):
        recipe = load_recipe(name)
        method = build({"maal": dict(recipe.options["maal"])})
        own = [
            group.rate * phase.optimiser.rate
            for phase in recipe.phases
            for group in method.parameter_groups(phase.name)
            if group.name == "classifier"
        ]
        assert own == pytest.approx([0.01, 0.01], rel=2e-3)


@pytest.mark.parametrize("data", ["sysu", "demo"])
def test_every_row_of_the_ablation_sees_the_same_number_of_pictures(data):
    seen = set()
    for row in ("mcf", "mcf-baseline", "mcf-tokenmatcher", "mcf-adca"):
        recipe = load_recipe(f"{row}-{data}")
        steps = sum(phase.epochs for phase in recipe.phases) * recipe.steps_per_epoch
        seen.add(steps * recipe.batch.identities * (2 * recipe.batch.visible + recipe.batch.infrared))
    assert len(seen) == 1


def test_infrared_pictures_keep_their_brightness(build):
    jittered = {name: request.colour_jitter for name, request in build().views().items()}
    assert jittered == {"visible": True, "exchanged": True, "infrared": False}


def test_what_matched_is_told_region_by_region(build):
    method = build().eval()
    query, candidate = (
        Shown(image=torch.randn(3, 64, 32, generator=torch.Generator().manual_seed(n)), modality=m)
        for n, m in enumerate((INFRARED, VISIBLE))
    )
    found = method.explain(query, candidate)
    assert [part.name for part in found.parts] == [f"region {number}" for number in range(4)]
    assert sum(part.weight for part in found.parts) == pytest.approx(found.score, abs=1e-5)
    np.testing.assert_array_equal(found.parts[1].query, [[0], [1], [0], [0]])
