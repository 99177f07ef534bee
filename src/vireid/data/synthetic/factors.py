"""The cross-modal identity code: what of a person shows in visible and infrared light alike.

Every factor's values are drawn with Zipf weights (first value most often). One exponent for factors seen from all
around and one for factors seen from one side only are solved for, so that the code has the wanted number of bits.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from vireid.errors import UsageError

__all__ = [
    "FACTORS",
    "FINISHES",
    "FINISH_TO_TONE",
    "FINISH_WEIGHTS",
    "ONE_SIDED",
    "TONES",
    "Code",
    "CodeLaw",
    "code_law",
    "mutual_information",
]

Floats = NDArray[np.float64]

FINISHES = ("cotton", "polyester", "denim", "wool", "nylon", "leather")
FINISH_WEIGHTS: Floats = np.array([0.26, 0.22, 0.16, 0.14, 0.12, 0.10])
TONES = (0.09, 0.21, 0.36, 0.55, 0.76)
"""Near-infrared reflectance of the five tone levels."""

FINISH_TO_TONE: Floats = np.array(
    [
        [0.01, 0.03, 0.06, 0.87, 0.03],
        [0.01, 0.01, 0.03, 0.08, 0.87],
        [0.05, 0.87, 0.05, 0.02, 0.01],
        [0.03, 0.05, 0.88, 0.03, 0.01],
        [0.02, 0.02, 0.05, 0.06, 0.85],
        [0.88, 0.07, 0.02, 0.02, 0.01],
    ]
)
"""P(tone level | finish), rows in the order of `FINISHES`."""

FACTORS: dict[str, tuple[str, ...]] = {
    "upper": ("coat", "jacket", "hoodie", "shirt", "vest"),
    "lower": ("trousers", "slim", "skirt", "shorts"),
    "sleeves": ("long", "rolled", "short"),
    "hair": ("short", "long", "bun", "bald"),
    "hat": ("none", "cap", "beanie"),
    "shoes": ("dark", "light", "boots"),
    "upper_pattern": ("plain", "stripe", "check", "print", "band"),
    "lower_pattern": ("plain", "check", "stripe"),
    "front": ("plain", "logo", "print", "text", "panel"),
    "back": ("plain", "print", "number", "yoke"),
    "bag": ("none", "backpack", "shoulder_left", "shoulder_right", "hand_left", "hand_right"),
    "armband": ("none", "left", "right"),
    "upper_finish": FINISHES,
    "lower_finish": FINISHES,
}
ONE_SIDED = {"bag": 0.42, "front": 0.28, "back": 0.24, "armband": 0.06}
"""Factors that one side of the body hides, with their shares of the bits in such factors."""

ALL_AROUND = {
    "upper": 0.25, "lower": 0.22, "upper_pattern": 0.20, "sleeves": 0.11, "hair": 0.08, "lower_pattern": 0.06,
    "hat": 0.04, "shoes": 0.04,
}  # fmt: skip
"""Factors seen from all around, with their shares of the bits in such factors: most in what is large."""

ONE_SIDED_SHARE = 0.32
"""Share of the code's bits that is wanted in one-sided factors."""


@dataclass(frozen=True, kw_only=True, order=True)
class Code:
    """One value of every factor."""

    upper: str
    lower: str
    sleeves: str
    hair: str
    hat: str
    shoes: str
    upper_pattern: str
    lower_pattern: str
    front: str
    back: str
    bag: str
    armband: str
    upper_finish: str
    lower_finish: str

    def __getitem__(self, factor: str) -> str:
        value: str = getattr(self, factor)
        return value

    def differing(self, other: "Code") -> list[str]:
        """Names of the factors in which two codes differ."""
        return [field.name for field in fields(self) if self[field.name] != other[field.name]]


@dataclass(frozen=True)
class CodeLaw:
    """Weights of every factor's values."""

    weights: dict[str, Floats]

    def draw(self, rng: np.random.Generator) -> Code:
        values = {name: self.value(name, rng) for name in FACTORS}
        return Code(**values)

    def value(self, factor: str, rng: np.random.Generator) -> str:
        allowed = FACTORS[factor]
        return allowed[int(rng.choice(len(allowed), p=self.weights[factor]))]

    def bits(self, factor: str) -> float:
        """Entropy of a factor; a finish counts with what its near-infrared tone tells of it."""
        if FACTORS[factor] is FINISHES:
            return mutual_information(self.weights[factor][:, None] * FINISH_TO_TONE)
        return _entropy(self.weights[factor])

    @property
    def total_bits(self) -> float:
        return sum(self.bits(name) for name in FACTORS)

    @property
    def one_sided_bits(self) -> float:
        return sum(self.bits(name) for name in ONE_SIDED)


def code_law(bits: float) -> CodeLaw:
    """Zipf weights under which a code has `bits` bits, `ONE_SIDED_SHARE` of them in one-sided factors.

    Raises:
        UsageError: `bits` is more than the factors can hold or less than the finishes alone.
    """
    finish = [name for name, values in FACTORS.items() if values is FINISHES]
    weights = dict.fromkeys(finish, FINISH_WEIGHTS)
    fixed = sum(CodeLaw(weights).bits(name) for name in finish)
    for shares, wanted in ((ONE_SIDED, bits * ONE_SIDED_SHARE), (ALL_AROUND, bits * (1 - ONE_SIDED_SHARE) - fixed)):
        for name, share in shares.items():
            weights[name] = _zipf(len(FACTORS[name]), _solve((name,), wanted * share))
    return CodeLaw(weights)


def mutual_information(joint: Floats) -> float:
    """Bits shared by the row and the column of a joint distribution (or table of counts)."""
    table = joint / joint.sum()
    return _entropy(table.sum(0)) + _entropy(table.sum(1)) - _entropy(table.ravel())


def _zipf(count: int, exponent: float) -> Floats:
    weights = np.arange(1, count + 1, dtype=np.float64) ** -exponent
    normalised: Floats = weights / weights.sum()
    return normalised


def _entropy(weights: Floats) -> float:
    positive = weights[weights > 0]
    return float(-(positive * np.log2(positive)).sum())


def _solve(names: tuple[str, ...], wanted: float) -> float:
    def held(exponent: float) -> float:
        return sum(_entropy(_zipf(len(FACTORS[name]), exponent)) for name in names)

    low, high = 0.0, 12.0
    if not held(high) < wanted <= held(low):
        raise UsageError(
            f"a code cannot have {wanted:.1f} bits in {', '.join(names)} "
            f"(allowed: {held(high):.1f} to {held(low):.1f}); ask for another number of test identities"
        )
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if held(middle) > wanted else (low, middle)
    return low
