"""What populations must hold: bits, disjoint codes, near-twins, finish and colour against near-infrared tone."""

import colorsys
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest

from vireid.data.synthetic.factors import (
    FACTORS,
    FINISH_TO_TONE,
    FINISHES,
    TONES,
    code_law,
    mutual_information,
)
from vireid.data.synthetic.families import COMMON, PRETRAIN, TEST, TRAIN, draw_family, glyph, is_private, profile
from vireid.data.synthetic.garments import TECHNOLOGIES, Garment, Ink
from vireid.data.synthetic.knockouts import NOTHING_OUT, Knockouts
from vireid.data.synthetic.people import TWIN_FACTORS, Group, Person, code_bits, draw_people, twin_groups
from vireid.data.synthetic.seeds import Purpose, stream
from vireid.errors import RecipeError, UsageError
from vireid.options import parse


def population(seed: int = 0, knockouts: Knockouts = NOTHING_OUT, train: int = 200, test: int = 200) -> list[Person]:
    groups = [Group(block=TRAIN, size=1)] * train + [Group(block=TEST, size=size) for size in twin_groups(test)]
    return draw_people(seed, groups, test_identities=test, knockouts=knockouts)


@pytest.fixture(scope="module")
def people() -> list[Person]:
    return [person for seed in range(4) for person in population(seed)]


def garments(people: Sequence[Person]) -> list[Garment]:
    return [garment for person in people for garment in (person.upper, person.lower)]


def worn_inks(people: Sequence[Person]) -> list[Ink]:
    return [
        ink
        for person in people
        for name, ink in (
            ("upper_pattern", person.upper.weave),
            ("front", person.upper.front),
            ("back", person.upper.back),
            ("lower_pattern", person.lower.weave),
        )
        if person.code[name] != "plain"
    ]


def shared_bits(rows: Sequence[int], columns: Sequence[int]) -> float:
    table = np.zeros((max(rows) + 1, max(columns) + 1))
    np.add.at(table, (np.array(rows), np.array(columns)), 1)
    return mutual_information(table)


@pytest.mark.parametrize("test_identities", [8, 96, 300, 351])
def test_code_has_the_wanted_bits_a_third_of_them_on_one_side(test_identities: int) -> None:
    law = code_law(code_bits(test_identities))
    assert law.total_bits == pytest.approx(np.log2(test_identities) + 5, abs=1e-6)
    assert 0.3 <= law.one_sided_bits / law.total_bits <= 0.4


def test_weights_fall_like_zipfs() -> None:
    law = code_law(code_bits(96))
    for name in set(FACTORS) - {"upper_finish", "lower_finish"}:
        weights = law.weights[name]
        exponents = np.log(weights[0] / weights[1:]) / np.log(np.arange(2, len(weights) + 1))
        assert np.allclose(exponents, exponents[0])
        assert exponents[0] > 0


def test_a_code_cannot_hold_any_number_of_bits() -> None:
    with pytest.raises(UsageError, match="cannot have"):
        code_law(40.0)


def test_no_code_in_both_train_and_test() -> None:
    people = population()
    trained = {person.code for person in people if person.block == TRAIN}
    assert trained.isdisjoint({person.code for person in people if person.block == TEST})


def test_every_test_identity_has_three_near_twins() -> None:
    test = [person for person in population() if person.block == TEST]
    twins = dict.fromkeys(range(len(test)), 0)
    for (one, first), (other, second) in combinations(enumerate(test), 2):
        if len(first.code.differing(second.code)) == 1:
            twins[one] += 1
            twins[other] += 1
    assert min(twins.values()) >= 3


def test_near_twins_share_what_crosses_modalities_but_not_colour() -> None:
    test = [person for person in population() if person.block == TEST]
    for one, other in combinations([person for person in test if person.group == test[0].group], 2):
        (factor,) = one.code.differing(other.code)
        if factor != "upper_finish":
            assert one.upper.tone == other.upper.tone
        assert one.upper.weave.family == other.upper.weave.family
        assert one.upper.colour != other.upper.colour
        assert one.shape != other.shape


