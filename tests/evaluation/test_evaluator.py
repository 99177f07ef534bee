import json
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from vireid.errors import DataError, UsageError
from vireid.evaluation import OpenSet, evaluate, rank
from vireid.evaluation import evaluator as evaluator_module
from vireid.evaluation import scoring as scoring_module
from vireid.evaluation.open_set import auc, collect, fnir_at_fpir
from vireid.files import write_json
from vireid.matching import Dot, KReciprocal, Matcher, k_reciprocal
from vireid.types import CmcKind, Embeddings, Trial

METRICS = ("rank1", "rank5", "rank10", "rank20", "mAP", "mINP")


@dataclass
class FakeProtocol:
    """Galleries drawn anew in every trial from one image table."""

    images: pd.DataFrame
    drawn: list
    cmc: CmcKind = CmcKind.IDENTITY
    name: str = "fake"

    @property
    def fingerprint(self):
        return {"protocol": self.name, "shots": 1}

    def trials(self):
        return self.drawn


class Pairwise(Matcher):
    """A score that no product gives; counts the pairs that it computes."""

    name = "pairwise"
    exact = False
    fields = ("extra",)

    def __init__(self):
        self.pairs = 0

    def lift(self, embeddings, side):
        return embeddings.vector

    def score(self, query, gallery):
        self.pairs += len(query) * len(gallery)
        apart = np.abs(query.fields["extra"][:, None] - gallery.fields["extra"][None]).sum(-1)
        return np.round(query.vector @ gallery.vector.T - apart, 1)


def draw(trials=3, seed=0, queries=40, gallery=60, drawn=25):
    """Protocol, embeddings in shuffled order with one picture that no trial uses, and their rows."""
    rng = np.random.default_rng(seed)
    identity = rng.integers(12, size=queries + gallery + 1)
    protocol = FakeProtocol(
        pd.DataFrame({"identity": identity}),
        [
            Trial(
                index=t,
                query=np.arange(queries),
                gallery=queries + np.sort(rng.choice(gallery, drawn, replace=False)),
                invalid=rng.random((queries, drawn)) < 0.2,
            )
            for t in range(trials)
        ],
    )
    vectors = rng.standard_normal((12, 6))[identity] + 1.5 * rng.standard_normal((len(identity), 6))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = rng.permutation(len(identity))
    extra = rng.random((len(identity), 2))
    return protocol, Embeddings(vectors[rows], {"extra": extra[rows]}), rows


def by_hand(protocol, embeddings, rows, score):
    """Metrics of each trial from a score of two sets of embeddings."""
    place = np.argsort(rows)
    identity = protocol.images.identity.to_numpy()
    for trial in protocol.trials():
        scores = score(embeddings[place[trial.query]], embeddings[place[trial.gallery]], trial)
        result = rank(scores, identity[trial.query], identity[trial.gallery], invalid=trial.invalid, cmc=protocol.cmc)
        yield [*(100 * result.cmc[[0, 4, 9, 19]]), 100 * result.mAP, 100 * result.mINP]


def figures(result):
    values = result.to_json()
    return [values[name] for name in METRICS]


@pytest.mark.parametrize("table", [0, 1 << 27])
@pytest.mark.parametrize("matcher", [Dot, Pairwise])
def test_full_is_the_mean_over_trials(monkeypatch, table, matcher):
    monkeypatch.setattr(scoring_module, "_TABLE", table)
    monkeypatch.setattr(scoring_module, "_TILE", 7)
    monkeypatch.setattr(evaluator_module, "_BLOCK", 300)
    protocol, embeddings, rows = draw()
    result = evaluate(protocol, embeddings, rows, matcher())
    expected = np.array(list(by_hand(protocol, embeddings, rows, lambda q, g, _: matcher().score(q, g))))
    np.testing.assert_allclose(figures(result), expected.mean(axis=0))
    std = result.to_json()["std"]
    np.testing.assert_allclose([std[name] for name in METRICS], expected.std(axis=0, ddof=1))


