"""Statistics against numbers made by hand, against definitions, and against what they promise: coverage."""

import itertools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from vireid.errors import UsageError
from vireid.evaluation.records import QueryRecords
from vireid.evaluation.samples import Sample
from vireid.evaluation.statistics import Components, difference, estimate, holm, sign_flip

Records = Callable[..., QueryRecords]


def table(values: Any, counts: Any = None) -> Sample:
    """A sample of one trial from values (R, I) in percent, one query an identity unless `counts` (I,) say more."""
    scores = np.asarray(values, float)[:, None, :]
    count = np.broadcast_to(np.ones(scores.shape[2]) if counts is None else np.asarray(counts, float), scores.shape)
    return Sample(identities=np.arange(scores.shape[2]), total=scores * count, count=count.copy())


def test_a_sample_reproduces_the_reported_figures(records_of: Records) -> None:
    records = [records_of([10, 20, 60, 90], seed=seed) for seed in (0, 1)]
    sample = Sample.of([[one] for one in records], "mAP")
    assert (sample.runs, sample.identities.tolist()) == (2, [0, 1, 2, 3])
    assert sample.per_run == pytest.approx([45, 45])
    assert Sample.of([[records[0]]], "rank1").per_run == pytest.approx([50])
    assert Sample.of([[records[0]]], "mINP").per_run == pytest.approx([22.5])
    np.testing.assert_array_equal(sample.count, np.full((2, 2, 4), 2))


def test_queries_without_a_correct_picture_do_not_count(records_of: Records) -> None:
    records = records_of([10, 20, 60, 90])
    records.ap[:3], records.inp[:3], records.first[:3] = np.nan, np.nan, 0
    sample = Sample.of([[records]], "mAP")
    np.testing.assert_array_equal(sample.count[0, 0], [0, 1, 2, 2])
    assert sample.per_trial[0] == pytest.approx([(15 + 120 + 180) / 5, 45])
    assert sample.per_run[0] == pytest.approx((63 + 45) / 2)


def test_reweighting_is_a_gallery_left_alone_and_people_seen_again() -> None:
    sample = table([[10, 40, 90]], counts=[1, 2, 1])
    weights = np.array([[1.0, 1, 1], [2, 0, 1], [0, 0, 3]])
    assert sample.reweighted(weights)[:, 0] == pytest.approx([(10 + 80 + 90) / 4, 110 / 3, 90])
    two_trials = Sample(
        identities=np.arange(2), total=np.array([[[10.0, 40], [0, 60]]]), count=np.array([[[1.0, 1], [0, 1]]])
    )
    assert two_trials.reweighted(np.array([[1.0, 1], [2, 0]]))[:, 0] == pytest.approx([42.5, 10])


def test_influence_is_the_first_order_of_reweighting() -> None:
    rng = np.random.default_rng(0)
    count = rng.integers(1, 9, (1, 3, 6)).astype(float).repeat(2, axis=0)
    sample = Sample(identities=np.arange(6), total=count * rng.uniform(0, 100, (2, 3, 6)), count=count)
    small = 1e-6
    moved = sample.reweighted(np.ones((6, 6)) + small * np.eye(6))
    assert 6 * (moved - sample.per_run) / small == pytest.approx(sample.influence.T, abs=1e-3)


def test_components_of_a_two_by_two_table() -> None:
    found = estimate(table([[10, 30], [20, 60]]), resamples=10).components
    # Means over identities 20, 40; over runs 15, 45; residuals +-5: mean square 4 * 25 / 1.
    assert found.seeds == pytest.approx([np.var([20, 40], ddof=1) / 2])
    assert found.identities == pytest.approx(np.var([15, 45], ddof=1) / 2)
    assert found.noise == pytest.approx(100 / 4)
    assert found.seeds_net == pytest.approx(100 - 25)
    assert found.total == pytest.approx(225 + 75)
    assert found.freedom == pytest.approx(300**2 / (225**2 + 100**2))


def test_one_run_knows_identities_alone() -> None:
    found = estimate(table([[10, 20, 60, 90]]), resamples=4000)
    assert found.components.seeds == ()
    assert found.error == pytest.approx(np.std([10, 20, 60, 90], ddof=1) / 2)
    assert found.components.freedom == pytest.approx(3)
    with pytest.raises(UsageError, match="from two runs on"):
        found.components.with_runs(5)
    with pytest.raises(UsageError, match="two test identities at least, here there is 1"):
        estimate(table([[10]]))


