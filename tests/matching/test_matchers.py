import subprocess
import sys

import numpy as np
import pytest

from vireid.errors import UsageError
from vireid.matching import Dot, Matcher, create_matcher
from vireid.types import Embeddings, Side


class Distance(Matcher):
    """Minus the squared distance, computed on tiles."""

    name = "distance"
    exact = False

    def lift(self, embeddings, side):
        return embeddings.vector

    def score(self, query, gallery):
        return -((query.vector[:, None] - gallery.vector[None]) ** 2).sum(-1)


def draw(count, seed):
    return Embeddings(np.random.default_rng(seed).standard_normal((count, 3)).astype(np.float32))


def test_dot_scores_by_product_and_lifts_to_the_vector():
    query, gallery = draw(4, 0), draw(6, 1)
    np.testing.assert_array_equal(Dot().score(query, gallery), query.vector @ gallery.vector.T)
    assert Dot().lift(query, Side.QUERY) is query.vector
    assert Dot().exact
    assert Dot().fields == ()


def test_rescore_takes_each_querys_own_candidates():
    query, gallery = draw(4, 0), draw(6, 1)
    candidates = np.array([[0, 1], [5, 0], [3, 3], [2, 4]])
    expected = np.take_along_axis(Distance().score(query, gallery), candidates, axis=1)
    np.testing.assert_allclose(Distance().rescore(query, gallery, candidates), expected, rtol=1e-6)


def test_rescore_of_no_query_and_of_wrong_candidates():
    assert Distance().rescore(draw(0, 0), draw(6, 1), np.empty((0, 3), int)).shape == (0, 3)
    with pytest.raises(UsageError, match="candidates has 3 rows for 4 queries"):
        Distance().rescore(draw(4, 0), draw(6, 1), np.zeros((3, 2), int))


def test_tensors_stay_tensors():
    torch = pytest.importorskip("torch")
    query, gallery = draw(4, 0), draw(6, 1)
    tensors = [Embeddings(torch.from_numpy(side.vector)) for side in (query, gallery)]
    for matcher in (Dot(), Distance()):
        found = matcher.rescore(*tensors, torch.tensor([[0, 1]] * 4))
        assert isinstance(found, torch.Tensor)
        np.testing.assert_allclose(found.numpy(), matcher.score(query, gallery)[:, :2], rtol=1e-5, atol=1e-6)


def test_unlike_sides_are_refused():
    with pytest.raises(UsageError, match="same model"):
        Dot().score(draw(2, 0), Embeddings(np.ones((2, 5))))
    torch = pytest.importorskip("torch")
    with pytest.raises(UsageError, match="both as tensors"):
        Dot().score(draw(2, 0), Embeddings(torch.ones(2, 3)))


def test_matchers_by_name():
    assert isinstance(create_matcher("dot"), Dot)
    with pytest.raises(UsageError, match="did you mean 'dot'"):
        create_matcher("dott")


def test_matching_and_evaluation_run_without_torch():
    code = """
import sys
sys.modules["torch"] = None  # any import of it fails
import numpy as np
from vireid.evaluation import rank
from vireid.matching import Dot, k_reciprocal, top_k
from vireid.types import Embeddings
unit = np.linalg.qr(np.random.default_rng(0).standard_normal((8, 8)))[0]
assert top_k(unit, unit, 1)[0][:, 0].tolist() == list(range(8))
assert rank(Dot().score(Embeddings(unit), Embeddings(unit)), np.arange(8), np.arange(8)).mAP == 1
assert k_reciprocal(unit @ unit.T, unit @ unit.T, unit @ unit.T).shape == (8, 8)
assert not any(name.startswith("torch.") for name in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