def test_json_holds_what_is_promised(tmp_path):
    protocol, embeddings, rows = draw()
    values = evaluate(protocol, embeddings, rows, Dot()).to_json()
    assert list(values) == [
        *("protocol", "fingerprint", "mode", "trials"),
        *METRICS,
        *("std", "queries", "valid_queries", "gallery"),
    ]
    assert values["protocol"] == "fake"
    assert values["fingerprint"] == {"protocol": "fake", "shots": 1}
    assert (values["mode"], values["trials"]) == ("full", 3)
    assert values["queries"] == [40] * 3
    assert values["gallery"] == [25] * 3
    assert all(0 < valid <= 40 for valid in values["valid_queries"])
    write_json(tmp_path / "result.json", values)
    assert json.loads((tmp_path / "result.json").read_text()) == values


def test_a_single_trial_has_no_spread():
    values = evaluate(*draw(trials=1), Dot()).to_json()
    assert values["std"] == dict.fromkeys(METRICS)


def test_per_query_figures_are_kept():
    protocol, embeddings, rows = draw()
    result = evaluate(protocol, embeddings, rows, Dot())
    for trial, drawn in zip(result.trials, protocol.trials(), strict=True):
        np.testing.assert_array_equal(trial.query, drawn.query)
        assert trial.ranking.ap.shape == (40,)
        assert np.nanmean(trial.ranking.ap) == pytest.approx(trial.ranking.mAP)


@pytest.mark.parametrize("table", [0, 1 << 27])
@pytest.mark.parametrize("k", [1, 4, 20, 24])
def test_cascade_rescores_the_first_and_keeps_the_others_behind(monkeypatch, table, k):
    monkeypatch.setattr(scoring_module, "_TABLE", table)
    monkeypatch.setattr(scoring_module, "_PAIRS", 30)
    monkeypatch.setattr(evaluator_module, "_BLOCK", 300)
    protocol, embeddings, rows = draw()

    def composed(query, gallery, trial):
        first, exact = query.vector @ gallery.vector.T, Pairwise().score(query, gallery)
        scores = np.empty_like(first)
        for q in range(len(first)):
            permitted = [g for g in np.argsort(-first[q], kind="stable") if not trial.invalid[q, g]]
            ahead = sorted(permitted[:k], key=lambda g, q=q: (-exact[q, g], g))
            forbidden = [g for g in range(len(gallery)) if trial.invalid[q, g]]
            scores[q, [*ahead, *permitted[k:], *forbidden]] = -np.arange(len(gallery))
        return scores

    result = evaluate(protocol, embeddings, rows, Pairwise(), mode=f"cascade:{k}")
    expected = np.array(list(by_hand(protocol, embeddings, rows, composed)))
    np.testing.assert_allclose(figures(result), expected.mean(axis=0))
    values = result.to_json()
    assert values["mode"] == f"cascade:{k}"
    assert values["cascade"]["k"] == k
    assert values["cascade"]["equals_full"] is False


def test_first_stage_recall():
    protocol, embeddings, rows = draw(trials=2)
    place, identity = np.argsort(rows), protocol.images.identity.to_numpy()
    queries, pictures = [], []
    for trial in protocol.trials():
        scores = embeddings.vector[place[trial.query]] @ embeddings.vector[place[trial.gallery]].T
        first = np.argsort(np.where(trial.invalid, np.inf, -scores), axis=1)[:, :3]
        correct = (identity[trial.query][:, None] == identity[trial.gallery]) & ~trial.invalid
        hits = np.take_along_axis(correct, first, axis=1).sum(axis=1)
        queries.append(100 * (hits > 0).sum() / (correct.sum(axis=1) > 0).sum())
        pictures.append(100 * hits.sum() / correct.sum())
    for matcher in (Dot(), Pairwise()):
        values = evaluate(protocol, embeddings, rows, matcher, mode="cascade:3").to_json()
        recall = values["cascade"]["first_stage_recall"]
        assert recall == {"queries": pytest.approx(np.mean(queries)), "pictures": pytest.approx(np.mean(pictures))}


