import dataclasses
import os
import subprocess
import sys
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vireid.errors import UsageError
from vireid.evaluation import positions as positions_module
from vireid.evaluation import rank
from vireid.evaluation import ranking as ranking_module


def loop(scores, query_ids, gallery_ids, invalid=None, cmc="image"):
    """CMC positions, AP and INP, one query after the other, by the definitions."""
    ap, inp, first = [], [], []
    for q in range(len(query_ids)):
        order = [g for g in range(len(gallery_ids)) if invalid is None or not invalid[q, g]]
        order.sort(key=lambda g, q=q: (-scores[q, g], g))
        ids = [gallery_ids[g] for g in order]
        ranks = [place for place, identity in enumerate(ids, 1) if identity == query_ids[q]]
        if not ranks:
            ap.append(np.nan)
            inp.append(np.nan)
            first.append(0)
            continue
        ap.append(sum(k / place for k, place in enumerate(ranks, 1)) / len(ranks))
        inp.append(len(ranks) / ranks[-1])
        first.append(list(dict.fromkeys(ids)).index(query_ids[q]) + 1 if cmc == "identity" else ranks[0])
    return np.array(ap), np.array(inp), np.array(first, int)


def check(scores, query_ids, gallery_ids, invalid=None, cmc="image"):
    result = rank(scores, query_ids, gallery_ids, invalid=invalid, cmc=cmc)
    ap, inp, first = loop(scores, query_ids, gallery_ids, invalid, cmc)
    np.testing.assert_allclose(result.ap, ap, atol=1e-12)
    np.testing.assert_allclose(result.inp, inp, atol=1e-12)
    np.testing.assert_array_equal(result.first, first)
    np.testing.assert_array_equal(result.valid, first > 0)
    size = len(set(gallery_ids.tolist())) if cmc == "identity" else len(gallery_ids)
    assert result.cmc.shape == (max(20, size),)
    if not result.valid.any():
        assert np.isnan([result.mAP, result.mINP, *result.cmc]).all()
        return
    np.testing.assert_allclose([result.mAP, result.mINP], [np.nanmean(ap), np.nanmean(inp)], atol=1e-12)
    shares = [(first[first > 0] <= place).mean() for place in range(1, len(result.cmc) + 1)]
    np.testing.assert_allclose(result.cmc, shares, atol=1e-12)


# How queries are ranked, as (_FEW, _MANY): by counting, by sorting, or by sorting where an identity has many pictures.
WAYS = {"count": (-1, 1 << 10), "sort": (64, 1 << 10), "both": (-1, 3)}


def ranked_by(way):
    few, many = WAYS[way]
    return patch.multiple(positions_module, _FEW=few, _MANY=many)


