import numpy as np
import pytest

from vireid.errors import UsageError
from vireid.matching import KReciprocal, k_reciprocal
from vireid.matching.reranking import Forbidden


def dense(query_gallery, query_query, gallery_gallery, k1, k2, lambda_, invalid=None):
    """Everything as N x N float64 matrices, one picture after the other."""
    queries, count = len(query_query), len(query_query) + len(gallery_gallery)
    cosine = np.block([[query_query, query_gallery], [query_gallery.T, gallery_gallery]]).astype(np.float64)
    apart = np.zeros((count, count), bool)
    if invalid is not None:
        apart[:queries, queries:] = invalid
        apart |= apart.T
    distance = 2 - 2 * cosine
    distance = (distance / np.where(apart, -np.inf, distance).max(axis=0)).T
    order = [[x for x in np.argsort(distance[i], kind="stable") if not apart[i, x]] for i in range(count)]

    def reciprocal(i, k):
        return {x for x in order[i][: k + 1] if i in order[x][: k + 1]}

    weights = np.zeros((count, count))
    for i in range(count):
        mutual = reciprocal(i, k1)
        members = set(mutual)
        for x in mutual:
            half = reciprocal(x, int(np.around(k1 / 2)))
            if 3 * len(half & mutual) > 2 * len(half):
                members |= half
        columns = [x for x in sorted(members) if not apart[i, x]]
        weights[i, columns] = np.exp(-distance[i, columns])
        weights[i] /= weights[i].sum()
    if k2 > 1:
        weights = np.stack([weights[order[i][:k2]].mean(axis=0) for i in range(count)])
    scores = np.empty(query_gallery.shape)
    for i in range(queries):
        for j in range(count - queries):
            least = np.minimum(weights[i], weights[queries + j]).sum()
            most = np.maximum(weights[i], weights[queries + j]).sum()
            scores[i, j] = -((1 - lambda_) * (1 - least / most) + lambda_ * distance[i, queries + j])
    return scores


def draw(queries, gallery, seed, spread=0.6):
    """Cosines of clustered unit vectors."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((6, 8))
    vectors = centres[rng.integers(6, size=queries + gallery)] + spread * rng.standard_normal((queries + gallery, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    query, found = vectors[:queries], vectors[queries:]
    return query @ found.T, query @ query.T, found @ found.T


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("k1", "k2", "lambda_"), [(20, 6, 0.3), (7, 1, 0.0), (5, 3, 1.0), (1, 2, 0.5), (10, 15, 0.1), (200, 6, 0.3)]
)
def test_equals_the_dense_computation(seed, k1, k2, lambda_):
    cosines = draw(23, 41, seed)
    found = k_reciprocal(*cosines, k1=k1, k2=k2, lambda_=lambda_)
    np.testing.assert_allclose(found, dense(*cosines, k1, k2, lambda_), atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_left_out_pairs_are_no_neighbours(seed):
    cosines = draw(17, 29, seed)
    invalid = np.random.default_rng(seed).random((17, 29)) < 0.3
    found = k_reciprocal(*cosines, k1=8, k2=3, invalid=invalid)
    np.testing.assert_allclose(found, dense(*cosines, 8, 3, 0.3, invalid), atol=1e-9)
    assert np.abs(found - k_reciprocal(*cosines, k1=8, k2=3)).max() > 0.01


def test_small_blocks_change_nothing(monkeypatch):
    cosines = draw(23, 41, 0)
    whole = k_reciprocal(*cosines)
    monkeypatch.setattr("vireid.matching.reranking._BLOCK", 100)
    np.testing.assert_allclose(k_reciprocal(*cosines), whole, atol=1e-12)


def test_duplicates_are_ranked_in_order():
    query_gallery = np.ones((2, 5))
    found = k_reciprocal(query_gallery, np.ones((2, 2)), np.ones((5, 5)), k1=3, k2=2)
    assert np.isfinite(found).all()


def test_helps_where_neighbourhoods_tell_more_than_pairs():
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((12, 16))
    ids = np.repeat(np.arange(12), 12)
    vectors = centres[ids] + 1.1 * rng.standard_normal((144, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    query, gallery = vectors[::3], np.delete(vectors, np.s_[::3], axis=0)
    query_ids, gallery_ids = ids[::3], np.delete(ids, np.s_[::3])
    plain = query @ gallery.T

    def precision(scores):
        order = np.argsort(-scores, axis=1)[:, :8]
        return (gallery_ids[order] == query_ids[:, None]).mean()

    assert precision(k_reciprocal(plain, query @ query.T, gallery @ gallery.T, k1=10, k2=4)) > precision(plain) + 0.02


def test_type_and_kind_are_kept():
    cosines = [matrix.astype(np.float32) for matrix in draw(20, 30, 0)]
    found = k_reciprocal(*cosines)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, k_reciprocal(*[matrix.astype(np.float64) for matrix in cosines]), atol=1e-6)
    torch = pytest.importorskip("torch")
    tensor = k_reciprocal(*[torch.from_numpy(matrix) for matrix in cosines])
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_array_equal(tensor.numpy(), found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k1": 0}, "k1 is 0"),
        ({"k2": 0}, "k2 is 0"),
        ({"lambda_": 1.5}, "lambda_ is 1.5"),
        ({"query_gallery": np.full((3, 4), -7.0)}, "-7.0, which is no cosine"),
        ({"query_gallery": np.full((3, 4), np.nan)}, "no cosine"),
        ({"query_query": np.eye(4)}, r"query_query has shape \(4, 4\)"),
        ({"gallery_gallery": np.eye(3)}, r"gallery_gallery has shape \(3, 3\)"),
        ({"invalid": np.zeros((4, 3), bool)}, "invalid has shape"),
        ({"gallery_gallery": np.ones(4)}, "give a matrix"),
    ],
)
def test_misuse_is_refused(change, message):
    given = {"query_gallery": np.zeros((3, 4)), "query_query": np.eye(3), "gallery_gallery": np.eye(4), **change}
    with pytest.raises(UsageError, match=message):
        k_reciprocal(**given)


def test_a_step_of_an_evaluation_says_what_it_did():
    cosines = draw(17, 29, 0)
    invalid = np.random.default_rng(0).random((17, 29)) < 0.3
    step = KReciprocal(k1=8, k2=3)
    assert step.to_json() == {"name": "k-reciprocal", "k1": 8, "k2": 3, "lambda": 0.3, "forbidden": "take-part"}
    np.testing.assert_array_equal(step(*cosines, invalid=invalid), k_reciprocal(*cosines, k1=8, k2=3))
    left_out = KReciprocal(k1=8, k2=3, forbidden=Forbidden.LEFT_OUT)
    np.testing.assert_array_equal(
        left_out(*cosines, invalid=invalid), k_reciprocal(*cosines, k1=8, k2=3, invalid=invalid)
    )
    with pytest.raises(UsageError, match="k1 is 0"):
        KReciprocal(k1=0)
