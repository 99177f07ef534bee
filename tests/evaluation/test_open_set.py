"""Open-set figures against hand-made searches and plain loops."""

import numpy as np
import pytest

from vireid.errors import DataError, UsageError
from vireid.evaluation import OpenSet
from vireid.evaluation import open_set as open_set_module
from vireid.evaluation.open_figures import RATES, OpenSetFigures, open_set_json
from vireid.evaluation.open_set import (
    Comparisons,
    Searches,
    auc,
    collect,
    fnir,
    fnir_at_fpir,
    mean_false_matches,
    roc_curve,
    share_of_matches,
    threshold_at,
    tpr_at_fpr,
)

# Gallery: two pictures of 1, one of 2, one of 3; 3 is held out. Each query's best score stands in the comment.
GALLERY_IDS = np.array([1, 1, 2, 3])
ENROLLED = np.array([True, True, True, False])
QUERY_IDS = np.array([1, 1, 2, 3, 3, 9])
SCORES = np.array(
    [
        [0.9, 0.2, 0.1, 0.0],  # mated, found at rank 1 with 0.9
        [0.3, 0.4, 0.6, 0.0],  # mated, found at rank 2 with 0.4, behind 0.6
        [0.5, 0.1, 0.5, 0.0],  # mated, 0.5 ties with an earlier picture
        [0.7, 0.1, 0.1, 0.8],  # non-mated: 0.7; the 0.8 is held out
        [0.2, 0.1, 0.3, 0.9],  # non-mated: 0.3
        [0.1, 0.5, 0.0, 0.1],  # non-mated, whom the gallery never held: 0.5
    ]
)


def searches():
    return collect(SCORES, QUERY_IDS, GALLERY_IDS, enrolled=ENROLLED)[0]


def test_searches_are_sorted_by_who_is_enrolled():
    found = searches()
    assert found.enrolled == 2
    assert found.mated.tolist() == [0.9, 0.4, 0.5]
    assert found.position.tolist() == [1, 2, 2]
    assert found.non_mated.tolist() == [0.7, 0.3, 0.5]
    assert found.left_out == 0


def test_identification_by_hand():
    found = searches()
    # No false alarm: above 0.7, where only the first search is found.
    assert fnir_at_fpir(found, 0.0) == fnir_at_fpir(found, 0.3) == pytest.approx(2 / 3)
    # One of three: above 0.5, which the third search's 0.5 does not reach.
    assert fnir_at_fpir(found, 1 / 3) == pytest.approx(2 / 3)
    # Two of three: above 0.3. Everyone reaches that, one of them at rank 1.
    assert fnir_at_fpir(found, 2 / 3) == 0
    assert fnir_at_fpir(found, 2 / 3, rank=1) == pytest.approx(2 / 3)
    assert fnir_at_fpir(found, 2 / 3, rank=2) == 0
    assert fnir_at_fpir(found, 1.0) == 0


def test_a_person_whose_every_picture_is_forbidden_is_left_out():
    invalid = np.zeros(SCORES.shape, bool)
    invalid[2, 2] = True
    invalid[5] = True
    found, pairs = collect(SCORES, QUERY_IDS, GALLERY_IDS, invalid=invalid, enrolled=ENROLLED)
    assert (len(found.mated), found.left_out) == (2, 1)
    assert found.non_mated.tolist() == [0.7, 0.3, -np.inf]  # a search of nothing raises no alarm
    assert threshold_at(found.non_mated, 1 / 3) > 0.3
    assert len(pairs.genuine) + len(pairs.impostor) == (~invalid).sum()


def test_pairs_are_of_the_whole_gallery():
    _, pairs = collect(SCORES, QUERY_IDS, GALLERY_IDS, enrolled=ENROLLED)
    assert sorted(pairs.genuine) == [0.2, 0.3, 0.4, 0.5, 0.8, 0.9, 0.9]
    assert len(pairs.impostor) == SCORES.size - 7


def draw(seed, levels, queries=60, gallery=40):
    rng = np.random.default_rng(seed)
    query_ids, gallery_ids = rng.integers(14, size=queries), rng.integers(12, size=gallery)
    scores = rng.random((queries, gallery)) + 0.3 * (query_ids[:, None] == gallery_ids)
    return np.round(scores * levels) / levels, query_ids, gallery_ids, rng.random((queries, gallery)) < 0.2


