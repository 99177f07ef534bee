"""People: an identity code, clothes that fulfil it, and a body whose shape says little."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vireid.data.synthetic.factors import FACTORS, FINISHES, TONES, Code, CodeLaw, code_law
from vireid.data.synthetic.garments import (
    Garment,
    Rgb,
    colour_garment,
    draw_colour,
    draw_garment,
    palette_of,
)
from vireid.data.synthetic.knockouts import Knockouts
from vireid.data.synthetic.seeds import Purpose, stream
from vireid.errors import UsageError

__all__ = ["TWIN_FACTORS", "Group", "Person", "Plain", "Shape", "code_bits", "draw_people", "twin_groups"]

SHAPE_SPREAD = 0.04
"""Standard deviation of body measures: a silhouette must not give the person away."""

EXTRA_BITS = 5.0

TWIN_FACTORS = (
    "upper", "upper", "upper", "lower", "lower", "lower", "upper_finish", "upper_finish", "upper_finish",
    "upper_finish", "lower_finish", "lower_finish", "lower_finish", "lower_finish", "upper_pattern", "bag",
)  # fmt: skip
"""Factors in which near-twins differ; some are listed twice, to be chosen twice as often."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Body measures relative to the mean body (1.0 each)."""

    height: float
    shoulders: float
    hips: float
    girth: float
    legs: float
    head: float


@dataclass(frozen=True, kw_only=True)
class Plain:
    """Something of one colour: hair, shoes, bag, hat, skin."""

    colour: Rgb
    tone: float
    warmth: float


@dataclass(frozen=True, kw_only=True)
class Person:
    """All that is true of one identity, before any camera."""

    block: int
    group: int
    """Near-twin group, unique in the population; -1 for none."""
    code: Code
    shape: Shape
    upper: Garment
    lower: Garment
    skin: Plain
    hair: Plain
    shoes: Plain
    bag: Plain
    hat: Plain
    inner: Plain
    armband: Plain


@dataclass(frozen=True, kw_only=True)
class Group:
    """Identities drawn together: `size` near-twins, or one person alone where `size` is 1."""

    block: int
    size: int


def code_bits(test_identities: int) -> float:
    """Wanted bits of the identity code for a test of so many identities."""
    return float(np.log2(test_identities)) + EXTRA_BITS


def twin_groups(count: int) -> list[int]:
    """Sizes of near-twin groups that add up to `count`: fours, and fives for what is left over.

    Raises:
        UsageError: `count` does not allow groups of four to six.
    """
    fours, rest = divmod(count, 4)
    if fours * 2 < rest or fours == 0:
        raise UsageError(f"{count} identities cannot be drawn as groups of near-twins (use 4, 5, 6 or at least 8)")
    sizes = [4] * fours
    for index in range(rest):
        sizes[index % fours] += 1
    return sizes


def draw_people(seed: int, groups: Sequence[Group], *, test_identities: int, knockouts: Knockouts) -> list[Person]:
    """People of all groups in order; no code occurs twice, so none is shared between training and test."""
    law = code_law(code_bits(test_identities))
    taken: set[Code] = set()
    people: list[Person] = []
    for number, group in enumerate(groups):
        rng = stream(seed, Purpose.POPULATION, group.block, number)
        if group.size == 1 or knockouts.same_yaw_no_twins:
            codes = list(_fresh_codes(law, taken, rng, group.size))
            people += [_first(group.block, -1, code, rng, knockouts) for code in codes]
        else:
            people += _twins(group, number, law, taken, rng, knockouts)
    return people


def _fresh_codes(law: CodeLaw, taken: set[Code], rng: np.random.Generator, count: int) -> Iterator[Code]:
    for _ in range(count):
        code = law.draw(rng)
        while code in taken:
            code = law.draw(rng)
        taken.add(code)
        yield code


def _twins(
    group: Group, number: int, law: CodeLaw, taken: set[Code], rng: np.random.Generator, knockouts: Knockouts
) -> list[Person]:
    while True:
        first = _first(group.block, number, law.draw(rng), rng, knockouts)
        factors = [name for name in TWIN_FACTORS if _shows(first, name) and _room(name) >= group.size]
        factor = factors[int(rng.integers(len(factors)))]
        codes = [
            replace(first.code, **{factor: value})
            for value in _unlike(first.code[factor], factor, group.size, law, rng)
        ]
        if taken.isdisjoint(codes):
            break
    taken.update(codes)
    people = [first]
    for code in codes[1:]:
        people.append(_twin(first, code, people, rng, knockouts))
    return people


def _shows(person: Person, factor: str) -> bool:
    """Whether near-twins of a person may differ in a factor: an ink that near infrared does not show cannot cross."""
    return factor != "upper_pattern" or person.upper.weave.survives


def _room(factor: str) -> int:
    """How many near-twins can differ in a factor."""
    values = FACTORS[factor]
    # Near-twins of unlike finish must differ in near-infrared tone, of which there are fewer than finishes.
    return min(len(values), len(TONES)) if values is FINISHES else len(values)


