from pathlib import Path

import pytest
import yaml

from vireid.errors import RecipeError, UsageError
from vireid.training.recipe import Recipe, Schedule, load_recipe, recipe_names, recipe_text


@pytest.mark.parametrize("name", recipe_names())
def test_a_shipped_recipe_loads_and_begins_with_its_command(name: str) -> None:
    recipe = load_recipe(name)
    first = recipe_text(name).splitlines()[0]
    assert (
        first.startswith(f"# vireid train {name} ")
        or (name in {"agw-pretrain", "vit-pretrain"} and first.startswith("# vireid pretrain"))
        or (name == "agw-distill" and first.startswith("# vireid distill "))
    )
    assert set(yaml.safe_load(recipe_text(name))["options"]) == set(recipe.method_options().model_dump()), (
        "spell all out"
    )


@pytest.mark.parametrize("name", recipe_names())
def test_a_resolved_recipe_reads_back_as_itself(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    path = tmp_path / "resolved.yaml"
    path.write_text(yaml.safe_dump(recipe.resolved()))
    assert load_recipe(path).digest == recipe.digest


def test_dots_reach_into_sections_options_and_phases() -> None:
    recipe = load_recipe(
        "agw-sysu",
        ["triplet=squared", "data.root=/somewhere", "phases.train.optimiser.rate=3e-4", "options.smoothing=0.1"],
    )
    assert recipe.options["triplet"] == "squared"
    assert recipe.options["smoothing"] == 0.1
    assert recipe.data.root == Path("/somewhere")
    assert recipe.phases[0].optimiser.rate == 3e-4


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("tripletx=squared", "did you mean 'triplet'"),
        ("data.rot=1", "data.rot: no such option; did you mean 'root'"),
        ("triplet=hard", "triplet: Input should be 'weighted' or 'squared', not 'hard'"),
        ("phases.warm.epochs=3", "no entry 'warm' (allowed: train)"),
        ("seed", "write KEY=VALUE"),
        ("seed=[1", "'[1' is not a YAML value"),
        ("method=agv", "unknown method 'agv'; did you mean 'agw'"),
        ("seed.deep=1", "'seed' is a value, not a section"),
        ("phases.train.name=second", "agw trains ['train'], in this order, not ['second']"),
        ("phases.train.schedule.warmup_epochs=500", "warmup_epochs must be below epochs"),
    ],
)
def test_a_wrong_override_is_named_with_its_remedy(override: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_recipe("agw-sysu", [override])
    assert message in str(caught.value)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("agw-sysu", ["seed", "tripletx=1", "batch.identities=0", "precision=int8", "triplet=hard"])
    assert len(str(caught.value).splitlines()) == 5


def test_start_weights_count_by_their_content(tmp_path: Path) -> None:
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    one.write_bytes(b"a")
    two.write_bytes(b"a")
    digests = [load_recipe("agw-sysu", [f"start={path}"]).digest for path in (one, two)]
    two.write_bytes(b"b")
    assert digests[0] == digests[1] != load_recipe("agw-sysu", [f"start={two}"]).digest


def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("- a\n- b\n")
    with pytest.raises(RecipeError, match="a recipe is a mapping"):
        load_recipe(path)
    path.write_text("a: [")
    with pytest.raises(RecipeError, match="not readable as YAML"):
        load_recipe(path)
    with pytest.raises(UsageError, match="unknown recipe 'agw-sys'; did you mean 'agw-sysu'"):
        load_recipe("agw-sys")


def test_options_of_methods_never_share_a_name_with_a_part_of_the_recipe() -> None:
    from vireid.methods import method_class, names

    for name in names():
        assert not set(method_class(name).Options.model_fields) & set(Recipe.model_fields)


def test_where_the_data_lies_does_not_change_the_digest() -> None:
    plain = load_recipe("agw-sysu").digest
    assert load_recipe("agw-sysu", ["data.root=/a", "workers=7"]).digest == plain
    assert load_recipe("agw-sysu", ["seed=1"]).digest != plain


def test_the_published_schedule_of_agw() -> None:
    schedule = load_recipe("agw-sysu").phases[0].schedule
    assert schedule.factor(0, 80) == pytest.approx(0.1)
    assert schedule.factor(9.999, 80) == pytest.approx(1.0, abs=1e-3)
    assert [schedule.factor(epoch, 80) for epoch in (10, 19.9, 20, 49.9, 50, 79)] == [1.0, 1.0, 0.1, 0.1, 0.01, 0.01]


def test_the_published_schedule_of_cal() -> None:
    phase = load_recipe("cal-sysu").phases[0]

    def rate(epoch: float) -> float:
        return phase.optimiser.rate * phase.schedule.factor(epoch, phase.epochs)

    expected = [0.01, 0.055, 0.1, (0.1 + 0.001) / 2, 0.001]
    assert [rate(epoch) for epoch in (0, 5, 10, 55, 100)] == pytest.approx(expected)
    with pytest.raises(ValueError, match="final belongs to kind: cosine"):
        Schedule(kind="constant", final=0.1)


def test_the_cosine_falls_from_one_to_zero() -> None:
    schedule = Schedule(kind="cosine", warmup_epochs=2)
    assert schedule.factor(2, 12) == 1.0
    assert schedule.factor(7, 12) == pytest.approx(0.5)
    assert schedule.factor(12, 12) == pytest.approx(0.0)
