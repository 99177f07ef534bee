"""Figures, bands and chance; retrieval by any score."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vireid.data import Dataset, open_dataset
from vireid.study.acceptance.findings import Finding, pooled
from vireid.study.acceptance.retrieval import _by_chance, inside_modality, retrieve
from vireid.types import Modality


@pytest.fixture(scope="module")
def sysu(tiny_sysu: Path) -> Dataset:
    return open_dataset("sysu", tiny_sysu)


def test_a_figure_is_met_inside_its_band_and_at_its_ends() -> None:
    band = Finding(name="a", value=20.0, low=20.0, high=40.0)
    assert band.met
    assert replace(band, value=40.0).met
    assert not replace(band, value=19.9).met
    assert not replace(band, value=40.1).met
    assert not replace(band, value=math.nan).met
    assert band.wanted == "20 to 40 %"
    assert replace(band, high=None).wanted == "at least 20 %"
    assert replace(band, low=None, unit="points").wanted == "at most 40 points"


def test_a_figure_without_a_band_only_informs() -> None:
    told = Finding(name="a", value=math.nan)
    assert told.met
    assert not told.judged
    assert told.wanted == "for information"


def test_chance_is_its_mean_and_three_spreads() -> None:
    found = Finding(name="a", value=1.9, chance=(0.8, 1.2) * 50)
    assert found.limit == pytest.approx(1.0 + 3 * 0.2)
    assert not found.met
    assert replace(found, value=1.5).met
    assert "1.6" in found.wanted


def test_seeds_are_pooled_and_chance_with_them() -> None:
    rng = np.random.default_rng(0)
    each = [Finding(name="a", value=v, chance=tuple(rng.normal(1, 0.3, 200).tolist())) for v in (1.0, 2.0, 1.5)]
    together = pooled(each)
    assert together.value == pytest.approx(1.5)
    assert together.limit is not None
    assert together.limit < min(one.limit or 0 for one in each)
    bands = [Finding(name="a", value=1, low=1.0, high=3.0), Finding(name="a", value=1, low=2.0, high=4.0)]
    assert (pooled(bands).low, pooled(bands).high) == (1.5, 3.5)


def test_a_figure_survives_json() -> None:
    for found in (
        Finding(name="a", value=math.nan, low=1.0, note="x"),
        Finding(name="b", value=2.5, unit="bits", chance=(0.25, 0.5)),
    ):
        back = Finding.from_json(json.loads(json.dumps(found.to_json())))
        assert back.to_json() == found.to_json()
        assert back.met == found.met


def test_a_perfect_score_is_far_above_chance_and_a_random_one_is_not(sysu: Dataset) -> None:
    identity = sysu.images["identity"].to_numpy()
    protocol = sysu.protocol("all-single-agw")
    perfect = retrieve(protocol, lambda q, g: (identity[q][:, None] == identity[g]).astype(float), chance=True)
    assert (perfect.rank1, perfect.mAP, perfect.mINP) == (100, 100, 100)
    # Of each of two groups of cameras, one person in the mean keeps the own label.
    assert np.mean(perfect.chance_rank1) == pytest.approx(100 * 2 / 8, abs=4)
    rng = np.random.default_rng(0)
    blind = retrieve(protocol, lambda q, g: rng.random((len(q), len(g))), chance=True)
    assert Finding(name="a", value=blind.rank1, chance=blind.chance_rank1).met
    assert not Finding(name="a", value=perfect.rank1, chance=perfect.chance_rank1).met


def test_chance_under_the_true_labels_is_the_figure_itself(sysu: Dataset) -> None:
    protocol = sysu.protocol("all-multi-agw")
    identity = sysu.images["identity"].to_numpy()
    rng = np.random.default_rng(1)
    trial = protocol.trials()[0]
    scores = rng.random((len(trial.query), len(trial.gallery)))
    one = replace(protocol, draws=protocol.draws[:1])
    found = retrieve(one, lambda q, g: scores)
    people = np.unique(identity[trial.query])
    same = np.arange(len(people))[None]
    rank1, mean_ap = _by_chance(scores, trial, identity[trial.query], identity[trial.gallery], people, same)[:, 0]
    assert (rank1, mean_ap) == pytest.approx((found.rank1, found.mAP))


def test_fewer_people_are_easier_to_tell_apart(sysu: Dataset) -> None:
    rng = np.random.default_rng(0)
    found = retrieve(sysu.protocol("all-single-agw"), lambda q, g: rng.random((len(q), len(g))), people=2)
    assert 25 < found.rank1 < 75
    assert len(set(np.concatenate(found.people).tolist())) > 2


@pytest.mark.parametrize("modality", list(Modality))
def test_inside_one_modality_no_camera_searches_itself(sysu: Dataset, modality: Modality) -> None:
    protocol = inside_modality(sysu, modality)
    camera, seen = (sysu.images[name].to_numpy() for name in ("camera", "modality"))
    for trial in protocol.trials():
        assert set(seen[trial.query]) == set(seen[trial.gallery]) == {str(modality)}
        assert (trial.invalid == (camera[trial.query][:, None] == camera[trial.gallery])).all()
