import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vireid.errors import UsageError
from vireid.matching import best_of, top_k


def plain(scores, k, invalid):
    """Indices and scores, one query after the other."""
    indices = np.full((len(scores), min(k, scores.shape[1])), -1)
    values = np.full(indices.shape, -np.inf)
    for q in range(len(scores)):
        permitted = [g for g in range(scores.shape[1]) if invalid is None or not invalid[q, g]]
        best = sorted(permitted, key=lambda g, q=q: (-scores[q, g], g))[:k]
        indices[q, : len(best)] = best
        values[q, : len(best)] = scores[q, best]
    return indices, values


@given(
    queries=st.integers(0, 5),
    gallery=st.integers(0, 9),
    k=st.integers(1, 11),
    levels=st.integers(1, 6),
    rule=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_equals_the_plain_loop_with_ties(queries, gallery, k, levels, rule, seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(-levels, levels, (queries, gallery)).astype(np.float32)
    invalid = rng.random(scores.shape) < 0.4 if rule else None
    indices, values = best_of(scores, k, invalid=invalid)
    expected_indices, expected_values = plain(scores, k, invalid)
    np.testing.assert_array_equal(indices, expected_indices)
    np.testing.assert_array_equal(values, expected_values)


@pytest.mark.parametrize("block", [1, 50, 10_000])
def test_blocks_change_nothing(block):
    rng = np.random.default_rng(0)
    query, gallery = rng.integers(-2, 3, (7, 4)).astype(np.float64), rng.integers(-2, 3, (31, 4)).astype(np.float64)
    invalid = rng.random((7, 31)) < 0.3
    indices, values = top_k(query, gallery, 6, invalid=invalid, block=block)
    expected_indices, expected_values = plain(query @ gallery.T, 6, invalid)
    np.testing.assert_array_equal(indices, expected_indices)
    np.testing.assert_array_equal(values, expected_values)


def test_forbidden_pairs_go_before_the_k_are_chosen():
    query, gallery = np.ones((1, 1)), np.array([[5.0], [4.0], [3.0], [2.0]])
    indices, _ = top_k(query, gallery, 2, invalid=np.array([[True, True, False, False]]))
    assert indices.tolist() == [[2, 3]]


def test_too_few_valid_pairs_are_filled_with_minus_one():
    indices, values = top_k(np.ones((1, 1)), np.ones((3, 1)), 3, invalid=np.array([[True, False, True]]))
    assert indices.tolist() == [[1, -1, -1]]
    assert values.tolist() == [[1, -np.inf, -np.inf]]


def test_tensors_agree_with_arrays():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    query, gallery = rng.integers(-2, 3, (9, 3)).astype(np.float32), rng.integers(-2, 3, (40, 3)).astype(np.float32)
    invalid = rng.random((9, 40)) < 0.5
    invalid[0] = True
    indices, values = top_k(query, gallery, 12, invalid=invalid)
    for mask in (invalid, torch.from_numpy(invalid)):
        found = top_k(torch.from_numpy(query), torch.from_numpy(gallery), 12, invalid=mask, block=100)
        assert all(isinstance(part, torch.Tensor) for part in found)
        np.testing.assert_array_equal(found[0].numpy(), indices)
        np.testing.assert_array_equal(found[1].numpy(), values)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k is 0"),
        ({"gallery_lift": np.ones((3, 5))}, r"\(2, 4\)"),
        ({"invalid": np.zeros((2, 2), bool)}, "invalid has shape"),
        ({"query_lift": np.full((2, 4), np.nan)}, "not a number"),
    ],
)
def test_misuse_is_refused(arguments, message):
    given = {"query_lift": np.ones((2, 4)), "gallery_lift": np.ones((3, 4)), "k": 1, "invalid": None, **arguments}
    with pytest.raises(UsageError, match=message):
        top_k(given["query_lift"], given["gallery_lift"], given["k"], invalid=given["invalid"])
