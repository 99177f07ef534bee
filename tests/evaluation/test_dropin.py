"""The functions that the field's scripts know, against plain loops."""

import numpy as np
import pytest

from vireid.errors import DataError, UsageError
from vireid.evaluation import dropin, eval_llcm, eval_regdb, eval_sysu

# Gallery by rising distance, as identity and camera; the query shows identity 1.
GALLERY_IDS = np.array([1, 2, 2, 1, 3, 1])
CAMERAS = np.array([2, 1, 4, 1, 5, 4])
DISTANCES = np.arange(6.0)


def loop(distmat, q_pids, g_pids, removed, *, identities, max_rank=20):
    """Query by query: order, remove, count."""
    curves, precisions, penalties = [], [], []
    for q, pid in enumerate(q_pids):
        order = sorted(range(len(g_pids)), key=lambda g, q=q: (distmat[q][g], g))
        pids = [g_pids[g] for g in order if not removed(q, g)]
        if pid not in pids:
            continue
        ranks = [place for place, other in enumerate(pids, 1) if other == pid]
        precisions.append(sum(k / place for k, place in enumerate(ranks, 1)) / len(ranks))
        penalties.append(len(ranks) / ranks[-1])
        first = list(dict.fromkeys(pids)).index(pid) + 1 if identities else ranks[0]
        curves.append([first <= place for place in range(1, max_rank + 1)])
    return np.mean(curves, axis=0), np.mean(precisions), np.mean(penalties)


def draw(seed=0, levels=None):
    rng = np.random.default_rng(seed)
    q_pids, g_pids = rng.integers(15, size=90), rng.integers(12, size=70)
    distmat = 1 - rng.random((90, 70)) * (1 + (q_pids[:, None] == g_pids))
    if levels:
        distmat = np.round(distmat * levels) / levels
    return distmat, q_pids, g_pids, rng.choice([3, 6], 90), rng.choice([1, 2, 4, 5], 70)


def same(found, expected):
    cmc, mean_precision, mean_penalty = found
    np.testing.assert_allclose(cmc, expected[0], atol=1e-12)
    assert (mean_precision, mean_penalty) == (pytest.approx(expected[1]), pytest.approx(expected[2]))


@pytest.mark.parametrize("levels", [None, 3])
@pytest.mark.parametrize("max_rank", [1, 5, 20])
@pytest.mark.parametrize("block", [100, 1 << 24])
def test_equal_the_plain_loops(monkeypatch, levels, max_rank, block):
    monkeypatch.setattr(dropin, "_BLOCK", block)
    distmat, q_pids, g_pids, q_camids, g_camids = draw(levels=levels)
    everyone = distmat, q_pids, g_pids, q_camids, g_camids
    same(
        eval_sysu(*everyone, max_rank),
        loop(*everyone[:3], lambda q, g: q_camids[q] == 3 and g_camids[g] == 2, identities=True, max_rank=max_rank),
    )
    same(
        eval_regdb(*everyone[:3], max_rank=max_rank),
        loop(*everyone[:3], lambda q, g: False, identities=False, max_rank=max_rank),
    )
    q_camids = g_camids[:1].repeat(90)
    same(
        eval_llcm(distmat, q_pids, g_pids, q_camids, g_camids, max_rank),
        loop(
            *everyone[:3],
            lambda q, g: q_camids[q] == g_camids[g] and q_pids[q] == g_pids[g],
            identities=True,
            max_rank=max_rank,
        ),
    )


@pytest.mark.parametrize(
    ("function", "camera", "curve", "ap", "inp"),
    [
        (eval_sysu, 3, [0, 1, 1], 11 / 30, 0.4),
        (eval_sysu, 6, [1, 1, 1], 2 / 3, 0.5),
        (eval_llcm, 1, [1, 1, 1], 0.7, 0.4),
        (eval_llcm, 2, [0, 1, 1], 11 / 30, 0.4),
        (eval_llcm, 4, [1, 1, 1], 0.75, 0.5),
        (eval_llcm, 9, [1, 1, 1], 2 / 3, 0.5),
    ],
)
def test_known_rankings(function, camera, curve, ap, inp):
    cmc, mean_precision, mean_penalty = function(
        DISTANCES[None], np.array([1]), GALLERY_IDS, np.array([camera]), CAMERAS
    )
    np.testing.assert_array_equal(cmc, curve + [1] * 17)  # fewer identities than ranks: padded, no crash
    assert (mean_precision, mean_penalty) == (pytest.approx(ap), pytest.approx(inp))


def test_queries_whose_galleries_differ_in_length():
    """A pair on which loops that stack unpadded curves fail, with a query that nobody in the gallery answers."""
    cmc, mean_precision, mean_penalty = eval_sysu(
        np.tile(DISTANCES, (3, 1)), np.array([1, 1, 8]), GALLERY_IDS, np.array([3, 6, 3]), CAMERAS
    )
    np.testing.assert_array_equal(cmc[:3], [0.5, 1, 1])
    assert mean_precision == pytest.approx(0.516667, abs=1e-6)
    assert mean_penalty == pytest.approx(0.45)


def test_regdb_counts_pictures():
    cmc, mean_precision, mean_penalty = eval_regdb(DISTANCES[None], np.array([2]), GALLERY_IDS)
    np.testing.assert_array_equal(cmc[:3], [0, 1, 1])
    assert (mean_precision, mean_penalty) == (pytest.approx((1 / 2 + 2 / 3) / 2), pytest.approx(2 / 3))


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, np.float32])
def test_distances_of_any_type(dtype):
    distmat, *others = draw()
    distmat = np.round(distmat * 50 + 50).astype(dtype)
    same(eval_sysu(distmat, *others), eval_sysu(distmat.astype(np.float64), *others))


def test_what_the_caller_gave_is_left_alone():
    given = draw()
    copies = [value.copy() for value in given]
    eval_sysu(*given)
    eval_llcm(*given)
    for value, copy in zip(given, copies, strict=True):
        np.testing.assert_array_equal(value, copy)


def test_tensors_and_lists_are_read_too():
    torch = pytest.importorskip("torch")
    given = draw()
    expected = eval_sysu(*given)
    same(eval_sysu(*(torch.from_numpy(value) for value in given)), expected)
    same(eval_sysu(*(value.tolist() for value in given)), expected)


def test_misuse_is_refused():
    distmat, q_pids, g_pids, q_camids, g_camids = draw()
    with pytest.raises(UsageError, match=r"distmat has shape \(70, 90\), expected \(90, 70\)"):
        eval_regdb(distmat.T, q_pids, g_pids)
    with pytest.raises(UsageError, match="g_camids has 3 entries and g_pids 70"):
        eval_sysu(distmat, q_pids, g_pids, q_camids, g_camids[:3])
    with pytest.raises(UsageError, match="max_rank is 0"):
        eval_regdb(distmat, q_pids, g_pids, max_rank=0)
    with pytest.raises(DataError, match="no query has a correct picture"):
        eval_regdb(distmat, q_pids + 100, g_pids)
