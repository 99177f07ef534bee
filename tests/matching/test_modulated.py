"""Query-adaptive matchers against the modulated gallery written out, in double precision."""

import subprocess
import sys

import numpy as np
import pytest

from vireid.errors import UsageError
from vireid.evaluation import evaluate
from vireid.evaluation.scoring import Pictures, tiled
from vireid.matching import (
    Dot,
    ModulatedCosine,
    ModulatedEuclidean,
    ModulatedPartCosine,
    create_matcher,
    modulated_distances,
)
from vireid.types import CmcKind, Embeddings, Side, Trial, untracked

MATCHERS = (ModulatedEuclidean, ModulatedCosine, ModulatedPartCosine)
every_matcher = pytest.mark.parametrize("matcher", [matcher() for matcher in MATCHERS], ids=lambda m: m.name)
PARTS, CHANNELS = 3, 5


def draw(count, seed, *, scale=None, shift=None, dtype=np.float64):
    """Embeddings with scales and shifts of either sign, or those given (a number or (d,))."""
    rng = np.random.default_rng(seed)
    fields = {
        "parts": rng.standard_normal((count, PARTS, CHANNELS)),
        "scale": rng.standard_normal((count, CHANNELS)),
        "shift": rng.standard_normal((count, CHANNELS)),
    }
    for name, value in (("scale", scale), ("shift", shift)):
        if value is not None:
            fields[name] = np.broadcast_to(np.asarray(value, float), (count, CHANNELS)).copy()
    vector = fields["parts"].reshape(count, -1)
    vector = vector / np.linalg.norm(vector, axis=1, keepdims=True)
    return Embeddings(vector.astype(dtype), {name: value.astype(dtype) for name, value in fields.items()})


def written_out(matcher, query, gallery):
    """(Q, G) by loops over pairs of the modulated pictures themselves."""
    scores = np.empty((len(query), len(gallery)))
    for q in range(len(query)):
        own, scale, shift = (query.fields[name][q] for name in ("parts", "scale", "shift"))
        for g in range(len(gallery)):
            other = scale * gallery.fields["parts"][g] + shift
            norms = np.linalg.norm(own, axis=1) * np.linalg.norm(other, axis=1)
            scores[q, g] = {
                "modulated-euclidean": lambda own=own, other=other: -((own - other) ** 2).sum(),
                "modulated-cosine": lambda own=own, other=other: (
                    (own * other).sum() / (np.linalg.norm(own) * np.linalg.norm(other))
                ),
                "modulated-part-cosine": lambda own=own, other=other, norms=norms: (
                    (own * other).sum(axis=1) / norms
                ).mean(),
            }[matcher.name]()
    return scores


@every_matcher
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_modulated_gallery_written_out(matcher, seed):
    query, gallery = draw(7, seed), draw(11, seed + 100)
    np.testing.assert_allclose(matcher.score(query, gallery), written_out(matcher, query, gallery), atol=1e-10)


@every_matcher
def test_ragged_tiles_give_the_same_matrix(matcher, monkeypatch):
    query, gallery = draw(11, 0), draw(17, 1)
    whole = matcher.score(query, gallery)
    both = Embeddings.from_arrays({k: np.concatenate([v, gallery.arrays()[k]]) for k, v in query.arrays().items()})
    rows = (np.arange(11), np.arange(11, 28))
    trial = Trial(index=0, query=rows[0], gallery=rows[1], invalid=np.zeros((11, 17), bool))
    pictures = Pictures(both, np.arange(28), matcher, [trial])
    monkeypatch.setattr("vireid.evaluation.scoring._TILE", 4)
    found = tiled(matcher.score, pictures, *rows, track=untracked, description="test")
    np.testing.assert_allclose(found, whole, rtol=1e-12, atol=1e-12)


@every_matcher
def test_a_query_that_changes_nothing_compares_plainly(matcher):
    query, gallery = draw(6, 0, scale=1, shift=0), draw(9, 1)
    own, other = (side.fields["parts"] for side in (query, gallery))
    expected = {
        "modulated-euclidean": -((own[:, None] - other[None]) ** 2).sum((2, 3)),
        "modulated-cosine": query.vector @ gallery.vector.T,
        "modulated-part-cosine": np.einsum(
            "qid,gid->qg",
            *(side / np.linalg.norm(side, axis=2, keepdims=True) for side in (own, other)),
        )
        / PARTS,
    }[matcher.name]
    found = matcher.score(query, gallery)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    if matcher.name == "modulated-cosine":
        np.testing.assert_array_equal(np.argsort(-found, axis=1), np.argsort(-Dot().score(query, gallery), axis=1))


