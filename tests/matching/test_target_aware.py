"""Target-aware scores against a plain loop over pairs and parts."""

import math

import numpy as np
import pytest

from vireid.errors import UsageError
from vireid.matching import Dot, TargetAware, TargetAwareMutual, create_matcher
from vireid.matching import target_aware as module
from vireid.types import Embeddings, Side

PARTS, POSITIONS, CHANNELS, WIDTH = 3, 7, 5, 4


def softmax(scores):
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return scores / scores.sum(axis=-1, keepdims=True)


def draw(count, seed, *, dtype=np.float64):
    """Embeddings whose vector is made of the parts that their own queries read."""
    rng = np.random.default_rng(seed)
    fields = {
        "tokens": rng.random((count, POSITIONS, CHANNELS)),
        "keys": 3 * rng.standard_normal((count, POSITIONS, WIDTH)),
        "queries": rng.standard_normal((count, PARTS, WIDTH)),
        "gates": rng.uniform(0.1, 1, (count, PARTS, CHANNELS)),
    }
    own = np.stack([read(fields, n, fields, n) for n in range(count)]) if count else np.empty((0, PARTS, CHANNELS))
    vector = (own / np.linalg.norm(own, axis=2, keepdims=True)).reshape(count, PARTS * CHANNELS) / math.sqrt(PARTS)
    return Embeddings(vector.astype(dtype), {name: value.astype(dtype) for name, value in fields.items()})


def read(asking, a, other, b):
    attention = softmax(asking["queries"][a] @ other["keys"][b].T / math.sqrt(WIDTH))
    return attention @ other["tokens"][b] * asking["gates"][a]


def loop(query, gallery):
    """Pair by pair and part by part."""
    scores = np.zeros((len(query), len(gallery)))
    for q in range(len(query)):
        own = query.vector[q].reshape(PARTS, CHANNELS)
        for g in range(len(gallery)):
            found = read(query.fields, q, gallery.fields, g)
            for part in range(PARTS):
                lengths = np.linalg.norm(own[part]) * np.linalg.norm(found[part])
                scores[q, g] += own[part] @ found[part] / lengths / PARTS
    return scores


@pytest.fixture(params=[False, True], ids=["whole", "in-blocks"])
def _blocks(request, monkeypatch):
    if request.param:
        monkeypatch.setattr(module, "_QUERIES", 2)
        monkeypatch.setattr(module, "_BLOCK", 2 * 2 * PARTS * CHANNELS)


@pytest.mark.usefixtures("_blocks")
def test_scores_are_those_of_a_plain_loop():
    query, gallery = draw(5, 0), draw(7, 1)
    expected = loop(query, gallery)
    np.testing.assert_allclose(TargetAware().score(query, gallery), expected, atol=1e-12)
    mutual = (expected + loop(gallery, query).T) / 2
    np.testing.assert_allclose(TargetAwareMutual().score(query, gallery), mutual, atol=1e-12)
    assert np.abs(expected).max() <= 1 + 1e-12
    assert not np.allclose(expected, mutual)


def test_tensors_give_the_same_scores_as_tensors():
    torch = pytest.importorskip("torch")
    query, gallery = draw(5, 0), draw(7, 1)
    tensors = [
        Embeddings.from_arrays({k: torch.from_numpy(v) for k, v in e.arrays().items()}) for e in (query, gallery)
    ]
    for matcher in (TargetAware(), TargetAwareMutual()):
        found = matcher.score(*tensors)
        assert isinstance(found, torch.Tensor)
        np.testing.assert_allclose(found.numpy(), matcher.score(query, gallery), atol=1e-12)


def test_fields_in_half_precision_are_computed_in_the_vectors():
    query, gallery = draw(5, 0, dtype=np.float32), draw(7, 1, dtype=np.float32)
    half = Embeddings(
        gallery.vector, {k: v.astype(np.float16) if k in {"tokens", "keys"} else v for k, v in gallery.fields.items()}
    )
    found = TargetAware().score(query, half)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, TargetAware().score(query, gallery), atol=5e-3)


def test_a_picture_asked_with_its_own_queries_scores_as_it_does_by_itself():
    gallery = draw(6, 1)
    scores = TargetAware().score(gallery, gallery)
    np.testing.assert_allclose(np.diag(scores), 1, atol=1e-12)
    query = Embeddings(draw(6, 2).vector, gallery.fields)  # other parts, but the gallery's own queries
    np.testing.assert_allclose(
        np.diag(TargetAware().score(query, gallery)), np.diag(Dot().score(query, gallery)), atol=1e-12
    )


def test_the_lift_is_the_mean_cosine_of_parts():
    query, gallery = draw(5, 0), draw(7, 1)
    lifted = TargetAware().lift(query, Side.QUERY) @ TargetAware().lift(gallery, Side.GALLERY).T
    units = [e.vector.reshape(-1, PARTS, CHANNELS) for e in (query, gallery)]
    units = [u / np.linalg.norm(u, axis=2, keepdims=True) for u in units]
    np.testing.assert_allclose(PARTS * lifted, np.einsum("qpc,gpc->qg", *units), atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(query.vector, axis=1), 1, atol=1e-12)


def test_candidates_are_rescored_as_the_tile_scores_them():
    query, gallery = draw(4, 0), draw(7, 1)
    candidates = np.array([[0, 6], [5, 0], [3, 3], [2, 4]])
    expected = np.take_along_axis(TargetAware().score(query, gallery), candidates, axis=1)
    np.testing.assert_allclose(TargetAware().rescore(query, gallery, candidates), expected, atol=1e-12)


def test_empty_sides_have_no_scores():
    assert TargetAware().score(draw(0, 0), draw(3, 1)).shape == (0, 3)
    assert TargetAware().score(draw(3, 0), draw(0, 1)).shape == (3, 0)
    assert TargetAware().rescore(draw(0, 0), draw(6, 1), np.empty((0, 3), int)).shape == (0, 3)


def test_inputs_stay_as_they_are():
    query, gallery = draw(3, 0), draw(3, 1)
    before = {k: v.copy() for k, v in {**query.arrays()}.items()}
    TargetAwareMutual().score(query, gallery)
    assert all((query.arrays()[k] == v).all() for k, v in before.items())


def test_misuse_is_answered():
    query, gallery = draw(3, 0), draw(3, 1)
    with pytest.raises(UsageError, match="keys, queries, gates; embed with retrieval=target-aware"):
        TargetAware().score(query, Embeddings(gallery.vector, {"tokens": gallery.fields["tokens"]}))
    fields = {**gallery.fields, "gates": gallery.fields["gates"][:, :2]}
    with pytest.raises(UsageError, match="same model"):
        TargetAware().score(query, Embeddings(gallery.vector, fields))
    torch = pytest.importorskip("torch")
    with pytest.raises(UsageError, match="differ in kind"):
        TargetAware().score(
            query, Embeddings.from_arrays({k: torch.from_numpy(v) for k, v in gallery.arrays().items()})
        )


def test_bundles_name_it():
    for name, kind in (("target-aware", TargetAware), ("target-aware-mutual", TargetAwareMutual)):
        matcher = create_matcher(name)
        assert type(matcher) is kind
        assert not matcher.exact
        assert matcher.fields == ("tokens", "keys", "queries", "gates")