def test_a_cascade_over_the_whole_gallery_is_the_full_ranking():
    protocol, embeddings, rows = draw()
    full = evaluate(protocol, embeddings, rows, Pairwise())
    for k in (25, 1000):
        cascade = evaluate(protocol, embeddings, rows, Pairwise(), mode=f"cascade:{k}")
        assert figures(cascade) == figures(full)
        assert cascade.mode == "full"
        assert cascade.to_json()["cascade"] == {
            "k": k,
            "first_stage_recall": {"queries": 100, "pictures": 100},
            "equals_full": True,
        }


def test_an_exact_matcher_needs_no_second_stage():
    protocol, embeddings, rows = draw()
    cascade = evaluate(protocol, embeddings, rows, Dot(), mode="cascade:2")
    assert figures(cascade) == figures(evaluate(protocol, embeddings, rows, Dot()))
    assert cascade.mode == "full"
    values = cascade.to_json()["cascade"]
    assert values["equals_full"] is True
    assert values["first_stage_recall"]["pictures"] < 100


def test_a_longer_cascade_passes_more_on():
    protocol, embeddings, rows = draw()
    recalls = [
        evaluate(protocol, embeddings, rows, Pairwise(), mode=f"cascade:{k}").to_json()["cascade"]["first_stage_recall"]
        for k in (1, 5, 20)
    ]
    for name in ("queries", "pictures"):
        assert recalls[0][name] < recalls[1][name] < recalls[2][name]


def test_trials_share_their_work():
    protocol, embeddings, rows = draw(trials=10)
    matcher = Pairwise()
    evaluate(protocol, embeddings, rows, matcher)
    assert matcher.pairs == 40 * 60
    matcher = Pairwise()
    evaluate(protocol, embeddings, rows, matcher, mode="cascade:6")
    assert matcher.pairs < 40 * 6 * 10 * 0.8
    single = draw(trials=1)
    matcher = Pairwise()
    evaluate(*single, matcher, mode="cascade:6")
    assert matcher.pairs == 40 * 6


def test_reranking_is_said_and_done():
    protocol, embeddings, rows = draw()
    step = KReciprocal(k1=6, k2=3)

    def score(query, gallery, _):
        pairs = ((query, gallery), (query, query), (gallery, gallery))
        return k_reciprocal(*(one.vector @ other.vector.T for one, other in pairs), k1=6, k2=3)

    result = evaluate(protocol, embeddings, rows, Dot(), rerank=step)
    np.testing.assert_allclose(
        figures(result), np.array(list(by_hand(protocol, embeddings, rows, score))).mean(axis=0), atol=1e-9
    )
    assert result.to_json()["rerank"]["k1"] == 6
    assert evaluate(protocol, embeddings, rows, Dot(), rerank=True).rerank == KReciprocal()
    assert evaluate(protocol, embeddings, rows, Dot(), rerank=False).rerank is None
    with pytest.raises(UsageError, match="matcher 'pairwise' does not"):
        evaluate(protocol, embeddings, rows, Pairwise(), rerank=step)


def test_tensors_agree_with_arrays():
    torch = pytest.importorskip("torch")
    protocol, embeddings, rows = draw()
    tensors = Embeddings(torch.from_numpy(embeddings.vector))
    assert figures(evaluate(protocol, tensors, rows, Dot())) == pytest.approx(
        figures(evaluate(protocol, embeddings, rows, Dot()))
    )
    assert evaluate(protocol, tensors, rows, Dot(), rerank=True).rerank == KReciprocal()


def test_progress_is_shown():
    seen = {}

    def track(items, /, *, description, total=None):
        items = list(items)
        seen[description] = (len(items), total)
        return iter(items)

    protocol, embeddings, rows = draw()
    evaluate(protocol, embeddings, rows, Dot(), track=track)
    assert seen == {"scoring": (1, 1), "ranking": (3, 3)}


@pytest.mark.parametrize("mode", ["fast", "cascades", "cascade:0", "cascade:-3", "cascade:1.5", "cascade:"])
def test_unknown_modes_are_refused(mode):
    with pytest.raises(UsageError, match="full, or cascade:K"):
        evaluate(*draw(), Dot(), mode=mode)