@pytest.mark.parametrize("matcher", [ModulatedCosine(), ModulatedPartCosine()], ids=lambda m: m.name)
def test_without_shift_a_common_factor_leaves_a_cosine_and_its_sign_turns_it(matcher):
    gallery = draw(9, 1)
    plain = matcher.score(draw(6, 0, scale=1, shift=0), gallery)
    for factor in (1e-3, 0.5, 40.0):
        np.testing.assert_allclose(matcher.score(draw(6, 0, scale=factor, shift=0), gallery), plain, atol=1e-10)
    scale = np.random.default_rng(5).standard_normal(CHANNELS)
    turned = matcher.score(draw(6, 0, scale=-scale, shift=0), gallery)
    np.testing.assert_allclose(turned, -matcher.score(draw(6, 0, scale=scale, shift=0), gallery), atol=1e-12)


@every_matcher
def test_with_scale_zero_every_picture_scores_the_same(matcher):
    query, gallery = draw(6, 0, scale=0), draw(9, 1)
    found = matcher.score(query, gallery)
    np.testing.assert_allclose(found, found[:, :1].repeat(9, axis=1), atol=1e-12)
    if matcher.name == "modulated-cosine":
        own, shift = query.fields["parts"], query.fields["shift"]
        norms = np.linalg.norm(own, axis=(1, 2)) * PARTS**0.5 * np.linalg.norm(shift, axis=1)
        np.testing.assert_allclose(found[:, 0], (own.sum(1) * shift).sum(1) / norms, atol=1e-12)


def test_the_euclidean_lift_ranks_and_scores_as_the_distance():
    query, gallery = draw(8, 2), draw(40, 3)
    matcher = ModulatedEuclidean()
    lifted = matcher.lift(query, Side.QUERY) @ matcher.lift(gallery, Side.GALLERY).T
    expected = written_out(matcher, query, gallery)
    np.testing.assert_array_equal(np.argsort(-lifted, axis=1), np.argsort(-expected, axis=1))
    np.testing.assert_allclose(lifted, expected, atol=1e-10)
    assert matcher.lift(gallery, Side.GALLERY).shape == (40, (PARTS + 1) * CHANNELS + 1)


@pytest.mark.parametrize("parts", [1, 3, 6])
def test_both_blocks_of_the_lift_have_a_like_norm(parts):
    rng = np.random.default_rng(0)
    rectified = np.maximum(rng.standard_normal((50, parts, 64)), 0)
    fields = {"parts": rectified, "scale": np.ones((50, 64)), "shift": np.zeros((50, 64))}
    vector = rectified.reshape(50, -1)
    for matcher in (ModulatedEuclidean(), ModulatedCosine(), ModulatedPartCosine()):
        lifted = matcher.lift(Embeddings(vector, fields), Side.GALLERY)
        blocks = [np.linalg.norm(part, axis=1) for part in (lifted[:, : parts * 64], lifted[:, parts * 64 : -1])]
        assert 0.4 < np.median(blocks[1] / blocks[0]) < 2.5


@pytest.mark.parametrize("factor", [0.2, 1.0, 4.0])
@pytest.mark.parametrize("matcher", [ModulatedCosine(), ModulatedPartCosine()], ids=lambda m: m.name)
def test_where_lengths_agree_the_first_stage_has_the_final_order(matcher, factor):
    query, gallery = draw(8, 2, scale=factor, shift=0), draw(40, 3)
    lifted = matcher.lift(query, Side.QUERY) @ matcher.lift(gallery, Side.GALLERY).T
    scores = matcher.score(query, gallery)
    np.testing.assert_array_equal(np.argsort(-lifted, axis=1), np.argsort(-scores, axis=1))


@every_matcher
def test_rows_and_parts_may_be_permuted(matcher):
    query, gallery = draw(6, 0), draw(9, 1)
    plain = matcher.score(query, gallery)
    order = np.random.default_rng(0).permutation(9)
    np.testing.assert_allclose(matcher.score(query, gallery[order]), plain[:, order], atol=1e-12)
    parts = np.array([2, 0, 1])
    moved = [
        Embeddings(side.vector, {**side.fields, "parts": side.fields["parts"][:, parts]}) for side in (query, gallery)
    ]
    np.testing.assert_allclose(matcher.score(*moved), plain, atol=1e-12)


@every_matcher
def test_the_gallerys_own_modulation_plays_no_part(matcher):
    query, gallery = draw(6, 0), draw(9, 1)
    other = Embeddings(gallery.vector, {**gallery.fields, "scale": gallery.fields["scale"] + 7})
    np.testing.assert_array_equal(matcher.score(query, gallery), matcher.score(query, other))


@every_matcher
def test_single_precision_and_empty_sides(matcher):
    query, gallery = draw(6, 0, dtype=np.float32), draw(9, 1, dtype=np.float32)
    found = matcher.score(query, gallery)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, written_out(matcher, draw(6, 0), draw(9, 1)), rtol=2e-5, atol=2e-5)
    assert matcher.score(query[:0], gallery).shape == (0, 9)
    assert matcher.score(query, gallery[:0]).shape == (6, 0)
    assert np.isfinite(matcher.score(draw(1, 0, scale=0, shift=0), gallery)).all()


