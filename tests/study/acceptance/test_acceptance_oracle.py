"""The oracle: what is hidden says nothing, what is rare says much, and everything together is a ceiling."""

from pathlib import Path

import numpy as np
import pytest

from vireid.data import Dataset, open_dataset
from vireid.data.synthetic.factors import FACTORS
from vireid.errors import DataError
from vireid.study.acceptance.oracle import _Reading, ceiling, ceilings, factor_table, oracle_score
from vireid.study.acceptance.population import _shared, population, sightings


@pytest.fixture(scope="module")
def sysu(tiny_sysu: Path) -> Dataset:
    return open_dataset("sysu", tiny_sysu)


def reading(seen: list[int], infrared: list[bool], prior: list[float], dim: list[list[float]]) -> _Reading:
    return _Reading(
        seen=np.array(seen),
        infrared=np.array(infrared),
        prior=np.array(prior),
        channels=(np.eye(len(prior)) * 0.98 + 0.01, np.array(dim)),
    )


def test_the_ratio_is_the_likelihoods_of_two_readings() -> None:
    prior, bright, dim = np.array([0.7, 0.3]), np.eye(2) * 0.98 + 0.01, np.array([[0.8, 0.2], [0.5, 0.5]])
    found = reading([0, 1, 0, 1], [False, False, True, True], prior.tolist(), dim.tolist())
    ratio = found.ratio(np.array([2, 3]), np.array([0, 1]))
    for q, g in ((0, 0), (0, 1), (1, 0), (1, 1)):
        one = sum(prior[v] * dim[v, q] * bright[v, g] for v in range(2))
        two = sum(prior[v] * dim[v, q] for v in range(2)) * sum(prior[v] * bright[v, g] for v in range(2))
        assert ratio[q, g] == pytest.approx(np.log(one / two))


def test_what_a_picture_hides_says_nothing() -> None:
    found = reading([-1, 0, 1], [False] * 3, [0.5, 0.5], [[1, 0], [0, 1]])
    ratio = found.ratio(np.arange(3), np.arange(3))
    assert (ratio[0] == 0).all()
    assert (ratio[:, 0] == 0).all()
    assert ratio[1, 1] > 0 > ratio[1, 2]


def test_a_rare_value_says_more() -> None:
    found = reading([0, 1], [False] * 2, [0.9, 0.1], [[1, 0], [0, 1]])
    ratio = found.ratio(np.arange(2), np.arange(2))
    assert ratio[1, 1] > ratio[0, 0] > 0


def test_more_factors_find_more(sysu: Dataset) -> None:
    everything, head = ceiling(sysu), ceiling(sysu, factors=("hair", "hat"))
    assert everything.mAP > head.mAP + 20
    assert everything.rank1 > 50
    findings, mean_ap = ceilings(sysu)
    assert mean_ap == everything.mAP
    assert not any(finding.judged for finding in findings)


def test_no_factors_are_chance(sysu: Dataset) -> None:
    assert ceiling(sysu, factors=()).rank1 < 40


def test_scores_do_not_depend_on_who_asks(sysu: Dataset) -> None:
    table = factor_table(sysu)
    score = oracle_score(table)
    query, gallery = np.arange(0, 40), np.arange(200, 260)
    assert np.allclose(score(query, gallery), score(gallery, query).T, atol=1e-5)


def test_the_factor_table_follows_the_image_table(sysu: Dataset) -> None:
    table = factor_table(sysu)
    assert (table["identity"].to_numpy() == sysu.images["identity"].to_numpy()).all()
    assert (table["camera"].to_numpy() == sysu.images["camera"].to_numpy()).all()
    assert {f"true_{name}" for name in FACTORS} <= set(table.columns)


def test_only_rendered_sets_have_an_oracle(tiny_sysu: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    root.mkdir()
    for item in tiny_sysu.iterdir():
        if item.name != "factors.parquet":
            (root / item.name).symlink_to(item)
    with pytest.raises(DataError, match="only rendered sets have an oracle"):
        ceiling(open_dataset("sysu", root))


def test_a_population_is_counted(sysu: Dataset) -> None:
    found = {finding.name: finding for finding in (*population(sysu), *sightings(sysu))}
    assert found["codes in both training and test"].met
    assert found["near-twins of a test identity, fewest"].value >= 3
    assert found["bits of the identity code"].value == pytest.approx(8, abs=0.1)
    assert found["vertical shift of the box, standard deviation"].met


def test_information_of_independent_columns_is_none() -> None:
    rng = np.random.default_rng(0)
    found = [_shared(rng.integers(0, 6, 300), rng.integers(0, 5, 300)) for _ in range(40)]
    assert abs(np.mean(found)) < 0.01
    same = np.repeat(np.arange(4), 100)
    assert _shared(same, same) == pytest.approx(2, abs=0.02)