def test_near_twins_differ_in_what_both_modalities_and_a_mirror_show(people: list[Person]) -> None:
    groups: dict[tuple[int, int], list[Person]] = {}
    for number, person in enumerate(people):
        if person.group >= 0:
            groups.setdefault((number // 400, person.group), []).append(person)
    seen = set()
    for group in groups.values():
        (factor,) = group[0].code.differing(group[1].code)
        values = [person.code[factor] for person in group]
        assert len({value.partition("_")[0] for value in values}) == len(group)  # no left against right
        seen.add(factor)
        if factor == "upper_pattern":
            assert all(person.upper.weave.survives for person in group)
        if factor in ("upper_finish", "lower_finish"):
            part = factor.partition("_")[0]
            assert len({getattr(person, part).level for person in group}) == len(group)
    assert seen == set(TWIN_FACTORS)


@pytest.mark.parametrize("count", [8, 9, 11, 96, 206, 300, 351])
def test_twin_groups_add_up(count: int) -> None:
    sizes = twin_groups(count)
    assert sum(sizes) == count
    assert min(sizes) >= 4


def test_twin_groups_of_every_size_can_be_drawn() -> None:
    for seed in range(12):
        assert len(population(seed, train=0, test=11)) == 11


def test_too_few_identities_for_twins() -> None:
    with pytest.raises(UsageError, match="3 identities"):
        twin_groups(3)


def test_finish_partly_predicts_tone(people: list[Person]) -> None:
    worn = garments(people)
    bits = shared_bits([FINISHES.index(item.finish) for item in worn], [item.level for item in worn])
    assert 1.0 <= bits <= 1.5


def test_hue_hardly_predicts_tone(people: list[Person]) -> None:
    hues = [colorsys.rgb_to_hsv(*item.colour) for item in garments(people)]
    cells = [8 if saturation < 0.15 else int(hue * 8) % 8 for hue, saturation, _ in hues]
    tones = np.digitize([item.tone for item in garments(people)], [0.15, 0.28, 0.45, 0.65]).tolist()
    assert shared_bits(cells, tones) <= 0.115  # 0.1 wanted, plus the bias of counts


def correlations(people: Sequence[Person]) -> list[float]:
    worn = garments(people)
    tones = [item.tone for item in worn]
    return [float(np.corrcoef(tones, [item.colour[channel] for item in worn])[0, 1]) for channel in range(3)]


def test_red_follows_the_near_infrared_tone_most_and_blue_least(people: list[Person]) -> None:
    assert correlations(people) == pytest.approx([0.4, 0.25, 0.1], abs=0.07)


def test_permuted_finish_says_nothing(people: list[Person]) -> None:
    permuted = garments(population(knockouts=Knockouts(finish_map="permuted")))
    assert shared_bits([FINISHES.index(item.finish) for item in permuted], [item.level for item in permuted]) < 0.1
    before = np.bincount([item.level for item in garments(people)], minlength=5) / len(garments(people))
    after = np.bincount([item.level for item in permuted], minlength=5) / len(permuted)
    assert np.abs(before - after).max() < 0.08


def test_without_rgb_nir_correlation_colour_says_nothing() -> None:
    independent = [p for seed in range(4) for p in population(seed, Knockouts(rgb_nir_correlation=0.0))]
    assert np.abs(correlations(independent)).max() < 0.06


def test_survival_and_inversion_rates(people: list[Person]) -> None:
    inks = worn_inks(people)
    for technology, rate in TECHNOLOGIES.items():
        survived = [ink.survives for ink in inks if ink.technology == technology]
        assert np.mean(survived) == pytest.approx(rate, abs=0.08)
    assert np.mean([ink.inverted for ink in inks if ink.survives]) == pytest.approx(0.4, abs=0.06)
    assert not any(ink.inverted for ink in inks if not ink.survives)
    assert all((ink.contrast != 0) == ink.survives for ink in inks)


def test_inversion_turns_the_sign_that_visible_light_shows(people: list[Person]) -> None:
    for person in people:
        ink = person.upper.front
        if person.code.front != "plain" and ink.survives:
            visible = sum(ink.colour) - sum(person.upper.colour)
            assert (np.sign(visible) == np.sign(ink.contrast)) != ink.inverted


def test_no_contrast_inversion() -> None:
    upright = population(knockouts=Knockouts(no_contrast_inversion=True))
    assert not any(ink.inverted for ink in worn_inks(upright))


def test_no_twins() -> None:
    alone = population(knockouts=Knockouts(same_yaw_no_twins=True))
    assert {person.group for person in alone} == {-1}


def test_patterns_of_the_test_set_that_training_never_shows(people: list[Person]) -> None:
    trained = {ink.family for ink in worn_inks([person for person in people if person.block == TRAIN])}
    tested = [ink.family for ink in worn_inks([person for person in people if person.block == TEST])]
    assert np.mean([family not in trained for family in tested]) >= 0.3


def test_pools_do_not_overlap() -> None:
    rng = stream(0, Purpose.ASSET, 77)
    drawn = {block: {draw_family(block, rng) for _ in range(500)} for block in (TRAIN, TEST, PRETRAIN)}
    assert drawn[PRETRAIN].isdisjoint(drawn[TRAIN] | drawn[TEST])
    assert not any(is_private(family) for family in drawn[TRAIN] & drawn[TEST])
    assert draw_family(COMMON, rng) < 24


def test_families_look_different() -> None:
    assert len({profile(family).tobytes() for family in range(24)}) == 24
    assert len({glyph(family, 0).tobytes() for family in range(24)}) == 24
    assert all(0 < glyph(family, 3).mean() < 1 for family in range(96))


def test_shape_is_weak(people: list[Person]) -> None:
    heights = np.array([person.shape.height for person in people])
    assert 0.03 <= heights.std() <= 0.05


def test_finish_table_is_a_distribution() -> None:
    assert np.allclose(FINISH_TO_TONE.sum(1), 1)
    assert FINISH_TO_TONE.shape == (len(FINISHES), len(TONES))


def test_other_seed_other_people() -> None:
    assert population(0)[0] != population(1)[0]
    assert population(0) == population(0)


def test_wrong_knockouts_are_refused() -> None:
    with pytest.raises(RecipeError, match="finish_map: Input should be 'true' or 'permuted', not 'shuffled'"):
        parse(Knockouts, {"finish_map": "shuffled"}, where="test")
    with pytest.raises(RecipeError, match="rgb_nir_correlation: Input should be 0 or 1"):
        parse(Knockouts, {"rgb_nir_correlation": 0.5}, where="test")
