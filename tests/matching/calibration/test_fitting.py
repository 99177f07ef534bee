import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from vireid.errors import DataError, UsageError
from vireid.matching.calibration import (
    PairCalibration,
    ScoredPairs,
    calibrate_pair,
    cllr,
    deal_folds,
    expected_false_matches,
    fit_logistic,
    held_out_llr,
)


def gaussian(seed: int, *, genuine: int = 40_000, impostor: int = 60_000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(0.6, 0.2, genuine), rng.normal(0.2, 0.2, impostor)


def made_pairs(people: int = 30, *, seed: int = 0, spread: float = 0.0, gap: float = 0.4) -> ScoredPairs:
    """Thirty genuine pairs a person and three impostor pairs for every two; persons differ by `spread`."""
    rng = np.random.default_rng(seed)
    own = rng.normal(0, spread, people) if spread else np.zeros(people)
    owner = np.repeat(np.arange(people), 30)
    one, two = np.triu_indices(people, 1)
    owners = np.repeat(np.stack([one, two], axis=1), 3, axis=0)
    return ScoredPairs(
        genuine=rng.normal(0.2 + gap, 0.2, len(owner)) + own[owner],
        owner=owner,
        impostor=rng.normal(0.2, 0.2, len(owners)),
        owners=owners,
    )


def test_normal_scores_of_one_variance_have_their_known_line() -> None:
    # log N(s; 0.6, 0.2) - log N(s; 0.2, 0.2) = (0.6 - 0.2) / 0.04 * (s - 0.4)
    slope, intercept = fit_logistic(*gaussian(0))
    assert slope == pytest.approx(10, rel=0.03)
    assert -intercept / slope == pytest.approx(0.4, abs=0.005)


@pytest.mark.parametrize("prior", [0.01, 0.5, 0.9])
def test_the_line_is_a_likelihood_ratio_whatever_prior_it_was_weighted_to(prior: float) -> None:
    slope, intercept = fit_logistic(*gaussian(1), prior=prior)
    assert slope == pytest.approx(10, rel=0.05)
    assert -intercept / slope == pytest.approx(0.4, abs=0.01)


def test_it_is_the_minimum_that_a_general_optimiser_finds() -> None:
    genuine, impostor = gaussian(2, genuine=60, impostor=90)
    found = minimize(
        lambda line: cllr(line[0] * genuine + line[1], line[0] * impostor + line[1]), (1.0, 0.0), tol=1e-12
    )
    assert_allclose(fit_logistic(genuine, impostor), found.x, rtol=1e-4)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.01, 100), st.floats(-100, 100))
def test_another_unit_of_the_score_gives_the_same_ratios(scale: float, shift: float) -> None:
    genuine, impostor = gaussian(3, genuine=50, impostor=80)
    slope, intercept = fit_logistic(genuine, impostor)
    other_slope, other_intercept = fit_logistic(scale * genuine + shift, scale * impostor + shift)
    expected = other_slope * (scale * genuine + shift) + other_intercept
    assert_allclose(slope * genuine + intercept, expected, atol=1e-5)


def test_weights_are_repetitions() -> None:
    genuine, impostor = gaussian(4, genuine=20, impostor=30)
    counts = np.arange(20) % 3, np.arange(30) % 4
    repeated = fit_logistic(np.repeat(genuine, counts[0]), np.repeat(impostor, counts[1]))
    assert_allclose(fit_logistic(genuine, impostor, weights=counts), repeated, rtol=1e-8)


@pytest.mark.parametrize(
    ("genuine", "impostor", "told"),
    [
        ([3.0, 4.0], [1.0, 2.0], "score above all 2 pairs of two"),
        ([2.0, 4.0], [1.0, 2.0], "score above all"),  # they touch: no finite optimum either
        ([1.0, 2.0], [3.0, 4.0], "is it a distance"),
        ([1.0, 1.0], [1.0], "all scores are equal"),
        ([1.0, 4.0], [0.0, 9.0, 8.0], "do not score higher"),
    ],
)
def test_scores_that_nothing_can_be_fitted_to(genuine: list[float], impostor: list[float], told: str) -> None:
    with pytest.raises(DataError, match=told):
        fit_logistic(np.array(genuine), np.array(impostor))


