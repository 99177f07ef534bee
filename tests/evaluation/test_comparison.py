"""Groups of runs: what may be compared with what, and what is told of it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vireid.errors import DataError, UsageError
from vireid.evaluation.comparison import Comparison, Difference, Group, adjust, compare
from vireid.evaluation.records import QueryRecords, stored_in

Records = Callable[..., QueryRecords]
PEOPLE = np.random.default_rng(0).uniform(10, 80, 40)


def group(make: Records, name: str, *, gain: float = 0.0, seeds: int = 5, **changes: object) -> Group:
    """Runs that gain so many points, give or take one for seed and two for person and seed."""
    rng = np.random.default_rng(sum(map(ord, name)))
    scores = [PEOPLE + gain + rng.normal(0, 1) + rng.normal(0, 2, len(PEOPLE)) for _ in range(seeds)]
    runs = [make(one, seed=seed, configuration=name, **changes) for seed, one in enumerate(scores)]
    return Group(name=name, runs=tuple(runs))


def test_a_file_gives_back_what_was_kept(records_of: Records, tmp_path: Path) -> None:
    records = records_of([10, 20, 60, 90], seed=3)
    run = tmp_path / "run"
    path = records.save(run / "evaluations")
    [found] = stored_in(run)
    assert (path.parent, path.name) == (run / "evaluations", records.file_name)
    assert (found.result, found.origin) == (records.result, records.origin)
    for name in ("trial", "query", "identity", "ap", "inp", "first"):
        np.testing.assert_array_equal(getattr(found, name), getattr(records, name))
    assert records_of([10], mode="cascade:50").file_name != records_of([10]).file_name != records_of([10], data="e")
    records_of([11, 21, 61, 91], seed=3).save(run / "evaluations")
    assert len(stored_in(run)) == 1, "the same protocol, data and ranking again"
    assert stored_in(tmp_path / "nothing") == []


def test_a_damaged_file_is_told(records_of: Records, tmp_path: Path) -> None:
    path = records_of([10, 20]).save(tmp_path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match="no evaluation file, or damaged"):
        QueryRecords.load(path)
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(DataError, match=r"other\.npz is no evaluation file"):
        QueryRecords.load(tmp_path / "other.npz")
    with pytest.raises(UsageError, match="there is no evaluation file"):
        QueryRecords.load(tmp_path / "nowhere.npz")


def test_a_clear_gain_is_real_and_none_is_not_resolved(records_of: Records) -> None:
    groups = [group(records_of, name, gain=gain) for name, gain in (("base", 0), ("better", 5), ("same", 0))]
    found = compare(groups, metrics=["mAP"], resamples=4000)
    better, same = found.differences
    assert (better.a, better.b, better.verdict, same.verdict) == ("better", "base", "real", "not resolved")
    assert better.interval[0] < 5 < better.interval[1]
    assert better.p_runs < 0.01
    assert better.p_holm == pytest.approx(min(1.0, 2 * better.p))
    assert better.smallest == better.estimate.components.smallest(alpha=0.025)
    assert abs(same.estimate.value) < same.smallest
    assert found.notes == []
    figure = found.figures["base"][0]
    assert figure.estimate.value == pytest.approx(np.mean([run.result["mAP"] for run in groups[0].runs]))
    assert figure.std_runs == pytest.approx(np.std([run.result["mAP"] for run in groups[0].runs], ddof=1))
    assert figure.std_trials == pytest.approx(0)
    assert figure.interval[0] < figure.estimate.value < figure.interval[1]


def test_one_run_is_about_itself(records_of: Records) -> None:
    found = compare([group(records_of, name, gain=gain, seeds=1) for name, gain in (("a", 0), ("b", 9))])
    assert {one.verdict for one in found.differences if one.metric == "mAP"} == {"real for these runs"}
    assert "one run says nothing of other seeds" in found.notes[0]
    assert found.figures["a"][0].std_runs is None


def test_the_json_is_plain_and_complete(records_of: Records) -> None:
    found = compare([group(records_of, "a"), group(records_of, "b", gain=3.0)], resamples=1000).to_json()
    assert found["identities"] == 40
    assert found["protocol"] == ["all"]
    assert [one["name"] for one in found["groups"]] == ["a", "b"]
    assert set(found["groups"][0]["metrics"]["mAP"]) == {
        "mean", "interval", "std_runs", "std_trials", "error", "error_identities", "error_seeds", "values",
    }  # fmt: skip
    assert {one["metric"] for one in found["differences"]} == {"rank1", "mAP"}
    assert {"difference", "p", "p_holm", "p_runs", "smallest_resolvable", "verdict"} <= set(found["differences"][0])


def test_unlike_fingerprints_name_the_field_and_both_values(records_of: Records) -> None:
    a, b = group(records_of, "a", seeds=1), group(records_of, "b", seeds=1, rule="sysu-location", trials=2)
    with pytest.raises(
        UsageError,
        match=r"a \(seed 0\) and b \(seed 0\) cannot be compared: rule is 'none' for a .* 'sysu-location' for b",
    ):
        compare([a, b])
    with pytest.raises(UsageError, match=r"protocol is 'all' for a .* 'indoor'"):
        compare([a, group(records_of, "b", seeds=1, protocol="indoor")])
    fingerprint = {**a.runs[0].fingerprint, "cmc": "image"}
    later = replace(a.runs[0], result={**a.runs[0].result, "fingerprint": fingerprint})
    with pytest.raises(UsageError, match=r"cmc is None for a .* 'image' for later"):
        compare([a, Group(name="later", runs=(later,))])


def test_what_a_group_may_not_hold(records_of: Records) -> None:
    run = records_of([10, 20])
    with pytest.raises(UsageError, match="a holds one model twice"):
        Group(name="a", runs=(run, run))
    with pytest.raises(UsageError, match="several runs of seed 0, which say nothing of other seeds"):
        Group(name="a", runs=(run, records_of([11, 20])))
    with pytest.raises(UsageError, match="a has no runs"):
        Group(name="a", runs=())
    with pytest.raises(UsageError, match="names of their own, not a, a"):
        compare([group(records_of, "a"), group(records_of, "a")])


def test_notes_tell_what_is_unlike(records_of: Records) -> None:
    changed = group(records_of, "b", mode="cascade:50", trained_on="elsewhere", rerank={"name": "k-reciprocal"})
    found: Comparison = compare([group(records_of, "a"), changed], metrics=["mAP"], resamples=1000)
    assert found.notes == [
        "rankings were had in unlike ways (a: full; b: cascade:50, re-ranked (k-reciprocal))",
        "the models were trained on unlike data",
    ]


def splits(make: Records, name: str, *, gain: float, count: int = 4) -> Group:
    rng = np.random.default_rng(0)
    runs = [
        make(
            PEOPLE + rng.normal(0, 8) + gain,
            configuration=name,
            kind="regdb",
            protocol=f"split{split}-v2i",
        )
        for split in range(1, count + 1)
    ]
    return Group(name=name, runs=tuple(runs))


def test_the_splits_of_regdb_are_compared_split_by_split(records_of: Records) -> None:
    a, b = (splits(records_of, name, gain=gain) for name, gain in (("a", 0.0), ("b", 2.0)))
    found = Difference.of(b, a, "mAP", resamples=1000)
    assert found.estimate.value == pytest.approx(2.0)
    assert found.estimate.error < 1e-6
    assert compare([a, b], resamples=1000).figures["a"][0].std_runs > 3
    with pytest.raises(UsageError, match="not evaluated on the same splits"):
        Difference.of(splits(records_of, "b", gain=0, count=3), a, "mAP")
    with pytest.raises(UsageError, match="protocol is"):
        compare([Group(name="a", runs=tuple(replace_kind(run) for run in a.runs))])


def replace_kind(run: QueryRecords) -> QueryRecords:
    return replace(run, result={**run.result, "fingerprint": {**run.fingerprint, "kind": "sysu"}})


def test_contrasts_that_are_not_there_make_the_others_no_easier(records_of: Records) -> None:
    one = Difference.of(group(records_of, "b", gain=1.5), group(records_of, "a"), "mAP", resamples=1000)
    [alone], [lacking] = adjust([one]), adjust([one], lacking=2)
    assert (alone.p_holm, alone.family) == (one.p, 1)
    assert (lacking.p_holm, lacking.family) == (min(1.0, 3 * one.p), 3)