@pytest.mark.parametrize("levels", [5, 1e6])
@pytest.mark.parametrize("cmc", ["image", "identity"])
@pytest.mark.parametrize("block", [90, 1 << 22])
def test_collect_equals_a_loop(monkeypatch, levels, cmc, block):
    monkeypatch.setattr(open_set_module, "_BLOCK", block)
    scores, query_ids, gallery_ids, invalid = draw(0, levels)
    enrolled = OpenSet(share=0.4).enrolled(gallery_ids, trial=0)
    found, pairs = collect(scores, query_ids, gallery_ids, invalid=invalid, enrolled=enrolled, cmc=cmc)
    mated, position, non_mated, left_out, genuine, impostor = [], [], [], 0, [], []
    for q, person in enumerate(query_ids):
        for g, other in enumerate(gallery_ids):
            if not invalid[q, g]:
                (genuine if other == person else impostor).append(scores[q, g])
        order = [g for g in range(len(gallery_ids)) if enrolled[g] and not invalid[q, g]]
        order.sort(key=lambda g, q=q: (-scores[q, g], g))
        people = [gallery_ids[g] for g in order]
        if person in people:
            mated.append(scores[q, order[people.index(person)]])
            position.append((list(dict.fromkeys(people)) if cmc == "identity" else people).index(person) + 1)
        elif person in gallery_ids[enrolled]:
            left_out += 1
        else:
            non_mated.append(max(scores[q, order], default=-np.inf))
    assert found.left_out == left_out
    np.testing.assert_array_equal(found.mated, mated)
    np.testing.assert_array_equal(found.position, position)
    np.testing.assert_array_equal(found.non_mated, non_mated)
    np.testing.assert_array_equal(pairs.genuine, genuine)
    np.testing.assert_array_equal(pairs.impostor, impostor)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("levels", [3, 20, 1e6])
@pytest.mark.parametrize("count", [1, 7, 100])
def test_a_threshold_is_the_least_that_keeps_the_rate(dtype, levels, count):
    rng = np.random.default_rng(count)
    negatives = (np.round(rng.standard_normal(count) * levels) / levels).astype(dtype)
    for rate in (0.0, 0.01, 0.29, 0.3, 1 / 3, 0.999, 1.0):
        threshold = threshold_at(negatives, rate)
        assert share_of_matches(negatives, threshold) <= rate
        below = np.nextafter(dtype(threshold), dtype(-np.inf))
        assert threshold == -np.inf or share_of_matches(negatives, below) > rate


@pytest.mark.parametrize("percent", [7, 29, 57, 58])
def test_a_rate_in_percent_of_100_allows_that_many(percent):
    negatives = np.arange(100.0)
    assert (negatives >= threshold_at(negatives, percent / 100)).sum() == percent


@pytest.mark.parametrize("levels", [4, 1e6])
def test_roc_and_auc_equal_loops(levels):
    rng = np.random.default_rng(0)
    genuine = np.round((rng.standard_normal(50) + 1) * levels) / levels
    impostor = np.round(rng.standard_normal(80) * levels) / levels
    fpr, tpr, thresholds = roc_curve(genuine, impostor)
    assert (fpr[0], tpr[0], thresholds[0]) == (0, 0, np.inf)
    assert (fpr[-1], tpr[-1]) == (1, 1)
    for x, y, threshold in zip(fpr, tpr, thresholds, strict=True):
        assert (x, y) == ((impostor >= threshold).mean(), (genuine >= threshold).mean())
    wins = np.mean([(g > i) + 0.5 * (g == i) for g in genuine for i in impostor])
    assert auc(genuine, impostor) == pytest.approx(wins)
    assert auc(genuine, impostor) == pytest.approx(np.trapezoid(tpr, fpr))
    for rate in (0.0, 0.1, 0.5):
        best = max(y for x, y in zip(fpr, tpr, strict=True) if x <= rate)
        assert tpr_at_fpr(Comparisons(genuine=genuine, impostor=impostor), rate) == best


def test_no_pairs_have_no_area():
    assert np.isnan(auc(np.empty(0), np.ones(3)))
    assert np.isnan(
        fnir(Searches(enrolled=0, mated=np.empty(0), position=np.empty(0, int), non_mated=np.ones(1), left_out=0), 0.5)
    )