def _unlike(first: str, factor: str, count: int, law: CodeLaw, rng: np.random.Generator) -> list[str]:
    """`count` values of a factor, drawn by its weights, beginning with `first`.

    Left and right of one kind come together only where there are not enough kinds: mirrored pictures do not tell them.
    """
    values, weights = FACTORS[factor], law.weights[factor]
    kinds = [value.partition("_")[0] for value in values]
    taken = np.array(values) == first
    while taken.sum() < count:
        alike = np.isin(kinds, np.array(kinds)[taken])
        chance = weights * ~(taken if alike.all() else alike)
        taken[int(rng.choice(len(values), p=chance / chance.sum()))] = True
    return [first, *(value for value, one in zip(values, taken, strict=True) if one and value != first)]


def _first(block: int, group: int, code: Code, rng: np.random.Generator, knockouts: Knockouts) -> Person:
    upper = draw_garment(block, code, "upper", rng, knockouts)
    lower = draw_garment(block, code, "lower", rng, knockouts)
    blank = Plain(colour=(0.5, 0.5, 0.5), tone=0.5, warmth=0.5)
    person = Person(
        block=block,
        group=group,
        code=code,
        shape=_draw_shape(rng),
        upper=upper,
        lower=lower,
        skin=blank,
        hair=Plain(colour=(0, 0, 0), tone=float(rng.uniform(0.10, 0.34)), warmth=0.42),
        shoes=blank,
        bag=Plain(colour=(0, 0, 0), tone=float(rng.uniform(0.1, 0.7)), warmth=0.06),
        hat=Plain(colour=(0, 0, 0), tone=float(rng.uniform(0.1, 0.7)), warmth=0.3),
        inner=blank,
        armband=blank,
    )
    return _coloured(person, rng, knockouts)


def _twin(first: Person, code: Code, others: list[Person], rng: np.random.Generator, knockouts: Knockouts) -> Person:
    """A copy of `first` in everything that crosses modalities but one factor; colours and body are drawn anew."""
    factor = first.code.differing(code)[0]
    part = "lower" if factor.startswith("lower") else "upper"
    old: Garment = getattr(first, part)
    changed = draw_garment(first.block, code, part, rng, knockouts)
    if factor == f"{part}_finish":
        levels = {getattr(other, part).level for other in others}
        while changed.level in levels:
            changed = draw_garment(first.block, code, part, rng, knockouts)
        garment = replace(old, finish=changed.finish, level=changed.level, tone=changed.tone)
    elif factor == part:
        garment = replace(old, warmth=changed.warmth)
    else:
        garment = old
    clothes: dict[str, Any] = {part: garment}
    return _coloured(replace(first, code=code, shape=_draw_shape(rng), **clothes), rng, knockouts)


def _draw_shape(rng: np.random.Generator) -> Shape:
    measures = 1 + SHAPE_SPREAD * np.clip(rng.normal(size=6), -2.5, 2.5)
    height, shoulders, hips, girth, legs, head = measures.tolist()
    return Shape(height=height, shoulders=shoulders, hips=hips, girth=girth, legs=1 + (legs - 1) / 2, head=head)


def _coloured(person: Person, rng: np.random.Generator, knockouts: Knockouts) -> Person:
    code, block = person.code, person.block
    upper_inks = any(code[name] != "plain" for name in ("upper_pattern", "front", "back"))
    upper = colour_garment(person.upper, block, "upper", rng, knockouts, patterned=upper_inks)
    lower = colour_garment(person.lower, block, "lower", rng, knockouts, patterned=code.lower_pattern != "plain")
    light_shoes = code.shoes == "light"
    grey = float(rng.uniform(0.7, 0.9) if light_shoes else rng.uniform(0.07, 0.25))
    shoe = tuple(float(np.clip(grey + value, 0.02, 0.95)) for value in rng.normal(0, 0.03, 3))
    band = (0.9, 0.85, 0.2) if rng.random() < 0.5 else (0.85, 0.85, 0.85)
    dark = person.upper.tone < 0.45
    palette = palette_of(block, "lower")
    return replace(
        person,
        upper=upper,
        lower=lower,
        skin=Plain(colour=_skin(rng), tone=float(rng.uniform(0.52, 0.64)), warmth=0.95),
        hair=replace(person.hair, colour=_hair(rng)),
        shoes=Plain(colour=(shoe[0], shoe[1], shoe[2]), tone=0.68 if light_shoes else 0.16, warmth=0.28),
        bag=replace(person.bag, colour=draw_colour(palette, TONES[2], rng, knockouts)),
        hat=replace(person.hat, colour=draw_colour(palette, TONES[2], rng, knockouts)),
        inner=Plain(
            colour=draw_colour(palette, TONES[2], rng, knockouts), tone=float(rng.uniform(0.1, 0.8)), warmth=0.7
        ),
        armband=Plain(colour=band, tone=0.85 if dark else 0.1, warmth=0.2),
    )


def _skin(rng: np.random.Generator) -> Rgb:
    depth = float(rng.uniform(0, 1))
    return 0.83 - 0.38 * depth, 0.66 - 0.38 * depth, 0.55 - 0.36 * depth


def _hair(rng: np.random.Generator) -> Rgb:
    tones: tuple[Rgb, ...] = ((0.08, 0.07, 0.07), (0.20, 0.13, 0.09), (0.38, 0.26, 0.15), (0.55, 0.5, 0.45))
    return tones[int(rng.choice(4, p=[0.55, 0.25, 0.12, 0.08]))]