def test_misuse() -> None:
    with pytest.raises(UsageError, match="prior is 1"):
        fit_logistic(np.array([1.0]), np.array([0.0]), prior=1.0)
    with pytest.raises(UsageError, match="infinite"):
        fit_logistic(np.array([1.0, np.inf]), np.array([0.0]))
    with pytest.raises(UsageError, match="owners of shapes"):
        ScoredPairs(genuine=np.ones(2), owner=np.ones(1, int), impostor=np.ones(1), owners=np.ones((1, 2), int))
    with pytest.raises(DataError, match="7 people with pairs"):
        deal_folds(made_pairs(7))


def test_every_genuine_pair_is_measured_once_and_by_a_line_that_saw_nobody_of_it() -> None:
    pairs = made_pairs(12)
    folds = deal_folds(pairs, seed=3)
    assert sorted(np.concatenate(folds)) == list(range(12))
    assert {len(fold) for fold in folds} <= {2, 3}
    raw, llr = held_out_llr(pairs, folds)
    assert sorted(raw.genuine) == sorted(pairs.genuine)
    fold_of = {person: number for number, fold in enumerate(folds) for person in fold}
    assert all(fold_of[a] == fold_of[b] for a, b in raw.owners)
    for number, fold in enumerate(folds):
        rest = pairs.among(np.setdiff1d(np.arange(12), fold))
        slope, intercept = fit_logistic(rest.genuine, rest.impostor)
        mine = np.array([fold_of[person] == number for person in raw.owner])
        assert_allclose(llr.genuine[mine], slope * raw.genuine[mine] + intercept)


def test_a_pair_of_modalities_from_end_to_end() -> None:
    found, llr = calibrate_pair(made_pairs(), resamples=100)
    assert (found.identities, found.genuine_pairs, found.impostor_pairs) == (30, 900, 1305)
    assert found.slope == pytest.approx(10, rel=0.2)
    assert found.cllr == pytest.approx(cllr(llr.genuine, llr.impostor))
    assert found.min_cllr <= found.cllr
    assert found.cllr_interval[0] < found.cllr < found.cllr_interval[1]
    assert found.equal_error_rate == pytest.approx(0.159, abs=0.04)  # Phi(-1)
    assert found.score(found.llr(0.37)) == pytest.approx(0.37)
    assert found.seen(0.4)
    assert not found.seen(9.0)
    again, _ = calibrate_pair(made_pairs(), resamples=100)
    assert again == found
    assert PairCalibration.model_validate(found.model_dump(mode="json")) == found


def test_people_who_differ_widen_the_interval() -> None:
    alike, _ = calibrate_pair(made_pairs(), resamples=200)
    unlike, _ = calibrate_pair(made_pairs(spread=0.3), resamples=200)
    widths = [high - low for low, high in (alike.cllr_interval, unlike.cllr_interval)]
    assert widths[1] > 2 * widths[0]
    assert unlike.error(0.9) > alike.error(0.9)


def test_the_false_match_rate_is_counted_never_zero_and_never_too_small() -> None:
    pairs = made_pairs(60)
    found, _ = calibrate_pair(pairs, resamples=20)
    ratios = np.linspace(found.llr(-1.5), found.llr(1.5), 301)
    rate = found.false_match_rate(ratios)
    counted = np.array([np.mean(pairs.impostor >= found.score(llr)) for llr in ratios])
    assert (rate >= counted).all()
    assert (rate <= 1.13 * counted + 2 / len(pairs.impostor)).all()
    assert (np.diff(rate) <= 0).all()
    assert rate[0] == 1
    assert rate[-1] == pytest.approx(1 / (1 + len(pairs.impostor)))


def test_expected_false_matches_add_up_over_modalities() -> None:
    found, _ = calibrate_pair(made_pairs(), resamples=20)
    one = expected_false_matches({"visible": 100}, {"visible": found}, 1.0)
    both = expected_false_matches({"visible": 100, "infrared": 50}, {"visible": found, "infrared": found}, 1.0)
    assert one == pytest.approx(100 * found.false_match_rate(1.0))
    assert both == pytest.approx(1.5 * one)
    assert expected_false_matches({}, {}, 1.0) == 0
