"""Clothes: colour, pattern, finish, near-infrared tone and warmth.

The finish says part of the near-infrared tone; colour says little of it, the red channel most, the blue least.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vireid.data.synthetic.factors import FINISH_TO_TONE, FINISH_WEIGHTS, FINISHES, TONES, Code
from vireid.data.synthetic.families import PRETRAIN, draw_family
from vireid.data.synthetic.knockouts import Knockouts

__all__ = [
    "INVERSION",
    "TECHNOLOGIES",
    "Garment",
    "Ink",
    "Rgb",
    "colour_garment",
    "draw_colour",
    "draw_garment",
    "palette_of",
]

Rgb = tuple[float, float, float]
Floats = NDArray[np.float64]

# Most frequent first: dark coats and jeans dominate streets.
UPPER_COLOURS: tuple[Rgb, ...] = (
    (0.12, 0.12, 0.13), (0.14, 0.17, 0.28), (0.38, 0.39, 0.40), (0.25, 0.20, 0.17), (0.80, 0.79, 0.76),
    (0.60, 0.54, 0.42), (0.55, 0.14, 0.15), (0.22, 0.33, 0.24), (0.45, 0.58, 0.72), (0.75, 0.50, 0.55),
    (0.78, 0.68, 0.25), (0.42, 0.28, 0.48), (0.78, 0.42, 0.18), (0.20, 0.48, 0.50),
)  # fmt: skip
LOWER_COLOURS: tuple[Rgb, ...] = (
    (0.22, 0.28, 0.40), (0.13, 0.13, 0.14), (0.36, 0.36, 0.37), (0.42, 0.50, 0.62), (0.55, 0.48, 0.37),
    (0.22, 0.18, 0.15), (0.74, 0.73, 0.70), (0.28, 0.33, 0.24), (0.50, 0.18, 0.20),
)  # fmt: skip
PRETRAIN_COLOURS: tuple[Rgb, ...] = (
    (0.20, 0.30, 0.12), (0.30, 0.12, 0.30), (0.10, 0.36, 0.58), (0.66, 0.26, 0.38), (0.55, 0.62, 0.20),
    (0.52, 0.36, 0.20), (0.62, 0.66, 0.80), (0.18, 0.22, 0.22), (0.86, 0.58, 0.40), (0.34, 0.46, 0.44),
    (0.46, 0.10, 0.08), (0.70, 0.72, 0.62), (0.28, 0.26, 0.44), (0.88, 0.82, 0.55), (0.10, 0.18, 0.14),
)  # fmt: skip

CHANNEL_CORRELATION = (0.40, 0.25, 0.10)
"""Wanted correlations of R, G and B with the near-infrared tone."""

TILT = 1.18
"""Makes up for what patterns, which ask for colours of their own, take from those correlations."""

TONE_MEAN, TONE_SPREAD = 0.45, 0.25

TECHNOLOGIES = {"dye": 0.3, "pigment": 0.6, "plastisol": 0.9}
"""Print technologies and the chance that what they draw shows in near infrared."""

INVERSION = 0.4
"""Chance that a surviving pattern turns its contrast round in near infrared."""


@dataclass(frozen=True, kw_only=True)
class Ink:
    """A second colour on a garment: the bars of a weave or the figure of a print."""

    family: int
    variant: int
    period: float
    """Metres from bar to bar."""
    technology: str
    survives: bool
    inverted: bool
    contrast: float
    """Near-infrared reflectance minus the ground's; 0 where the ink does not survive."""
    colour: Rgb = (0.0, 0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class Garment:
    """One piece of clothing with the inks it may carry: `weave` all over, `front` and `back` prints."""

    finish: str
    level: int
    """Near-infrared tone level, an index into `TONES`."""
    tone: float
    warmth: float
    """Surface temperature, from air (0) to skin (1)."""
    lighter: bool
    """Whether its inks are lighter than the ground in visible light."""
    weave: Ink
    front: Ink
    back: Ink
    colour: Rgb = (0.0, 0.0, 0.0)


def draw_level(finish: str, rng: np.random.Generator, knockouts: Knockouts) -> int:
    """Near-infrared tone level of a fabric; under the knock-out, of a fabric drawn anew."""
    row = FINISHES.index(finish)
    other = int(rng.choice(len(FINISHES), p=FINISH_WEIGHTS))
    row = other if knockouts.finish_map == "permuted" else row
    return int(rng.choice(len(TONES), p=FINISH_TO_TONE[row]))


def draw_garment(block: int, code: Code, part: str, rng: np.random.Generator, knockouts: Knockouts) -> Garment:
    """The `upper` or `lower` garment of a code, not yet coloured."""
    lighter = bool(rng.random() < 0.7)
    finish = code[f"{part}_finish"]
    level = draw_level(finish, rng, knockouts)
    inks = [_draw_ink(block, lighter, rng, knockouts) for _ in range(3)]
    patterns = ("upper_pattern", "front", "back") if part == "upper" else ("lower_pattern",)
    worn = [ink for ink, name in zip(inks, patterns, strict=False) if code[name] != "plain"]
    tone = _room_for(TONES[level] + float(rng.normal(0, 0.02)), worn)
    return Garment(
        finish=finish,
        level=level,
        tone=tone,
        warmth=_warmth(code, part) + float(rng.normal(0, 0.035)),
        lighter=lighter,
        weave=inks[0],
        front=inks[1],
        back=inks[2],
    )


def colour_garment(
    garment: Garment, block: int, part: str, rng: np.random.Generator, knockouts: Knockouts, *, patterned: bool
) -> Garment:
    """A copy with visible colours; a patterned garment's ground leaves room for its inks on their side of grey."""
    palette = palette_of(block, part)
    colour = draw_colour(palette, garment.tone, rng, knockouts)
    while patterned and not _inks(colour, block, garment.lighter):
        colour = draw_colour(palette, garment.tone, rng, knockouts)
    choices = _inks(colour, block, garment.lighter) or palette_of(block, "upper")
    picks = [choices[int(rng.integers(len(choices)))] for _ in range(3)]
    return replace(
        garment,
        colour=colour,
        weave=replace(garment.weave, colour=picks[0]),
        front=replace(garment.front, colour=picks[1]),
        back=replace(garment.back, colour=picks[2]),
    )


def draw_colour(palette: tuple[Rgb, ...], tone: float, rng: np.random.Generator, knockouts: Knockouts) -> Rgb:
    """A colour of a palette, jittered; some colours are likelier on cloth that is bright in near infrared."""
    weights, slopes = _leanings(palette)
    pull = knockouts.rgb_nir_correlation * (tone - TONE_MEAN) / TONE_SPREAD
    chance = weights * np.exp(slopes * pull)
    base = np.array(palette[int(rng.choice(len(palette), p=chance / chance.sum()))])
    jitter = rng.normal(0, 0.03) + rng.normal(0, 0.012, 3)
    red, green, blue = np.clip(base * 0.86 + 0.05 + jitter, 0.02, 0.95).tolist()
    return red, green, blue


@lru_cache(maxsize=8)
def _leanings(palette: tuple[Rgb, ...]) -> tuple[Floats, Floats]:
    """Zipf weights of a palette, and by how much each colour's log weight rises per standard deviation of the tone.

    To first order a tilt exp(slope . colour) moves the mean colour by covariance x slope, so the slopes that give the
    wanted correlations solve one linear system. No other law of the same correlations ties hue to tone less.
    """
    colours = np.array(palette)
    steepness = 0.3 if palette is PRETRAIN_COLOURS else 0.7
    weights = np.arange(1, len(palette) + 1, dtype=np.float64) ** -steepness
    weights /= weights.sum()
    centred = colours - weights @ colours
    covariance = (centred * weights[:, None]).T @ centred
    jitter = np.eye(3) * 0.03**2
    wanted = TILT * np.array(CHANNEL_CORRELATION) * np.sqrt(np.diag(covariance + jitter))
    return weights, centred @ np.linalg.solve(covariance + jitter, wanted)


def palette_of(block: int, part: str) -> tuple[Rgb, ...]:
    if block == PRETRAIN:
        return PRETRAIN_COLOURS
    return UPPER_COLOURS if part == "upper" else LOWER_COLOURS


def _draw_ink(block: int, lighter: bool, rng: np.random.Generator, knockouts: Knockouts) -> Ink:
    technology = list(TECHNOLOGIES)[int(rng.integers(len(TECHNOLOGIES)))]
    survives = bool(rng.random() < TECHNOLOGIES[technology])
    inverted = bool(rng.random() < INVERSION) and survives and not knockouts.no_contrast_inversion
    contrast = float(rng.uniform(0.26, 0.40)) * (1 if lighter != inverted else -1)
    return Ink(
        family=draw_family(block, rng),
        variant=int(rng.integers(1 << 20)),
        period=float(rng.uniform(0.08, 0.2)),
        technology=technology,
        survives=survives,
        inverted=inverted,
        contrast=contrast if survives else 0.0,
    )


def _warmth(code: Code, part: str) -> float:
    layers = {"coat": 0.38, "jacket": 0.44, "hoodie": 0.54, "vest": 0.48, "shirt": 0.66}
    fits = {"trousers": 0.48, "slim": 0.60, "skirt": 0.40, "shorts": 0.50}
    return layers[code.upper] if part == "upper" else fits[code.lower]


def _room_for(tone: float, inks: list[Ink]) -> float:
    # An ink darker than black cannot be: the ground gives way, so that a pattern keeps its contrast and its sign.
    offsets = [ink.contrast for ink in inks]
    lowest, highest = min(offsets, default=0.0), max(offsets, default=0.0)
    return float(np.clip(tone, 0.04 - min(lowest, 0.0), 0.92 - max(highest, 0.0)))


def _inks(ground: Rgb, block: int, lighter: bool) -> tuple[Rgb, ...]:
    side = 1 if lighter else -1
    return tuple(colour for colour in palette_of(block, "upper") if side * (sum(colour) - sum(ground)) > 0.5)
