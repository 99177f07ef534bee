"""The matcher that holds a network: symmetric, cascaded exactly, rebuilt from bundles, clear where it cannot work."""

import numpy as np
import pandas as pd
import pytest
import torch

from vireid.errors import MissingExtraError, UsageError
from vireid.evaluation import evaluate
from vireid.matching import Dot
from vireid.matching.arrays import to_numpy
from vireid.methods.base import Method
from vireid.methods.bit.matcher import _ELEMENTS, PairMatcher
from vireid.methods.bundle import Bundle, Preprocessing, save_bundle
from vireid.methods.explain import Shown
from vireid.types import CmcKind, Embeddings, Modality, Trial


def pictures(count, seed):
    return torch.randn(count, 3, 36, 24, generator=torch.Generator().manual_seed(seed))


def arrays(method: Method, count: int, modality: Modality, seed: int) -> Embeddings[np.ndarray]:
    with torch.inference_mode():
        found = method.eval().embed(pictures(count, seed), modality)
    return Embeddings.from_arrays({name: to_numpy(value) for name, value in found.arrays().items()})


@pytest.fixture
def method(small):
    return small()


@pytest.fixture
def sides(method):
    return arrays(method, 4, Modality.INFRARED, 1), arrays(method, 6, Modality.VISIBLE, 2)


def test_it_does_not_matter_who_asks(method, sides):
    query, gallery = sides
    scores = method.matcher().score(query, gallery)
    assert scores.shape == (4, 6)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(method.matcher().score(gallery, query).T, scores, atol=1e-6)


def test_a_score_is_the_logit_of_the_pair_whatever_the_block(method, sides, monkeypatch):
    query, gallery = sides
    tokens = [torch.from_numpy(side.fields["tokens"]).float() for side in (gallery, query)]
    with torch.no_grad():
        prepared = [method.pairs.prepare(side, modality) for side, modality in zip(tokens, Modality, strict=True)]
        expected = method.pairs.eval().all_pairs(*prepared, chunk=24)[0].T.numpy()
    np.testing.assert_allclose(method.matcher().score(query, gallery), expected, atol=1e-5)
    monkeypatch.setitem(_ELEMENTS, "cpu", 2 * 6 * 128)
    np.testing.assert_allclose(method.matcher().score(query, gallery), expected, atol=1e-5)


def test_scoring_leaves_training_mode_and_dropout_out(small, sides):
    method = small(bci={"dropout": 0.5}).train()
    first, second = (method.matcher().score(*sides) for _ in range(2))
    assert (first == second).all()
    assert method.pairs.training


class People:
    """Queries 0-3 and gallery 4-9 of people 0, 1, 2; one pair of each query is forbidden."""

    name, fingerprint, cmc = "people", {}, CmcKind.IMAGE
    images = pd.DataFrame({"identity": [0, 1, 2, 0, 0, 1, 2, 0, 1, 2]})

    def trials(self):
        invalid = np.zeros((4, 6), np.bool_)
        invalid[np.arange(4), np.arange(4)] = True
        return [Trial(index=0, query=np.arange(4), gallery=np.arange(4, 10), invalid=invalid)]


