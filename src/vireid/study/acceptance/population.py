"""Whether the people and sightings of a finished set are distributed as the benchmark promises."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vireid.data import Dataset
from vireid.data.synthetic.factors import FACTORS, code_law, mutual_information
from vireid.data.synthetic.people import code_bits
from vireid.study.acceptance.findings import Finding
from vireid.study.acceptance.oracle import INKS, factor_table

__all__ = ["population", "sightings"]

HUES = 8
GREYISH = 0.15
"""Saturation below which a colour has no hue."""
TONE_EDGES = (0.15, 0.28, 0.45, 0.65)
CHANNELS = {"red": 0.40, "green": 0.25, "blue": 0.10}
TECHNOLOGIES = {"dye": 0.3, "pigment": 0.6, "plastisol": 0.9}
INVERTED = 0.4
TOLERANCE = 0.1
"""By how much correlations over a few hundred garments may miss what is wanted."""
ERRORS = 2.5
"""By how many standard errors counted shares may."""


def population(dataset: Dataset) -> list[Finding]:
    """Codes, near-twins, garments and patterns of the people, counted; bits are free of the bias of counts."""
    table = factor_table(dataset)
    people = table.drop_duplicates("identity")
    test = people[people["split"] == "test"]
    return [*_codes(people, test), *_garments(people), *_patterns(people, test), *_shapes(people)]


def sightings(dataset: Dataset) -> list[Finding]:
    """Changes of clothes, boxes, occluders and headings over the pictures."""
    table = factor_table(dataset)
    changed = table[["coat_open", "hood_up", "bag_swapped"]].any(axis=1)
    first = ~table.duplicated(["identity", "modality", "camera"])
    across = {m: float(np.cos(table["heading"][table["modality"] == m]).mean()) for m in ("visible", "infrared")}
    return [
        _share("sightings with clothes or bag changed", float(changed[first].mean()), 0.15, 0.05),
        Finding(
            name="vertical shift of the box, standard deviation",
            value=100 * float(table["shift_row"].std()),
            unit="% of the height",
            low=6,
            high=8,
        ),
        _share("crops with the lower body occluded", float((table["free_to"] < 1).mean()), 0.30, 0.05),
        _share("crops with the upper body occluded", float((table["free_from"] > 0).mean()), 0.08, 0.04),
        Finding(
            name="mean cosine of the heading, visible minus infrared",
            value=across["visible"] - across["infrared"],
            unit="",
            low=0.1,
            note="people show their fronts to visible cameras more often",
        ),
    ]


def _codes(people: pd.DataFrame, test: pd.DataFrame) -> Iterator[Finding]:
    law = code_law(code_bits(len(test)))
    bits = float(np.log2(len(test))) + 5
    yield Finding(name="bits of the identity code", value=law.total_bits, unit="bits", low=bits - 0.5, high=bits + 0.5)
    yield _share("share of these bits on one side of the body", law.one_sided_bits / law.total_bits, 0.35, 0.05)
    codes = {split: set(_code_rows(people[_trained(people) == (split == "train")])) for split in ("train", "test")}
    yield Finding(name="codes in both training and test", value=len(codes["train"] & codes["test"]), unit="", high=0)
    yield Finding(name="near-twins of a test identity, fewest", value=_fewest_twins(test), unit="", low=3)


def _trained(people: pd.DataFrame) -> NDArray[np.bool_]:
    return (people["split"] != "test").to_numpy(bool)


def _code_rows(people: pd.DataFrame) -> list[tuple[Any, ...]]:
    return list(people[[f"true_{factor}" for factor in FACTORS]].itertuples(index=False, name=None))


def _fewest_twins(test: pd.DataFrame) -> int:
    codes = np.array(_code_rows(test))
    near = (codes[:, None] != codes[None]).sum(axis=2) == 1
    return int(near.sum(axis=1).min())


def _garments(people: pd.DataFrame) -> Iterator[Finding]:
    worn = pd.concat(
        [
            people[[f"true_{part}_{name}" for name in ("finish", "level", "tone", *CHANNELS)]].set_axis(
                ["finish", "level", "tone", *CHANNELS], axis=1
            )
            for part in ("upper", "lower")
        ],
        ignore_index=True,
    )
    hsv = [colorsys.rgb_to_hsv(*colour) for colour in worn[list(CHANNELS)].itertuples(index=False, name=None)]
    hue = [HUES if saturation < GREYISH else int(h * HUES) % HUES for h, saturation, _ in hsv]
    tone = np.digitize(worn["tone"], TONE_EDGES)
    finish = _shared(pd.factorize(worn["finish"])[0], worn["level"].to_numpy(np.int64))
    yield Finding(name="finish and near-infrared tone share", value=finish, unit="bits", low=1.0, high=1.5)
    shared = _shared(np.array(hue), tone)
    yield Finding(name="hue and near-infrared tone share", value=shared, unit="bits", high=0.1)
    found = {name: float(np.corrcoef(worn["tone"], worn[name])[0, 1]) for name in CHANNELS}
    for name, wanted in CHANNELS.items():
        yield _share(f"correlation of {name} with near infrared", found[name], wanted, TOLERANCE, unit="")
    falls = min(found["red"] - found["green"], found["green"] - found["blue"])
    yield Finding(name="fall of that correlation from red to green to blue, least step", value=falls, unit="", low=0.0)


def _shared(rows: NDArray[Any], columns: NDArray[Any]) -> float:
    """Mutual information in bits, less what independent counts would show (Miller and Madow)."""
    counts = np.zeros((int(rows.max()) + 1, int(columns.max()) + 1))
    np.add.at(counts, (rows, columns), 1)
    cells = ((counts.sum(axis=1) > 0).sum() - 1) * ((counts.sum(axis=0) > 0).sum() - 1)
    return mutual_information(counts) - float(cells / (2 * len(rows) * np.log(2)))


def _patterns(people: pd.DataFrame, test: pd.DataFrame) -> Iterator[Finding]:
    worn = _inks(people)
    for name, wanted in TECHNOLOGIES.items():
        survived = worn.loc[worn["technology"] == name, "survives"]
        yield _rate(f"patterns in {name} that show in near infrared", survived, wanted)
    yield _rate("patterns shown there with inverted contrast", worn.loc[worn["survives"], "inverted"], INVERTED)
    known = set(_inks(people[_trained(people)])["family"])
    unseen = float((~_inks(test)["family"].isin(known)).mean())
    yield Finding(name="test patterns of families absent in training", value=100 * unseen, low=30)


def _inks(people: pd.DataFrame) -> pd.DataFrame:
    """One row per pattern worn; near-twins wear the same one, which counts once."""
    columns = ["family", "technology", "survives", "inverted"]
    parts = []
    for factor, ink in INKS.items():
        worn = people[people[f"true_{factor}"] != "plain"]
        alone = worn["true_group"] < 0
        worn = pd.concat([worn[alone], worn[~alone].drop_duplicates("true_group")])
        parts.append(worn[[f"true_{ink}_{name}" for name in columns]].set_axis(columns, axis=1))
    return pd.concat(parts, ignore_index=True)


def _shapes(people: pd.DataFrame) -> Iterator[Finding]:
    spread = [float(people[name].std()) for name in people.columns if name.startswith("true_shape_")]
    for word, value in (("least", min(spread)), ("greatest", max(spread))):
        name = f"body measures, standard deviation, {word}"
        yield Finding(name=name, value=100 * value, low=1.5 if word == "least" else 3.0, high=5)


def _rate(name: str, drawn: pd.Series[bool], wanted: float) -> Finding:
    tolerance = ERRORS * float(np.sqrt(wanted * (1 - wanted) / max(len(drawn), 1)))
    low, high = max(0.0, wanted - tolerance), min(1.0, wanted + tolerance)
    share = float(drawn.mean()) if len(drawn) else float("nan")
    return Finding(
        name=name,
        value=100 * share,
        low=round(100 * low, 1),
        high=round(100 * high, 1),
        note=f"of {len(drawn)} patterns",
    )


def _share(name: str, value: float, wanted: float, tolerance: float, *, unit: str = "%") -> Finding:
    scale = 100 if unit == "%" else 1
    return Finding(
        name=name,
        value=scale * value,
        unit=unit,
        low=round(scale * (wanted - tolerance), 6),
        high=round(scale * (wanted + tolerance), 6),
    )