@every_matcher
def test_tensors_stay_tensors_and_agree(matcher):
    torch = pytest.importorskip("torch")
    query, gallery = draw(6, 0), draw(9, 1)
    tensors = [
        Embeddings.from_arrays({name: torch.from_numpy(value) for name, value in side.arrays().items()})
        for side in (query, gallery)
    ]
    found = matcher.score(*tensors)
    assert isinstance(found, torch.Tensor)
    np.testing.assert_allclose(found.numpy(), matcher.score(query, gallery), atol=1e-12)
    for side, tensor, array in zip(Side, tensors, (query, gallery), strict=True):
        np.testing.assert_allclose(matcher.lift(tensor, side).numpy(), matcher.lift(array, side), atol=1e-12)
    some = np.array([[0, 5]] * 6)
    np.testing.assert_allclose(
        matcher.rescore(*tensors, torch.from_numpy(some)), matcher.score(query, gallery)[:, [0, 5]], atol=1e-12
    )


def test_parts_may_have_a_shift_of_their_own():
    rng = np.random.default_rng(0)
    own, other, scale = rng.standard_normal((4, 3, 5)), rng.standard_normal((6, 3, 5)), rng.standard_normal((4, 5))
    shift = rng.standard_normal((4, 3, 5))
    expected = ((own[:, None] - scale[:, None, None] * other - shift[:, None]) ** 2).sum((2, 3))
    np.testing.assert_allclose(modulated_distances(own, scale, shift, other), expected, atol=1e-12)


@every_matcher
def test_names_and_misuse(matcher):
    assert type(create_matcher(matcher.name)) is type(matcher)
    query, gallery = draw(2, 0), draw(3, 1)
    with pytest.raises(UsageError, match=r"scale, shift missing \(there are: parts\)"):
        matcher.score(query, Embeddings(gallery.vector, {"parts": gallery.fields["parts"]}))
    flat = Embeddings(query.vector, {**query.fields, "parts": query.vector})
    with pytest.raises(UsageError, match=r"takes parts \(N, p, d\)"):
        matcher.lift(flat, Side.QUERY)


class Protocol:
    """One trial of 12 queries in a gallery of 60 people."""

    name, cmc, fingerprint = "fake", CmcKind.IMAGE, {"protocol": "fake"}

    def __init__(self):
        import pandas as pd

        self.images = pd.DataFrame({"identity": [*range(12), *range(60)]})

    def trials(self):
        invalid = np.zeros((12, 60), bool)
        return [Trial(index=0, query=np.arange(12), gallery=np.arange(12, 72), invalid=invalid)]


@every_matcher
def test_evaluation_in_both_modes(matcher):
    # A query is its gallery picture, modulated, with noise.
    rng = np.random.default_rng(4)
    gallery = np.abs(rng.standard_normal((60, PARTS, 32)))
    scale, shift = 1 + rng.standard_normal((12, 32)), 0.5 * rng.standard_normal((12, 32))
    query = scale[:, None] * gallery[:12] + shift[:, None] + 0.1 * rng.standard_normal((12, PARTS, 32))
    parts = np.concatenate([query, gallery])
    fields = {
        "parts": parts,
        "scale": np.concatenate([scale, np.ones((60, 32))]),
        "shift": np.concatenate([shift, np.zeros((60, 32))]),
    }
    vector = parts.reshape(72, -1) / np.linalg.norm(parts, axis=(1, 2))[:, None]
    embeddings = Embeddings(vector, fields)
    full = evaluate(Protocol(), embeddings, np.arange(72), matcher)
    cascade = evaluate(Protocol(), embeddings, np.arange(72), matcher, mode="cascade:10")
    assert (full.mode, cascade.mode) == ("full", "full" if matcher.exact else "cascade:10")
    assert full.trials[0].ranking.cmc[0] == cascade.trials[0].ranking.cmc[0] == 1.0
    assert cascade.trials[0].recall is not None
    plain = evaluate(Protocol(), embeddings, np.arange(72), Dot())
    assert plain.trials[0].ranking.mAP < full.trials[0].ranking.mAP
    with pytest.raises(UsageError, match="without re-ranking"):
        evaluate(Protocol(), embeddings, np.arange(72), matcher, rerank=True)


def test_a_tile_needs_no_torch_and_little_memory():
    # 300 x 400 pictures of 6 x 256: written out, 700 MiB in single precision.
    code = """
import sys, tracemalloc
sys.modules["torch"] = None
import numpy as np
from vireid.matching import create_matcher
from vireid.types import Embeddings
rng = np.random.default_rng(0)
def draw(count):
    fields = {"parts": rng.random((count, 6, 256), np.float32), "scale": rng.random((count, 256), np.float32),
              "shift": rng.random((count, 256), np.float32)}
    return Embeddings(fields["parts"].reshape(count, -1), fields)
query, gallery = draw(300), draw(400)
tracemalloc.start()
for name in ("modulated-cosine", "modulated-euclidean", "modulated-part-cosine"):
    assert create_matcher(name).score(query, gallery).shape == (300, 400)
assert tracemalloc.get_traced_memory()[1] < 24 * 2**20, tracemalloc.get_traced_memory()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