def test_mean_false_matches_are_those_of_drawn_galleries():
    rng = np.random.default_rng(0)
    impostor = rng.standard_normal(500)
    threshold = threshold_at(impostor, 0.02)
    assert mean_false_matches(impostor, threshold, 1000) == pytest.approx(20)
    drawn = [(rng.choice(impostor, 200) >= threshold).sum() for _ in range(4000)]
    assert mean_false_matches(impostor, threshold, 200) == pytest.approx(np.mean(drawn), rel=0.05)


def test_who_is_held_out_depends_on_seed_trial_and_identities_alone():
    ids = np.array([5, 7, 5, 9, 11, 7])
    stays = OpenSet(share=0.5, seed=3).enrolled(ids, trial=1)
    held_out = np.sort(np.random.default_rng([3, 1]).permutation(4)[:2])
    assert sorted(set(ids[~stays])) == np.array([5, 7, 9, 11])[held_out].tolist()
    order = np.array([3, 0, 5, 1, 2, 4])
    np.testing.assert_array_equal(OpenSet(share=0.5, seed=3).enrolled(ids[order], trial=1), stays[order])
    galleries = np.arange(40)
    draws = [OpenSet(seed=s).enrolled(galleries, trial=t) for s in (0, 1) for t in (0, 1)]
    assert len({draw.tobytes() for draw in draws}) == 4
    assert OpenSet(share=0).enrolled(ids, trial=0).all()
    assert (~OpenSet(share=0.25).enrolled(galleries, trial=0)).sum() == 10


def test_figures_of_trials_are_means_in_percent():
    trials = []
    for seed in (0, 1):
        scores, query_ids, gallery_ids, invalid = draw(seed, 1e6, queries=400)
        enrolled = OpenSet().enrolled(gallery_ids, trial=seed)
        trials.append(collect(scores, query_ids, gallery_ids, invalid=invalid, enrolled=enrolled))
    figures = [OpenSetFigures.of(*trial) for trial in trials]
    values = open_set_json(OpenSet(), figures)
    assert (values["held_out_share"], values["seed"]) == (0.5, 0)
    assert values["mated_searches"] == [len(found.mated) for found, _ in trials]
    areas = [100 * auc(pairs.genuine, pairs.impostor) for _, pairs in trials]
    assert (values["auc"], values["std"]["auc"]) == (
        pytest.approx(np.mean(areas)),
        pytest.approx(np.std(areas, ddof=1)),
    )
    assert [row["fpir"] for row in values["identification"]] == [10, 1]  # 200 searches cannot show one in a thousand
    for row in values["identification"]:
        missed = [100 * fnir_at_fpir(found, row["fpir"] / 100, rank=1) for found, _ in trials]
        assert row["fnir_rank1"] == pytest.approx(np.mean(missed))
        assert row["fnir_rank1"] >= row["fnir"]
        assert row["false_matches_in_10000"] == pytest.approx(10 * row["false_matches_in_1000"])
    assert [row["fpr"] for row in values["verification"]] == [100 * rate for rate in RATES]
    for row in values["verification"]:
        assert row["tpr"] == pytest.approx(np.mean([100 * tpr_at_fpr(pairs, row["fpr"] / 100) for _, pairs in trials]))
    assert open_set_json(OpenSet(), figures[:1])["std"]["auc"] is None


def test_misuse_is_refused():
    for share in (-0.1, 1.0):
        with pytest.raises(UsageError, match="share is"):
            OpenSet(share=share)
    with pytest.raises(UsageError, match="seed is -1"):
        OpenSet(seed=-1)
    with pytest.raises(UsageError, match="a rate is from 0 to 1"):
        threshold_at(np.ones(3), 1.5)
    with pytest.raises(UsageError, match="no score of a search"):
        threshold_at(np.empty(0), 0.1)
    with pytest.raises(UsageError, match="are infinite"):
        threshold_at(np.array([np.inf, 1.0]), 0.1)
    with pytest.raises(UsageError, match="not a number"):
        collect(np.where(ENROLLED, SCORES, np.nan), QUERY_IDS, GALLERY_IDS, enrolled=ENROLLED)
    with pytest.raises(UsageError, match="expected"):
        collect(SCORES[:, :3], QUERY_IDS, GALLERY_IDS)
    closed = QUERY_IDS < 3
    with pytest.raises(DataError, match="need non-mated searches"):
        OpenSetFigures.of(*collect(SCORES[closed], QUERY_IDS[closed], GALLERY_IDS))
