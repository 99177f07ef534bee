"""The ceiling: matching by the true factors, as far as each picture shows them.

For every factor the oracle asks how much likelier it is that two pictures show what they show if they show one person
than if they show two. A channel says what a camera reads of a value: a visible one reads it as it is; an infrared one
reads tone and relief of a cloth instead of its finish, and a pattern only where it survived. Factors that one of the
pictures hides say nothing. The sum of the logarithms ranks the gallery: the order of the posterior over people, for
a uniform prior and independent factors. All frequencies are counted in the set itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vireid.data import Dataset
from vireid.data.synthetic.appearance import RELIEF
from vireid.data.synthetic.factors import FACTORS
from vireid.errors import DataError
from vireid.study.acceptance.findings import Finding
from vireid.study.acceptance.retrieval import Retrieval, Score, retrieve

__all__ = ["FACTOR_FILE", "ceiling", "ceilings", "factor_table", "oracle_score"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.floating[Any]]
BoolArray = NDArray[np.bool_]

FACTOR_FILE = "factors.parquet"
DEFAULT = "all-single-agw"
HEAD = ("hair", "hat")
MISREAD = 0.02
"""Chance that a reading is any value at random: one wrong reading must not outweigh all that agrees."""

HEAD_FREE, TORSO_FREE = 0.12, 0.30
"""From here (share of the crop's height, from the top) something in front hides the head, the upper trunk."""
LEGS_FREE, FEET_FREE = 0.66, 0.92
"""Up to here the crop must be free for the lower garment, the shoes to be seen."""
FEET_CUT = 0.03
"""A box this much too high cuts the shoes off."""

INKS = {
    "upper_pattern": "upper_weave",
    "lower_pattern": "lower_weave",
    "front": "upper_front",
    "back": "upper_back",
}
"""Factors that are drawn in an ink, which near infrared may not show."""

_RELIEFS = ("smooth", *RELIEF)
"""What of a fabric every light shows, beside its tone."""

DRAWN = {"stripe", "check", "print", "logo", "text", "number"}
"""Patterns whose family, too, can be recognised."""


def factor_table(dataset: Dataset) -> pd.DataFrame:
    """The truth behind every picture, row for row with `dataset.images`.

    Raises:
        DataError: it is missing, or does not name every picture.
    """
    file = dataset.root / FACTOR_FILE
    if not file.is_file():
        raise DataError(f"{file} does not exist; only rendered sets have an oracle")
    table = pd.read_parquet(file)
    table.index = pd.Index([str(Path(dataset.root) / path) for path in table["path"]])
    missing = dataset.images.loc[~dataset.images["path"].isin(table.index), "path"]
    if len(missing):
        raise DataError(
            f"{file} says nothing of {len(missing)} pictures, one is {missing.iloc[0]}; render the set anew"
        )
    return table.loc[dataset.images["path"]].reset_index(drop=True)


def ceiling(dataset: Dataset, protocol: str = DEFAULT, *, factors: tuple[str, ...] = tuple(FACTORS)) -> Retrieval:
    """What the oracle reaches under a protocol, knowing these factors only."""
    return retrieve(dataset.protocol(protocol), oracle_score(factor_table(dataset), factors))


def ceilings(dataset: Dataset) -> tuple[list[Finding], float]:
    """Ceilings from infrared to visible, what the head's factors alone allow, and the default protocol's mAP."""
    found = {name: ceiling(dataset, name) for name in (DEFAULT, "indoor-single-agw")}
    head = ceiling(dataset, factors=HEAD)
    rows = [
        Finding(name=f"oracle, {name}, {metric}", value=value)
        for name, each in found.items()
        for metric, value in (("rank-1", each.rank1), ("mAP", each.mAP))
    ]
    note = f"mAP {head.mAP:.1f} %: what heads can tell by these factors"
    rows.append(Finding(name=f"oracle that knows {' and '.join(HEAD)} only, rank-1", value=head.rank1, note=note))
    return rows, found[DEFAULT].mAP


def oracle_score(table: pd.DataFrame, factors: tuple[str, ...] = tuple(FACTORS)) -> Score:
    """The score of rows of a factor table: log-likelihood ratios, summed over what both pictures show."""
    people = table.drop_duplicates("identity")
    readings = [
        reading
        for factor in factors
        for reading in (_factor(factor, table, people), *([_family(factor, table)] if factor in INKS else []))
    ]
    noise = np.random.default_rng(0)

    def score(query: IntArray, gallery: IntArray) -> FloatArray:
        total = noise.random((len(query), len(gallery))) * 1e-6  # settles ties, which near-twins are full of
        for reading in readings:
            total += reading.ratio(query, gallery)
        return total

    return score


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """A factor as the pictures show it.

    seen: (N,) number of what is read, -1 where it is hidden. infrared: (N,). prior: (V,) shares of the true values.
    channels: by modality, P(read | true value) (V, R); visible first.
    """

    seen: IntArray
    infrared: BoolArray
    prior: FloatArray
    channels: tuple[FloatArray, FloatArray]

    def ratio(self, query: IntArray, gallery: IntArray) -> FloatArray:
        """(Q, G) log P(both readings | one person) - log P(both | two people); 0 where one is hidden."""
        total = np.zeros((len(query), len(gallery)))
        for q_side in (False, True):
            for g_side in (False, True):
                rows = np.flatnonzero((self.infrared[query] == q_side) & (self.seen[query] >= 0))
                columns = np.flatnonzero((self.infrared[gallery] == g_side) & (self.seen[gallery] >= 0))
                if len(rows) and len(columns):
                    table = self._table(q_side, g_side)
                    chosen = self.seen[query[rows]][:, None], self.seen[gallery[columns]][None]
                    total[rows[:, None], columns[None]] = table[chosen]
        return total

    def _table(self, first: bool, second: bool) -> FloatArray:
        one, other = self.channels[first], self.channels[second]
        joint = np.einsum("v,va,vb->ab", self.prior, one, other)
        ratio: FloatArray = np.log(joint / np.outer(self.prior @ one, self.prior @ other))
        return ratio


def _factor(factor: str, table: pd.DataFrame, people: pd.DataFrame) -> _Reading:
    values = list(FACTORS[factor])
    number = {value: place for place, value in enumerate(values)}
    true = table[f"true_{factor}"].map(number).to_numpy(np.int64)
    infrared = (table["modality"] == "infrared").to_numpy()
    prior = _shares(people[f"true_{factor}"].map(number).to_numpy(), len(values))
    same = np.eye(len(values))
    if factor.endswith("_finish"):
        part = factor.removesuffix("_finish")
        relief = np.array([_RELIEFS.index(name) if name in RELIEF else 0 for name in values])
        level = table[f"true_{part}_level"].to_numpy(np.int64)
        read, dim = np.where(infrared, level * len(_RELIEFS) + relief[true], true), _cloth(people, number, relief)
    elif factor in INKS:
        survives = table[f"true_{INKS[factor]}_survives"].to_numpy(bool)
        plain = number["plain"]
        read = np.where(infrared & ~survives, plain, true)
        rate = _survival(people, factor)
        dim = same * rate
        dim[:, plain] += 1 - rate
    else:
        read, dim = true, same
    seen = np.where(_visible(factor, table), read, -1)
    channels = tuple(_misread(channel, prior) for channel in (same, dim))
    return _Reading(seen=seen, infrared=infrared, prior=prior, channels=(channels[0], channels[1]))


def _family(factor: str, table: pd.DataFrame) -> _Reading:
    """Which family a pattern is of; read only where a pattern is seen."""
    ink = INKS[factor]
    infrared = (table["modality"] == "infrared").to_numpy()
    codes, families = pd.factorize(table[f"true_{ink}_family"])
    drawn = table[f"true_{factor}"].isin(DRAWN).to_numpy()
    shown = drawn & _visible(factor, table) & (~infrared | table[f"true_{ink}_survives"].to_numpy(bool))
    prior = np.full(len(families), 1 / len(families))
    channel = _misread(np.eye(len(families)), prior)
    return _Reading(
        seen=np.where(shown, codes, -1).astype(np.int64), infrared=infrared, prior=prior, channels=(channel, channel)
    )


def _visible(factor: str, table: pd.DataFrame) -> BoolArray:
    """(N,) whether a picture shows this factor."""
    rules: dict[str, Callable[[], Any]] = {
        "hair": lambda: ~table["hood_up"] & (table["free_from"] < HEAD_FREE),
        "hat": lambda: ~table["hood_up"] & (table["free_from"] < HEAD_FREE),
        "lower": lambda: table["free_to"] > LEGS_FREE,
        "lower_pattern": lambda: table["free_to"] > LEGS_FREE,
        "lower_finish": lambda: table["free_to"] > LEGS_FREE,
        "shoes": lambda: (table["free_to"] > FEET_FREE) & (table["shift_row"] < FEET_CUT),
        "front": lambda: table["shows_front"] & (table["free_from"] < TORSO_FREE),
        "back": lambda: table["shows_back"] & (table["free_from"] < TORSO_FREE),
        "bag": lambda: table["shows_bag"],
        "armband": lambda: table["shows_armband"] & (table["free_from"] < TORSO_FREE),
    }
    rule = rules.get(factor)
    return np.ones(len(table), np.bool_) if rule is None else rule().to_numpy(bool)


def _shares(values: NDArray[Any], count: int) -> FloatArray:
    """(count,) how often each value occurs, none of them never."""
    counts = np.bincount(values, minlength=count) + 0.5
    shares: FloatArray = counts / counts.sum()
    return shares


def _misread(channel: FloatArray, prior: FloatArray) -> FloatArray:
    return (1 - MISREAD) * channel + MISREAD * (prior @ channel)[None]


def _cloth(people: pd.DataFrame, number: dict[str, int], relief: IntArray) -> FloatArray:
    """(finishes, levels x reliefs) P(tone level and relief | finish), levels counted over upper and lower garments."""
    parts = ("upper", "lower")
    finish = np.concatenate([people[f"true_{part}_finish"].map(number).to_numpy(np.int64) for part in parts])
    level = np.concatenate([people[f"true_{part}_level"].to_numpy(np.int64) for part in parts])
    counts = np.full((len(number), int(level.max()) + 1), 0.25)
    np.add.at(counts, (finish, level), 1)
    tones = counts / counts.sum(axis=1, keepdims=True)
    cloth: FloatArray = (tones[:, :, None] * np.eye(len(_RELIEFS))[relief][:, None]).reshape(len(number), -1)
    return cloth


def _survival(people: pd.DataFrame, factor: str) -> float:
    """Share of patterns of this kind that near infrared shows."""
    worn = people[people[f"true_{factor}"] != "plain"]
    return float((worn[f"true_{INKS[factor]}_survives"].sum() + 0.5) / (len(worn) + 1))