def test_what_other_numbers_of_runs_would_give() -> None:
    found = Components(identities=4.0, seeds=(3.0,), noise=1.0, people=100, runs=(5,))
    assert found.with_runs(5).total == pytest.approx(found.total)
    many = found.with_runs(10**6)
    assert many.total == pytest.approx(4.0 - 1.0, abs=1e-4), "people stay, however many runs"
    assert found.with_runs(10).smallest() < found.smallest() < found.with_runs(3).smallest()


def test_the_smallest_difference_has_the_power_it_says() -> None:
    known = Components(identities=1.0, seeds=(), noise=0.0, people=10**9, runs=(1, 1))
    assert known.smallest() == pytest.approx(stats.norm.ppf(0.975) + stats.norm.ppf(0.8))
    few = Components(identities=1.0, seeds=(), noise=0.0, people=9, runs=(1, 1))
    limit, true = stats.t.ppf(0.975, 8), few.smallest()
    assert stats.nct.sf(limit, 8, true) == pytest.approx(0.8, abs=0.03)
    assert few.smallest(alpha=0.01) > few.smallest(alpha=0.05) > few.smallest(alpha=0.05, power=0.5)


def test_draws_have_the_spread_that_the_components_say() -> None:
    rng = np.random.default_rng(3)
    scores = 40 + rng.normal(0, 20, 200) + rng.normal(0, 3, 5)[:, None] + rng.normal(0, 10, (5, 200))
    found = estimate(table(scores), resamples=40_000)
    freedom = found.components.freedom
    assert np.var(found.draws) == pytest.approx(found.components.total * freedom / (freedom - 2), rel=0.08)
    low, high = found.interval()
    assert (high - low) / 2 == pytest.approx(stats.t.ppf(0.975, freedom) * found.error, rel=0.05)
    assert low < found.value < high


def test_the_same_seed_gives_the_same_draws() -> None:
    sample = table(np.random.default_rng(0).uniform(0, 100, (3, 20)))
    first, again, other = (estimate(sample, resamples=50, seed=seed).draws for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_no_difference_at_all_is_p_one() -> None:
    sample = table([[10, 20, 60], [11, 25, 63]])
    found = difference(sample, sample, resamples=100)
    assert found.value == 0
    assert found.p() == 1
    assert sign_flip(sample, sample) == 1


def test_sign_flips_of_three_people_are_all_tried() -> None:
    base = table([[10, 20, 30]])
    assert sign_flip(table([[12, 21, 35]]), base) == pytest.approx(2 / 8)  # only +++ and --- are as large
    assert sign_flip(table([[12, 21, 29]]), base) == pytest.approx(6 / 8)  # 2 + 1 - 1: all but +-(2 - 1 - 1)
    # Of people with several queries the sum moves the figure, not the mean: 1/4, 2/4, 1/4 of the queries.
    weights = [1, 2, 1]
    assert sign_flip(table([[10, 21, 32]], weights), table([[10, 20, 30]], weights)) == pytest.approx(4 / 8)


def test_sign_flips_equal_brute_force_over_trials_and_runs() -> None:
    rng = np.random.default_rng(5)
    count = rng.integers(1, 5, (1, 3, 7)).astype(float).repeat(2, axis=0)
    a, b = (
        Sample(identities=np.arange(7), total=count * rng.uniform(0, 100, (2, 3, 7)), count=count) for _ in range(2)
    )
    truth = (a.per_run - b.per_run).mean()
    reached = 0
    for swaps in itertools.product([False, True], repeat=7):
        left, right = (np.where(swaps, y.total, x.total) for x, y in ((a, b), (b, a)))
        means = [(total.sum(2) / count.sum(2)).mean() for total in (left, right)]
        reached += abs(means[0] - means[1]) >= abs(truth) - 1e-9
    assert sign_flip(a, b) == pytest.approx(reached / 2**7)
    fourteen = [table(rng.uniform(0, 100, (1, 14))) for _ in range(2)]
    drawn = [sign_flip(*fourteen, resamples=20_000, seed=seed) for seed in (0, 1)]
    assert drawn[0] != drawn[1]
    assert drawn[0] == pytest.approx(drawn[1], abs=0.02)


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.02]) == pytest.approx([0.02])
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_equivalence_is_claimed_inside_the_margin_alone() -> None:
    rng = np.random.default_rng(0)
    people = rng.normal(40, 20, 200)
    a, b = (table(people + rng.normal(0, 2, (5, 200))) for _ in range(2))
    found = difference(a, b, resamples=4000)
    assert found.p_outside(2.0) < 0.01
    assert found.p_outside(abs(found.value)) == 1
    assert found.p_outside(abs(found.value) + 0.01) > 0.3


