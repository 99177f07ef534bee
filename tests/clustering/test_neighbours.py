import sys

import numpy as np
import pytest

from vireid.clustering import jaccard_graph, nearest
from vireid.errors import MissingExtraError, UsageError


def plain(features, k):
    cosine = features @ features.T
    np.fill_diagonal(cosine, 9)
    return np.argsort(-cosine, axis=1, kind="stable")[:, :k]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [1, 2, 30, 500])
def test_equals_sorting_everything(people, dtype, k):
    features = people(300, 20).astype(np.float64)
    features = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(dtype)
    found = nearest(features, k)
    assert found.shape == (300, min(k, 300))
    assert (found == plain(features, k)).mean() > 0.999  # products of one pair may differ by rounding


def test_small_blocks_change_nothing(people, monkeypatch):
    features = people(200, 20)
    whole = nearest(features, 12)
    monkeypatch.setattr("vireid.clustering.neighbours.BLOCK", 200 * 13)
    np.testing.assert_array_equal(nearest(features, 12), whole)


def test_equal_products_stand_in_order_and_the_row_comes_first():
    corners = np.eye(4, dtype=np.float32)[[0, 1, 1, 0, 2]]
    assert nearest(corners, 5).tolist() == [
        [0, 3, 1, 2, 4],
        [1, 2, 0, 3, 4],
        [2, 1, 0, 3, 4],
        [3, 0, 1, 2, 4],
        [4, 0, 1, 2, 3],
    ]


def test_copies_stand_in_order_whatever_rounding_says(people):
    copies = np.repeat(people(1, 1, width=300), 50, axis=0)
    expected = [[row, *(other for other in range(9) if other != row)][:9] for row in range(50)]
    assert nearest(copies, 9).tolist() == expected


def test_torch_finds_the_same(people):
    torch = pytest.importorskip("torch")
    features = people(300, 20)
    expected = nearest(features, 30)
    np.testing.assert_array_equal(nearest(torch.from_numpy(features), 30), expected)
    np.testing.assert_array_equal(nearest(features, 30, device="cpu"), expected)
    corners = np.eye(4, dtype=np.float32)[[0, 1, 1, 0, 2, 2, 2]]
    for k in (1, 3, 5, 9):
        np.testing.assert_array_equal(nearest(corners, k, device="cpu"), nearest(corners, k))


def test_torch_makes_the_same_graph(people):
    torch = pytest.importorskip("torch")
    features = people(400, 20)
    expected = jaccard_graph(features, k1=20, k2=6, eps=0.6)
    for found in (
        jaccard_graph(features, k1=20, k2=6, eps=0.6, device="cpu"),
        jaccard_graph(torch.from_numpy(features), k1=20, k2=6, eps=0.6),
    ):
        np.testing.assert_array_equal(found.indices, expected.indices)
        np.testing.assert_allclose(found.data, expected.data, atol=1e-6)


def test_half_precision_is_raised(people):
    torch = pytest.importorskip("torch")
    features = people(100, 10)
    for half in (features.astype(np.float16), torch.from_numpy(features).bfloat16()):
        raised = half.float().numpy() if isinstance(half, torch.Tensor) else half.astype(np.float32)
        np.testing.assert_array_equal(nearest(half, 10), nearest(raised, 10))


def test_an_accelerator_finds_the_same(people):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    features = people(1000, 60)
    graphs = [jaccard_graph(features, k1=20, k2=6, eps=0.6, device=device) for device in (None, "cuda")]
    assert abs(graphs[0] - graphs[1]).max() < 1e-3


def test_misuse(people, monkeypatch):
    with pytest.raises(UsageError, match="k is 0"):
        nearest(people(10, 2), 0)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"vireid\[train\]"):
        nearest(people(10, 2), 3, device="cuda")