@settings(max_examples=200, deadline=None)
@given(
    way=st.sampled_from(list(WAYS)),
    queries=st.integers(0, 6),
    gallery=st.integers(0, 12),
    identities=st.integers(1, 6),
    levels=st.integers(1, 8),
    dtype=st.sampled_from([np.float16, np.float32, np.float64, np.int64]),
    rule=st.sampled_from([None, 0.0, 0.4, 1.0]),
    cmc=st.sampled_from(["image", "identity"]),
    seed=st.integers(0, 10_000),
)
def test_equals_the_loop_with_many_ties(way, queries, gallery, identities, levels, dtype, rule, cmc, seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(-levels, levels, (queries, gallery)).astype(dtype)
    invalid = None if rule is None else rng.random(scores.shape) < rule
    query_ids, gallery_ids = rng.integers(identities, size=queries), rng.integers(identities, size=gallery)
    with ranked_by(way):
        check(scores, query_ids, gallery_ids, invalid, cmc)


@pytest.mark.parametrize("cmc", ["image", "identity"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gain", [0, 3])
def test_equals_the_loop_in_blocks(monkeypatch, cmc, dtype, gain):
    monkeypatch.setattr(ranking_module, "_BLOCK", 700)
    rng = np.random.default_rng(0)
    query_ids, gallery_ids = rng.integers(12, size=70), rng.integers(10, size=90)
    scores = (rng.standard_normal((70, 90)) + gain * (query_ids[:, None] == gallery_ids)).astype(dtype)
    check(scores, query_ids, gallery_ids, rng.random(scores.shape) < 0.2, cmc)


@pytest.mark.parametrize("cmc", ["image", "identity"])
@pytest.mark.parametrize("way", WAYS)
def test_scores_at_the_ends_of_their_type(cmc, way):
    rng = np.random.default_rng(0)
    query_ids, gallery_ids = rng.integers(5, size=20), rng.integers(5, size=40)
    fine = 1 + rng.integers(9, size=(20, 40)) * 2.0**-50
    for scores in (fine, fine * 1e-60, fine * 1e60, -fine * 1e60, np.where(fine > 1, fine, -np.inf)):
        with ranked_by(way):
            check(scores, query_ids, gallery_ids, rng.random(scores.shape) < 0.2, cmc)
    for dtype in (np.float32, np.float64):
        edge = np.finfo(dtype)
        ends = np.array([np.inf, -np.inf, edge.max, edge.min, edge.tiny, edge.smallest_subnormal, 0.0, -0.0], dtype)
        scores = rng.choice(np.concatenate([ends, -ends]), (20, 40))
        with ranked_by(way):
            check(scores, query_ids, gallery_ids, rng.random(scores.shape) < 0.2, cmc)


@pytest.mark.parametrize("cmc", ["image", "identity"])
def test_galleries_as_large_and_tied_as_the_official_ones(cmc):
    rng = np.random.default_rng(0)
    query_ids, gallery_ids = rng.integers(96, size=80), rng.permutation(np.arange(1200) % 96)
    scores = rng.standard_normal((80, 1200)) + (query_ids[:, None] == gallery_ids)
    for values in (scores, scores.astype(np.float32), scores.round(1), scores.round(1).astype(np.float32)):
        check(values, query_ids, gallery_ids, rng.random(scores.shape) < 0.09, cmc)


def test_scores_lie_in_memory_as_they_like():
    scores, query_ids, gallery_ids, invalid = draw()
    expected = rank(scores, query_ids, gallery_ids, invalid=invalid)
    locked = scores.copy()
    locked.setflags(write=False)
    unaligned = np.frombuffer(b"." + scores.tobytes(), np.uint8)[1:].view(scores.dtype).reshape(scores.shape)
    wide = np.zeros((60, 160))
    wide[:, ::2] = scores
    for values in (locked, unaligned, np.asfortranarray(scores), wide[:, ::2], scores.astype(">f8")):
        for mask in (invalid, np.asfortranarray(invalid)):
            with ranked_by("count"):
                same(rank(values, query_ids, gallery_ids, invalid=mask), expected)


def test_a_gallery_without_pictures():
    with ranked_by("count"):
        result = rank(np.empty((3, 0)), np.arange(3), np.arange(0))
    assert not result.valid.any()
    assert np.isnan(result.mAP)


@pytest.mark.parametrize("way", WAYS)
def test_every_way_refuses_what_is_not_a_number(way):
    for value in (np.nan, -np.nan):
        for row, column in ((0, 0), (19, 39), (7, 11)):
            scores = np.zeros((20, 40), np.float32)
            scores[row, column] = value
            with ranked_by(way), pytest.raises(UsageError, match="not a number"):
                rank(scores, np.arange(20) % 4, np.arange(40) % 5)


def test_compiled_code_needs_no_folder_that_can_be_written():
    """As where vireid is installed by an administrator and the user has no home."""
    program = (
        "import numpy as np; from vireid.evaluation import rank;"
        "print(rank(np.eye(80), np.arange(80), np.arange(80)).mAP)"
    )
    # The only place to keep compiled code in is one that was not named.
    environment = {**os.environ, "NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator"}
    environment.pop("NUMBA_CACHE_DIR", None)
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "1.0\n"


# Gallery by falling score, as identity and camera; the query shows identity 1.
GALLERY_IDS = np.array([1, 2, 2, 1, 3, 1])
CAMERAS = np.array([2, 1, 4, 1, 5, 4])
SCORES = np.arange(6.0, 0.0, -1.0)


@pytest.mark.parametrize(
    ("rule", "camera", "cmc", "curve", "ap", "inp"),
    [
        ("sysu", 3, "identity", [0, 1, 1], 11 / 30, 0.4),
        ("sysu", 3, "image", [0, 0, 1], 11 / 30, 0.4),
        ("sysu", 6, "identity", [1, 1, 1], 2 / 3, 0.5),
        ("regdb", 1, "image", [1, 1, 1, 1, 1, 1], 2 / 3, 0.5),
        ("llcm", 1, "identity", [1, 1, 1], 0.7, 0.4),
        ("llcm", 2, "identity", [0, 1, 1], 11 / 30, 0.4),
        ("llcm", 4, "identity", [1, 1, 1], 0.75, 0.5),
        ("llcm", 9, "identity", [1, 1, 1], 2 / 3, 0.5),
    ],
)
def test_known_rankings(rule, camera, cmc, curve, ap, inp):
    invalid = {
        "sysu": (CAMERAS == 2) & (camera == 3),
        "llcm": (camera == CAMERAS) & (GALLERY_IDS == 1),
        "regdb": np.zeros(6, bool),
    }[rule]
    for queries in ([1], [1, 99]):  # a query whose identity is absent changes nothing
        count = len(queries)
        result = rank(
            np.tile(SCORES, (count, 1)),
            np.array(queries),
            GALLERY_IDS,
            invalid=np.tile(invalid, (count, 1)),
            cmc=cmc,
        )
        np.testing.assert_allclose(result.cmc[: len(curve)], curve)
        assert result.mAP == pytest.approx(ap)
        assert result.mINP == pytest.approx(inp)
        assert result.valid.tolist() == [True, False][:count]


def test_two_queries_with_galleries_of_different_length():
    invalid = np.stack([CAMERAS == 2, np.zeros(6, bool)])
    result = rank(np.tile(SCORES, (2, 1)), np.array([1, 1]), GALLERY_IDS, invalid=invalid, cmc="identity")
    np.testing.assert_allclose(result.cmc[:3], [0.5, 1, 1])
    assert result.mAP == pytest.approx(0.516667, abs=1e-6)
    assert result.mINP == pytest.approx(0.45)


def draw(seed=0, gain=1.0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    query_ids, gallery_ids = rng.integers(15, size=60), rng.integers(15, size=80)
    scores = (rng.standard_normal((60, 80)) + gain * (query_ids[:, None] == gallery_ids)).astype(dtype)
    return scores, query_ids, gallery_ids, rng.random((60, 80)) < 0.1


def same(one, other):
    for field in dataclasses.fields(one):
        np.testing.assert_allclose(getattr(one, field.name), getattr(other, field.name), err_msg=field.name)


@pytest.mark.parametrize("cmc", ["image", "identity"])
def test_rising_transforms_and_gallery_order_change_nothing(cmc):
    scores, query_ids, gallery_ids, invalid = draw()
    result = rank(scores, query_ids, gallery_ids, invalid=invalid, cmc=cmc)
    same(rank(np.exp(3 * scores), query_ids, gallery_ids, invalid=invalid, cmc=cmc), result)
    order = np.random.default_rng(1).permutation(80)
    same(rank(scores[:, order], query_ids, gallery_ids[order], invalid=invalid[:, order], cmc=cmc), result)


def test_scores_of_forbidden_pairs_do_not_matter():
    scores, query_ids, gallery_ids, invalid = draw()
    result = rank(scores, query_ids, gallery_ids, invalid=invalid)
    for value in (np.nan, np.inf, -np.inf):
        same(rank(np.where(invalid, value, scores), query_ids, gallery_ids, invalid=invalid), result)


@pytest.mark.parametrize("cmc", ["image", "identity"])
def test_perfect_scores(cmc):
    _, query_ids, gallery_ids, invalid = draw()
    result = rank((query_ids[:, None] == gallery_ids) * 1.0, query_ids, gallery_ids, invalid=invalid, cmc=cmc)
    assert result.cmc[0] == result.mAP == result.mINP == 1


def test_all_correct_pictures_last_is_the_minimum():
    _, query_ids, gallery_ids, invalid = draw()
    correct = query_ids[:, None] == gallery_ids
    result = rank(np.where(correct, -1.0, 1.0), query_ids, gallery_ids, invalid=invalid)
    matches, size = (correct & ~invalid).sum(axis=1), (~invalid).sum(axis=1)
    for q in np.flatnonzero(matches):
        k = np.arange(1, matches[q] + 1)
        assert result.inp[q] == pytest.approx(matches[q] / size[q])
        assert result.ap[q] == pytest.approx(np.mean(k / (size[q] - matches[q] + k)))


def test_inp_may_exceed_ap():
    result = rank(SCORES[None], np.array([1]), np.array([0, 0, 0, 0, 1, 1]))
    assert result.ap[0] == pytest.approx((1 / 5 + 2 / 6) / 2)
    assert result.inp[0] == pytest.approx(2 / 6)


def test_identities_and_pictures_agree_on_rank_one_only():
    scores, query_ids, gallery_ids, invalid = draw()
    image = rank(scores, query_ids, gallery_ids, invalid=invalid, cmc="image")
    identity = rank(scores, query_ids, gallery_ids, invalid=invalid, cmc="identity")
    assert image.cmc[0] == identity.cmc[0]
    assert (identity.cmc[:15] >= image.cmc[:15]).all()
    assert identity.cmc[5] > image.cmc[5]
    np.testing.assert_array_equal(image.ap, identity.ap)


def test_random_scores_are_at_chance_level():
    rng = np.random.default_rng(0)
    query_ids, gallery_ids = np.arange(4000) % 206, np.arange(2060) % 206
    result = rank(rng.random((4000, 2060), dtype=np.float32), query_ids, gallery_ids)
    assert result.cmc[0] == pytest.approx(10 / 2060, abs=4 * (10 / 2060 / 4000) ** 0.5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("cmc", ["image", "identity"])
def test_tensors_give_tensors_of_the_same_figures(dtype, cmc):
    torch = pytest.importorskip("torch")
    scores, query_ids, gallery_ids, invalid = draw()
    tensor = torch.from_numpy(scores).to(getattr(torch, dtype)).requires_grad_()
    result = rank(
        tensor,
        torch.from_numpy(query_ids),
        torch.from_numpy(gallery_ids),
        invalid=torch.from_numpy(invalid),
        cmc=cmc,
    )
    assert all(isinstance(part, torch.Tensor) for part in (result.cmc, result.ap, result.inp, result.valid))
    assert result.valid.dtype == torch.bool
    same(result, rank(tensor.detach().double().numpy(), query_ids, gallery_ids, invalid=invalid, cmc=cmc))


def test_inputs_are_left_alone():
    scores, query_ids, gallery_ids, invalid = draw(dtype=np.float32)
    copies = scores.copy(), invalid.copy()
    rank(scores, query_ids, gallery_ids, invalid=invalid, cmc="identity")
    np.testing.assert_array_equal(scores, copies[0])
    np.testing.assert_array_equal(invalid, copies[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": np.full((2, 3), np.nan)}, "not a number"),
        ({"scores": np.array([[0.0, 1, 2], [0, np.nan, 1]], np.float32)}, "not a number"),
        ({"scores": np.zeros((3, 2))}, r"shape \(3, 2\), expected \(2, 3\)"),
        ({"scores": np.zeros((2, 3), complex)}, "complex128"),
        ({"invalid": np.zeros((2, 2), bool)}, r"invalid is bool of shape \(2, 2\)"),
        ({"invalid": np.zeros((2, 3))}, "expected bool"),
        ({"cmc": "identities"}, "did you mean 'identity'"),
    ],
)
def test_misuse_is_refused(change, message):
    given = {"scores": np.zeros((2, 3)), "invalid": None, "cmc": "image", **change}
    with pytest.raises(UsageError, match=message):
        rank(given["scores"], np.arange(2), np.arange(3), invalid=given["invalid"], cmc=given["cmc"])