def joined(sides):
    parts = [side.arrays() for side in sides]
    return Embeddings.from_arrays({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def test_a_cascade_over_the_whole_gallery_is_the_full_ranking(method, sides):
    found = [
        evaluate(People(), joined(sides), np.arange(10), method.matcher(), mode=mode)
        for mode in ("full", "cascade:6", "cascade:5")
    ]
    # five of six are permitted, so cascade:5 scores every pair that counts, by another path
    for other in found[1:]:
        np.testing.assert_array_equal(other.trials[0].ranking.ap, found[0].trials[0].ranking.ap)
        np.testing.assert_array_equal(other.trials[0].ranking.inp, found[0].trials[0].ranking.inp)
    assert found[2].mode == "cascade:5"


def test_evaluation_is_a_cascade_unless_told_otherwise(method, sides):
    matcher = method.matcher()
    found = evaluate(People(), joined(sides), np.arange(10), matcher)
    assert (found.cascade.k, found.mode) == (50, "full")  # of six pictures
    assert matcher.mode == "cascade"
    assert evaluate(People(), Embeddings(joined(sides).vector), np.arange(10), Dot()).cascade is None


def test_pruned_and_narrow_pairs_are_matched_whoever_asks(small):
    method = small({"tokens": 3, "width": 32})
    query, gallery = arrays(method, 2, Modality.INFRARED, 1), arrays(method, 3, Modality.VISIBLE, 2)
    matcher = method.matcher()
    assert matcher.fields == ("tokens", "visible", "places")
    scores = matcher.score(query, gallery)
    np.testing.assert_allclose(matcher.score(gallery, query).T, scores, atol=1e-6)
    places = gallery.fields["places"]
    other = Embeddings(gallery.vector, {**gallery.fields, "places": 5 - places[:, ::-1]})
    assert not np.allclose(matcher.score(query, other), scores)  # the perceptron knows where patches are


def test_half_precision_keeps_the_order_of_what_is_far_apart(method, sides):
    exact, half = (PairMatcher(method.pairs, bf16=bf16).score(*sides) for bf16 in (False, True))
    assert half.dtype == np.float32
    np.testing.assert_array_equal(exact, method.matcher().score(*sides))
    np.testing.assert_allclose(half, exact, atol=0.05)


class Draws(People):
    """Ten trials: each draws four of the six gallery pictures, and forbids one pair of each query."""

    def trials(self):
        rng = np.random.default_rng(0)
        drawn = [np.sort(rng.permutation(np.arange(4, 10))[:4]) for _ in range(10)]
        drawn = [gallery if 4 in gallery else np.union1d(gallery[1:], [4]) for gallery in drawn]
        return [
            Trial(index=n, query=np.arange(4), gallery=gallery, invalid=np.zeros((4, 4), np.bool_))
            for n, gallery in enumerate(drawn)
        ]


@pytest.mark.parametrize("mode", ["full", "cascade:2"])
def test_trials_look_at_each_pair_once(method, sides, mode, monkeypatch):
    looked = []
    network = method.pairs
    inner = type(network).forward

    def counted(self, visible, infrared):
        found = inner(self, visible, infrared)
        looked.extend(np.round(found.logits.numpy(), 6).tolist())
        return found

    monkeypatch.setattr(type(network), "forward", counted)
    evaluate(Draws(), joined(sides), np.arange(10), method.matcher(), mode=mode)
    assert len(looked) == len(set(looked))  # a pair's logit is its own: none was seen twice
    assert len(looked) <= 4 * 6
    assert mode != "full" or len(looked) == 4 * 6


def test_one_candidate_keeps_the_rank_one_of_the_first_stage(method, sides, small):
    one = evaluate(People(), joined(sides), np.arange(10), method.matcher(), mode="cascade:1")
    base = evaluate(People(), Embeddings(joined(sides).vector), np.arange(10), small(pairs=False).matcher())
    assert one.trials[0].ranking.cmc[0] == base.trials[0].ranking.cmc[0]
    np.testing.assert_array_equal(one.trials[0].ranking.ap, base.trials[0].ranking.ap)


def test_what_it_cannot_compare_is_refused(method, sides):
    query, gallery = sides
    matcher = method.matcher()
    with pytest.raises(UsageError, match="both sides are infrared"):
        matcher.score(query, query)
    with pytest.raises(UsageError, match="this one holds both, so filter by modality"):
        matcher.score(query, joined(sides))
    with pytest.raises(UsageError, match="needs the embedding fields tokens, visible of the gallery"):
        matcher.score(query, Embeddings(gallery.vector))
    assert matcher.score(query, gallery[:0]).shape == (4, 0)
    assert matcher.score(query[:0], gallery).shape == (0, 6)


def test_a_bundle_makes_the_matcher_again(method, sides, tmp_path, monkeypatch, card):
    save_bundle(tmp_path / "bundle", method, preprocessing=Preprocessing(height=36, width=24), card=card)
    bundle = Bundle.open(tmp_path / "bundle")
    assert bundle.header.matcher == "pair-network"
    np.testing.assert_array_equal(bundle.matcher().score(*sides), method.matcher().score(*sides))

    def none(self):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(Bundle, "method", none)
    with pytest.raises(MissingExtraError, match="torch"):
        bundle.matcher()


@pytest.mark.parametrize("first", list(Modality))
def test_the_explanation_names_matched_patches(method, first):
    query, candidate = (Shown(image=pictures(1, n)[0], modality=m) for n, m in enumerate((first, first.other)))
    found = method.explain(query, candidate)
    assert found.query.shape == found.candidate.shape == (3, 2)
    assert found.together.shape == (6, 6)
    mutual = found.details["mutual patches, visible by infrared"].astype(bool)
    weights = found.together if first is Modality.VISIBLE else found.together.T
    matched = mutual.any(axis=1)
    assert (weights[matched][~mutual[matched]] == 0).all()
    assert ((weights != 0).sum(axis=1)[~matched] <= 1).all()
    sides = [arrays_of(method, shown) for shown in (query, candidate)]
    assert found.score == pytest.approx(float(method.matcher().score(*sides)[0, 0]), abs=1e-5)
    with pytest.raises(UsageError, match="a visible with an infrared picture"):
        method.explain(query, query)


def arrays_of(method, shown):
    with torch.inference_mode():
        found = method.eval().embed(shown.image[None], shown.modality)
    return Embeddings.from_arrays({name: to_numpy(value) for name, value in found.arrays().items()})


def test_patches_that_were_left_out_weigh_nothing(small):
    method = small({"tokens": 2})
    shown = [Shown(image=pictures(1, n)[0], modality=m) for n, m in enumerate(Modality)]
    found = method.explain(*shown)
    left, right = (arrays_of(method, one).fields["places"][0] for one in shown)
    kept = np.zeros((6, 6), np.bool_)
    kept[np.ix_(left, right)] = True
    assert found.together.shape == (6, 6)
    assert found.together[kept].any()
    assert not found.together[~kept].any()