def test_misuse_is_refused():
    protocol, embeddings, rows = draw()
    keep = ~np.isin(rows, [3, 8, 41])
    missing = [row for row in (3, 8, 41) if any(row in [*trial.query, *trial.gallery] for trial in protocol.drawn)]
    with pytest.raises(UsageError, match=f"{len(missing)} of the .* have no embedding, the first is row 3"):
        evaluate(protocol, embeddings[keep], rows[keep], Dot())
    with pytest.raises(UsageError, match="rows is int64 of shape"):
        evaluate(protocol, embeddings, rows[:-1], Dot())
    with pytest.raises(UsageError, match="more than once"):
        evaluate(protocol, embeddings, np.where(rows == 3, 4, rows), Dot())
    with pytest.raises(UsageError, match=r"expected \(N, D\)"):
        evaluate(protocol, Embeddings(embeddings.vector[:, :, None]), rows, Dot())
    with pytest.raises(UsageError, match="embedding fields extra; there are: none"):
        evaluate(protocol, Embeddings(embeddings.vector), rows, Pairwise())
    with pytest.raises(UsageError, match="not a number"):
        evaluate(protocol, Embeddings(np.full_like(embeddings.vector, np.nan)), rows, Dot())
    with pytest.raises(DataError, match="no trials"):
        evaluate(FakeProtocol(protocol.images, []), embeddings, rows, Dot())


def test_a_trial_without_a_correct_picture_is_refused():
    protocol, embeddings, rows = draw(trials=1)
    trial = protocol.drawn[0]
    nothing = Trial(index=0, query=trial.query, gallery=trial.gallery, invalid=np.ones_like(trial.invalid))
    for mode in ("full", "cascade:3"):
        with pytest.raises(DataError, match="no query has a correct picture"):
            evaluate(FakeProtocol(protocol.images, [nothing]), embeddings, rows, Pairwise(), mode=mode)


def test_cascade_without_a_number_keeps_fifty():
    protocol, embeddings, rows = draw(trials=1, drawn=55)
    result = evaluate(protocol, embeddings, rows, Pairwise(), mode="cascade")
    assert result.mode == "cascade:50"


@pytest.mark.parametrize("block", [300, 1 << 26])
def test_open_set_figures_are_those_of_every_trial(monkeypatch, tmp_path, block):
    monkeypatch.setattr(evaluator_module, "_BLOCK", block)
    protocol, embeddings, rows = draw()
    option = OpenSet(share=0.4, seed=2)
    closed, opened = (evaluate(protocol, embeddings, rows, Dot(), open_set=which) for which in (None, option))
    assert figures(opened) == figures(closed)
    assert "open_set" not in closed.to_json()
    values = opened.to_json()["open_set"]
    place, identity = np.argsort(rows), protocol.images.identity.to_numpy()
    areas, missed = [], []
    for trial in protocol.trials():
        scores = embeddings.vector[place[trial.query]] @ embeddings.vector[place[trial.gallery]].T
        ids = identity[trial.query], identity[trial.gallery]
        enrolled = option.enrolled(ids[1], trial=trial.index)
        searches, pairs = collect(scores, *ids, invalid=trial.invalid, enrolled=enrolled, cmc=protocol.cmc)
        areas.append(100 * auc(pairs.genuine, pairs.impostor))
        missed.append(100 * fnir_at_fpir(searches, 0.1, rank=1))
    assert values["auc"] == pytest.approx(np.mean(areas))
    [row] = [row for row in values["identification"] if row["fpir"] == 10]
    assert row["fnir_rank1"] == pytest.approx(np.mean(missed))
    assert (values["held_out_share"], values["seed"]) == (0.4, 2)
    write_json(tmp_path / "result.json", opened.to_json())


def test_open_set_figures_need_scores_of_one_scale():
    protocol, embeddings, rows = draw()
    for change in ({"rerank": True}, {"mode": "cascade:5"}):
        with pytest.raises(UsageError, match="one threshold for all queries"):
            evaluate(protocol, embeddings, rows, Pairwise(), open_set=OpenSet(), **change)
    evaluate(protocol, embeddings, rows, Dot(), mode="cascade:5", open_set=OpenSet())  # exact: equal to full
