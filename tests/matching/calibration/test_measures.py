import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from vireid.errors import UsageError
from vireid.matching.calibration import cllr, equal_error_rate, isotonic_llr, min_cllr

whole = st.lists(st.integers(-4, 4), min_size=1, max_size=6)


def best_monotone_cllr(genuine: list[int], impostor: list[int]) -> float:
    """By brute force: every way to cut the distinct scores into runs of one ratio, kept where the ratios rise."""
    scores = sorted({*genuine, *impostor})
    best = np.inf
    for cuts in itertools.product([False, True], repeat=len(scores) - 1):
        runs = np.concatenate([[0], np.cumsum(cuts)]).astype(int)
        place = dict(zip(scores, runs, strict=True))
        same = np.bincount([place[s] for s in genuine], minlength=runs[-1] + 1) / len(genuine)
        different = np.bincount([place[s] for s in impostor], minlength=runs[-1] + 1) / len(impostor)
        with np.errstate(divide="ignore"):
            llr = np.log(same) - np.log(different)
        if (llr[1:] >= llr[:-1]).all():
            best = min(best, cllr(llr[[place[s] for s in genuine]], llr[[place[s] for s in impostor]]))
    return best


def test_cllr_of_the_perfect_the_silent_and_the_misleading() -> None:
    assert cllr(np.array([np.inf, 50.0]), np.array([-np.inf])) == pytest.approx(0, abs=1e-12)
    assert cllr(np.zeros(3), np.zeros(7)) == pytest.approx(1)
    assert cllr(np.array([-5.0]), np.array([5.0])) > 7
    assert cllr(np.array([-np.inf]), np.array([-1.0])) == np.inf
    # log2(1 + 1/3) for the genuine pair, log2(1 + 1/4) for the impostor
    assert cllr(np.log([3.0]), np.log([0.25])) == pytest.approx((np.log2(4 / 3) + np.log2(1.25)) / 2)


def test_cllr_weighs_both_kinds_alike_whatever_their_numbers() -> None:
    assert cllr(np.array([1.0]), np.array([0.5])) == pytest.approx(cllr(np.full(9, 1.0), np.full(2, 0.5)))


def test_isotonic_by_hand() -> None:
    scores, llr = isotonic_llr(np.array([2.0, 4.0]), np.array([1.0, 3.0]))
    assert_allclose(scores, [1, 2, 3, 4])
    assert_allclose(llr, [-np.inf, 0, 0, np.inf])  # 2 and 3 stand the wrong way round and become one block
    assert min_cllr(np.array([2.0, 4.0]), np.array([1.0, 3.0])) == pytest.approx(0.5)
    assert equal_error_rate(np.array([2.0, 4.0]), np.array([1.0, 3.0])) == pytest.approx(0.25)


@settings(max_examples=60, deadline=None)
@given(whole, whole)
def test_isotonic_is_the_best_of_all_monotone_maps(genuine: list[int], impostor: list[int]) -> None:
    found = min_cllr(np.array(genuine), np.array(impostor))
    assert found == pytest.approx(best_monotone_cllr(genuine, impostor), abs=1e-9)
    assert 0 <= found <= 1 + 1e-12
    llr = isotonic_llr(np.array(genuine), np.array(impostor))[1]
    assert (llr[1:] >= llr[:-1]).all()


@settings(max_examples=60, deadline=None)
@given(whole, whole)
def test_no_monotone_map_moves_them(genuine: list[int], impostor: list[int]) -> None:
    one, two = np.array(genuine, float), np.array(impostor, float)
    for measure in (min_cllr, equal_error_rate):
        assert measure(one**3 + one, two**3 + two) == pytest.approx(measure(one, two), abs=1e-12)
    assert 0 <= equal_error_rate(one, two) <= 0.5 + 1e-12


def test_equal_errors_of_extremes() -> None:
    assert equal_error_rate(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == pytest.approx(0)
    assert equal_error_rate(np.array([1.0]), np.array([1.0])) == pytest.approx(0.5)


@pytest.mark.parametrize("bad", [np.array([]), np.array([np.nan]), np.ones((2, 2))])
@pytest.mark.parametrize("measure", [cllr, min_cllr, equal_error_rate, isotonic_llr])
def test_scores_that_are_none(measure: object, bad: np.ndarray) -> None:
    with pytest.raises(UsageError, match="one person"):
        measure(bad, np.array([1.0]))  # type: ignore[operator]
    with pytest.raises(UsageError, match="two people"):
        measure(np.array([1.0]), bad)  # type: ignore[operator]