def test_splits_are_drawn_in_pairs() -> None:
    """Ten splits of unlike difficulty: their spread is common to both sides and cancels."""
    rng = np.random.default_rng(0)
    count = np.zeros((10, 1, 40))
    for split in range(10):
        count[split, 0, rng.permutation(40)[:20]] = 4
    hard = rng.normal(50, 15, (10, 1, 1)) + rng.normal(0, 2, (10, 1, 40))
    a, b = (Sample(identities=np.arange(40), total=count * (hard + gain), count=count) for gain in (1.0, 0.0))
    found = difference(a, b, matched=True, resamples=2000)
    assert found.value == pytest.approx(1)
    assert found.error < 1e-6
    assert len(found.components.seeds) == 1
    assert difference(a, b, resamples=2000).error > 3


def test_sides_of_other_people_or_queries_are_refused(records_of: Records) -> None:
    a = Sample.of([[records_of([10, 20, 30])]], "mAP")
    for other in (records_of([10, 20]), records_of([10, 20, 30])):
        other.first[0] = 0
        with pytest.raises(UsageError, match="other people or queries"):
            difference(a, Sample.of([[other]], "mAP"))
    with pytest.raises(UsageError, match="unlike numbers of trials"):
        Sample.of([[records_of([10, 20])], [records_of([10, 20], trials=3)]], "mAP")
    with pytest.raises(UsageError, match="unknown metric 'mAp'; did you mean 'mAP'"):
        Sample.of([[records_of([10, 20])]], "mAp")
    with pytest.raises(UsageError, match="at least one run"):
        Sample.of([], "mAP")


def test_ten_thousand_draws_take_well_under_a_second() -> None:
    rng = np.random.default_rng(0)
    a, b = (table(rng.uniform(0, 100, (5, 300))) for _ in range(2))
    began = time.process_time()
    difference(a, b)
    sign_flip(a, b)
    assert time.process_time() - began < 1


def simulated(
    rng: np.random.Generator,
    people: NDArray[np.float64],
    *,
    gain: float,
    own: float,
    seeds: float,
    noise: float,
    runs: int,
) -> Sample:
    """Runs of a method that is `gain` better for the average person, `own` of it a matter of the person."""
    gains = gain + rng.normal(0, own, len(people)) if own else gain
    spread = rng.normal(0, seeds, runs)[:, None] + rng.normal(0, noise, (runs, len(people)))
    return table(people + gains + spread)


@pytest.mark.parametrize(
    ("own", "seeds", "noise", "runs"),
    [(8.0, 0.0, 16.0, 5), (8.0, 1.0, 16.0, 5), (8.0, 4.0, 16.0, 5), (8.0, 4.0, 16.0, 3), (8.0, 0.0, 0.0, 1)],
    ids=["people and noise", "a little seed", "mostly seed", "three runs", "one run"],
)
def test_intervals_hold_the_true_difference_as_often_as_they_say(
    own: float, seeds: float, noise: float, runs: int
) -> None:
    rng = np.random.default_rng(7)
    repetitions, held, told = 400, 0, 0
    for _ in range(repetitions):
        people = rng.normal(40, 25, 80)
        a = simulated(rng, people, gain=5.0, own=own, seeds=seeds, noise=noise, runs=runs)
        b = simulated(rng, people, gain=0.0, own=0.0, seeds=seeds, noise=noise, runs=runs)
        found = difference(a, b, resamples=500, seed=int(rng.integers(1 << 30)))
        low, high = found.interval()
        held += low <= 5.0 <= high
        told += found.p(5.0) < 0.05
    # Two standard errors of a share of 400 are 2.2 points; too wide is safe, twice too wide would be useless.
    assert 0.925 <= held / repetitions <= 0.985
    assert told / repetitions <= 0.07


def test_intervals_of_a_figure_hold_it_as_often_as_they_say() -> None:
    rng = np.random.default_rng(11)
    held = 0
    for _ in range(400):
        people = rng.beta(1, 1.5, 100) * 100  # far from normal, as average precisions are
        low, high = estimate(table(people + rng.normal(0, 2, 5)[:, None]), resamples=500).interval()
        held += low <= 40 <= high
    assert 0.925 <= held / 400 <= 0.98
