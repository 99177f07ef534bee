"""The numbers of every section, against plain loops and against what evaluation itself says."""

import base64
import io
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from vireid.evaluation import rank
from vireid.evaluation.open_set import roc_curve, tpr_at_fpr
from vireid.methods.agw import AGW
from vireid.methods.explain import Explanation, MatchedPart, Shown
from vireid.report.album import Album
from vireid.report.blocks import Bar, Drawing, Facts, Picture, Ranking, Table
from vireid.report.material import Material
from vireid.report.sections import embedding_map as maps
from vireid.report.sections.curves import cmc_of, curves, roc_of
from vireid.report.sections.explanations import _svg, details_of, explained_queries, explanations
from vireid.report.sections.factors import _truth, factors, rates, searches
from vireid.report.sections.metrics import figures_of, groups_of, metrics
from vireid.report.sections.overview import overview
from vireid.report.sections.people import by_identity, people
from vireid.report.sections.ranked import chosen_queries, ranked, ranked_gallery
from vireid.report.sections.similarity import camera_pairs, histogram, modality_pairs, similarity
from vireid.report.sections.thresholds import thresholds, thresholds_of
from vireid.report.sections.training import loss_series, total_series, training, validation_series


def test_scores_of_the_page_are_those_that_were_ranked(material: Material) -> None:
    ids = material.identity[material.trial.query], material.identity[material.trial.gallery]
    again = rank(material.scores, *ids, invalid=material.trial.invalid, cmc=material.protocol.cmc)
    np.testing.assert_array_equal(again.first, material.result.trials[0].ranking.first)
    np.testing.assert_allclose(again.ap, material.result.trials[0].ranking.ap)


def test_curves_are_those_of_the_evaluation(material: Material) -> None:
    values = material.result.to_json()
    cmc = cmc_of(material)
    assert [100 * cmc[r - 1] for r in (1, 5, 10, 20)] == pytest.approx(
        [values[name] for name in ("rank1", "rank5", "rank10", "rank20")]
    )
    fpr, tpr, thresholds = roc_of(material)
    expected = roc_curve(material.comparisons.genuine, material.comparisons.impostor)
    places = np.searchsorted(-expected[2], -thresholds)  # thresholds fall
    np.testing.assert_array_equal(expected[2][places], thresholds)
    np.testing.assert_allclose(fpr, expected[0][places])
    np.testing.assert_allclose(tpr, expected[1][places])
    assert fpr[-1] == 1
    assert (np.diff(fpr) >= 0).all()
    one, other = curves([material]).drawings
    assert f"{values['rank1']:.1f} % at rank 1" in one.caption
    assert "Area under the curve" in other.caption


def test_metrics_are_told_with_their_spread(material: Material) -> None:
    values = material.result.to_json()
    first, intervals, *_ = [block for block in metrics([material]).blocks if isinstance(block, Table)]
    assert first.rows[0][1] == f"{values['rank1']:.1f} ± {values['std']['rank1']:.1f}"
    assert first.rows[0][5] == f"{values['mAP']:.1f} ± {values['std']['mAP']:.1f}"
    assert [row[1] for row in intervals.rows] == ["rank-1", "mAP", "mINP"]
    [group] = groups_of([material])
    for figure in figures_of(group):
        assert figure.estimate.value == pytest.approx(values[figure.metric])
        assert figure.interval[0] <= figure.estimate.value <= figure.interval[1]


def test_a_histogram_counts_every_permitted_pair_once(material: Material) -> None:
    trial = material.trial
    same = material.identity[trial.query][:, None] == material.identity[trial.gallery]
    for pairs in (modality_pairs(material)["infrared query, visible gallery"], material.comparisons):
        found = histogram(pairs)
        assert found.same.sum() == (same & ~trial.invalid).sum()
        assert found.different.sum() == (~same & ~trial.invalid).sum()
        assert len(found.edges) == len(found.same) + 1


def test_pictures_of_one_modality_are_compared_in_pairs_but_not_with_themselves(material: Material) -> None:
    rows = np.union1d(material.trial.query, material.trial.gallery)
    modality = material.dataset.images["modality"].to_numpy()[rows]
    for name in ("visible", "infrared"):
        mine = rows[modality == name]
        pairs = modality_pairs(material)[f"{name} with {name}"]
        assert len(pairs.genuine) + len(pairs.impostor) == len(mine) * (len(mine) - 1) // 2
        people = material.identity[mine]
        genuine = sum(int((people == one).sum() * ((people == one).sum() - 1) // 2) for one in np.unique(people))
        assert len(pairs.genuine) == genuine
        assert max(pairs.genuine.max(), pairs.impostor.max()) <= 1 + 1e-5


def test_pairs_of_cameras_add_up_to_all_pairs(material: Material) -> None:
    cameras = camera_pairs(material)
    assert sum(len(pairs.genuine) for pairs in cameras.values()) == len(material.comparisons.genuine)
    assert sum(len(pairs.impostor) for pairs in cameras.values()) == len(material.comparisons.impostor)
    assert "camera 3 with 2" not in cameras  # one room: forbidden
    [table] = [block for block in similarity(material).blocks if isinstance(block, Table)]
    assert {row[0] for row in table.rows} == set(cameras)


def test_thresholds_let_through_what_they_say(material: Material) -> None:
    genuine, impostor = material.comparisons.genuine, material.comparisons.impostor
    rows = thresholds_of(material)
    assert rows
    for row in rows:
        assert (impostor >= row.threshold).mean() <= row.fpr
        assert row.tpr == tpr_at_fpr(material.comparisons, row.fpr)
        assert row.tpr == (genuine >= row.threshold).mean()
        assert row.false_matches[10_000] == pytest.approx(10_000 * (impostor >= row.threshold).mean())
    [table] = thresholds(material).blocks
    assert isinstance(table, Table)
    assert len(table.rows) == len(rows)


def test_ranked_answers_stand_in_the_order_of_rank(material: Material) -> None:
    trial, first = material.trial, np.asarray(material.result.trials[0].ranking.first)
    places = np.arange(len(trial.query))
    rows, scores = ranked_gallery(material, places, len(trial.gallery))
    for place in places:
        permitted = np.flatnonzero(~trial.invalid[place])
        order = permitted[np.argsort(-material.scores[place, permitted], kind="stable")]
        np.testing.assert_array_equal(rows[place][rows[place] >= 0], trial.gallery[order])
        shown = material.identity[rows[place][rows[place] >= 0]]
        people = list(dict.fromkeys(shown.tolist()))  # the CMC of this data set counts people
        if first[place]:
            assert people.index(material.identity[trial.query[place]]) + 1 == first[place]
        there = scores[place][rows[place] >= 0]
        assert (np.diff(there) <= 0).all()


def test_best_worst_and_random_queries(material: Material) -> None:
    kinds, ap = chosen_queries(material), np.asarray(material.result.trials[0].ranking.ap)
    assert ap[kinds["best"][0]] == np.nanmax(ap)
    assert ap[kinds["worst"]].min() == np.nanmin(
        ap[~np.isin(material.identity[material.trial.query], people_of(material, kinds["best"]))]
    )
    everyone = people_of(material, np.concatenate(list(kinds.values())))
    assert len(set(everyone)) == len(everyone)
    again = chosen_queries(material)
    assert all((again[kind] == found).all() for kind, found in kinds.items())
    lists = [block for block in ranked(material).blocks if isinstance(block, Ranking)]
    assert len(lists) == sum(map(len, kinds.values()))
    for one in lists:
        assert [hit.right for hit in one.hits] == [hit.identity == one.query.identity for hit in one.hits]
        assert one.query.picture.url.startswith("data:image/jpeg")


def people_of(material: Material, places: np.ndarray) -> list[int]:
    return [int(person) for person in material.identity[material.trial.query[places]]]


def test_restricted_pictures_stay_out_of_every_section(material: Material) -> None:
    hidden = replace(material, album=Album(shown=False))
    found = [*ranked(hidden).blocks, *explanations(hidden).blocks]
    assert "data:image" not in str(found)
    assert "--show-restricted" in str(found)


def test_people_are_ordered_by_their_own_searches(material: Material) -> None:
    table = by_identity(material.queries)
    assert table["mAP"].is_monotonic_increasing
    ap = np.concatenate([np.asarray(trial.ranking.ap) for trial in material.result.trials])
    who = np.concatenate([material.identity[trial.query] for trial in material.result.trials])
    for person, row in table.iterrows():
        mine = ap[(who == person) & ~np.isnan(ap)]
        assert row["queries"] == len(mine)
        assert row["mAP"] == pytest.approx(100 * mine.mean())
    [shown] = [block for block in people(material).blocks if isinstance(block, Table)]
    bar = shown.rows[0][3]
    assert isinstance(bar, Bar)
    assert bar.share == pytest.approx(table["mAP"].iloc[0] / 100)


def test_every_factor_splits_all_searches(material: Material) -> None:
    truth = _truth(material)
    assert truth is not None
    assert (truth["identity"].to_numpy() == material.identity).all()
    table = searches(material, truth)
    names = list(table.columns.drop(["identity", "rank1", "mAP"]))
    assert len(names) == 7
    for name in names:
        found = rates(table, name)
        assert found["searches"].sum() == len(table) == material.queries.valid.sum()
        assert (found["rank1"] * found["searches"]).sum() / len(table) == pytest.approx(table["rank1"].mean())
    section = factors(material)
    assert section is not None
    several = [name for name in names if len(rates(table, name)) > 1]
    assert several
    assert len([block for block in section.blocks if isinstance(block, Table)]) == len(several)


def test_the_turn_is_that_to_the_nearest_correct_picture(material: Material) -> None:
    truth = _truth(material)
    assert truth is not None
    table = searches(material, truth)["turn between the query and the nearest correct picture"].astype(str)
    heading, trial = np.degrees(truth["heading"].to_numpy()), material.trial
    plain = []
    for place, query in enumerate(trial.query):
        turns = [
            abs((heading[query] - heading[row] + 180) % 360 - 180)
            for column, row in enumerate(trial.gallery)
            if material.identity[row] == material.identity[query] and not trial.invalid[place, column]
        ]
        if turns:
            least = min(turns)
            names = {30: "up to 30°", 60: "30° to 60°", 90: "60° to 90°", 181: "more than 90°"}
            plain.append(next(name for limit, name in names.items() if least <= limit))
    assert table[: len(plain)].tolist() == plain


def test_rates_of_a_factor_are_plain_means() -> None:
    table = pd.DataFrame(
        {"identity": [1, 1, 2], "rank1": [100.0, 0.0, 100.0], "mAP": [80.0, 20.0, 60.0], "bag": list("aab")}
    )
    found = rates(table, "bag")
    assert found.loc["a"].tolist() == [1, 2, 50.0, 50.0]
    assert found.loc["b"].tolist() == [1, 1, 100.0, 60.0]


def test_data_that_is_not_rendered_has_no_factors(material: Material) -> None:
    real = replace(material, dataset=replace(material.dataset, expected=None))
    assert factors(real) is None


def test_the_map_shows_people_of_both_modalities(material: Material) -> None:
    rows = maps.mapped_rows(material)
    assert len(set(rows.tolist())) == len(rows)
    assert set(rows.tolist()) <= set(material.rows.tolist())
    table = material.dataset.images.iloc[rows]
    assert (table.groupby("identity")["modality"].nunique() == 2).all()
    assert (rows == maps.mapped_rows(material)).all()


class Absent:
    """Finds no scikit-learn, as where it is not installed."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] == "sklearn":
            raise ModuleNotFoundError(name=name)


def test_a_map_without_scikit_learn_is_one_sentence(material: Material, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "sklearn"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])
    section = maps.embedding_map(material)
    assert not section.drawings
    assert "pip install 'vireid[study]'" in str(section.blocks)


def test_losses_of_every_phase_stand_over_their_own_steps() -> None:
    first = [{"step": step, "loss": 2.0, "losses": {"identity": 2.0}} for step in range(12)]
    second = [{"step": 12 + step, "loss": 4.0, "losses": {"identity": 1.0, "cluster": 3.0}} for step in range(5)]
    between = [{"step": 11, "validation": {"mAP": 1.0}}, {"step": 16, "validation": {"mAP": 2.0}}]
    records = [*first, *between, *second]
    assert loss_series(records) == {"identity": ([0, 10], [2.0, (2 * 2.0 + 5 * 1.0) / 7]), "cluster": ([12], [3.0])}
    assert total_series(records) == ([0, 10], [2.0, (2 * 2.0 + 5 * 4.0) / 7])
    assert validation_series(records) == {"mAP": ([11, 16], [1.0, 2.0])}


def test_training_of_one_run_shows_its_losses_and_of_several_their_sums(material: Material) -> None:
    names = set(loss_series(material.records))
    assert all(name in training([material]).drawings[0].caption for name in names)
    other = replace(material, name="other")
    assert f"{material.name}: " in training([material, other]).drawings[0].caption
    assert "other: " in training([material, other]).drawings[0].caption
    assert not training([replace(material, records=[])]).drawings


def test_the_overview_tells_terms_hashes_and_the_recipe(material: Material) -> None:
    told = str(overview([material], command="vireid report x").blocks)
    for word in (
        material.bundle.digest,
        material.dataset.licence,
        material.protocol.name,
        "vireid report x",
        "steps_per_epoch",
    ):
        assert word in told


def test_explanations_are_of_the_first_answer(material: Material) -> None:
    places = explained_queries(material)
    drawings = explanations(material).drawings
    assert len(drawings) == len(places)
    for place, drawing in zip(places, drawings, strict=True):
        row = int(ranked_gallery(material, np.array([place]), 1)[0][0, 0])
        assert isinstance(drawing, Drawing)
        assert f"answered with person {material.identity[row]} before camera {material.camera[row]}" in drawing.caption
        column = int(np.flatnonzero(material.trial.gallery == row)[0])
        score = float(drawing.caption.split("score ")[1].split(". ")[0])
        assert score == pytest.approx(float(material.scores[place, column]), abs=2e-3)


def test_of_parts_the_middles_of_attention_are_joined() -> None:
    query, candidate = np.zeros((4, 2)), np.zeros((4, 2))
    query[1, 0], query[1, 1], candidate[3, 1] = 0.75, 0.25, 1.0
    parts = (
        MatchedPart(name="part 1", weight=0.4, query=query, candidate=candidate),
        MatchedPart(name="part 2", weight=-0.1, query=candidate, candidate=query),
    )
    together = np.ones((2, 2))  # not drawn
    found = Explanation(score=0.3, query=np.ones((2, 1)), candidate=np.ones((2, 1)), together=together, parts=parts)
    svg = _svg(found, [Picture(problem="not shown"), Picture(problem="not shown")], "alt")
    assert svg.count("<line") == 1
    assert '<line x1="48.0" y1="96.0" x2="312.0" y2="224.0" stroke="#e0402f" stroke-width="3.5"' in svg


def test_weights_are_drawn_where_they_belong() -> None:
    query, candidate = np.zeros((2, 2)), np.zeros((2, 2))
    query[0, 1], candidate[1, 0] = 1.0, -0.5
    together = np.zeros((4, 4))
    together[1, 2] = 0.3
    found = Explanation(score=1.0, query=query, candidate=candidate, together=together)
    svg = _svg(found, [Picture(problem="not shown"), Picture(url="data:,x")], 'an "alt"')
    assert 'x="64.0" y="0.0" width="64.0" height="128.0" fill="#e0402f" fill-opacity="0.65"' in svg
    assert 'x="216.0" y="128.0" width="64.0" height="128.0" fill="#3b78e0" fill-opacity="0.33"' in svg
    assert '<line x1="96.0" y1="64.0" x2="248.0" y2="192.0"' in svg
    assert svg.count("<image") == 1
    assert "&#34;alt&#34;" in svg


def test_parts_are_told_and_maps_are_drawn_where_pictures_may_be_shown(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    generic = AGW.explain
    parts = (MatchedPart(name="full body", weight=0.25), MatchedPart(name="upper body", weight=-0.125))
    drawn = {"phase congruency": (np.eye(4), np.zeros((4, 4)))}

    def explain(method: AGW, query: Shown, candidate: Shown) -> Explanation:
        found = generic(method, query, candidate)
        return replace(found, parts=parts, maps=drawn)

    monkeypatch.setattr(AGW, "explain", explain)
    first, second, *_ = explanations(material).drawings
    assert "+0.250 come from full body, -0.125 come from upper body" in first.caption
    assert second.caption.startswith("Phase congruency of the same two pictures, query and answer (")
    assert str(second.svg).count("data:image/png") == 2
    hidden = explanations(replace(material, album=Album(shown=False))).drawings
    assert len(hidden) == len(explained_queries(material))
    assert "data:image" not in str(hidden)


def test_a_map_is_kept_in_grey() -> None:
    picture = Album(shown=True).of_map(np.array([[0.0, 0.5], [1.0, 2.0]]))
    assert (picture.width, picture.height) == (2, 2)
    with Image.open(io.BytesIO(base64.b64decode(picture.url.partition(",")[2]))) as image:
        assert np.asarray(image).tolist() == [[0, 128], [255, 255]]
    assert Album(shown=False).of_map(np.zeros((2, 2))) == Picture(problem="not shown")


def test_what_a_method_adds_is_told_as_tables_and_extremes() -> None:
    details = {"attention in the query": np.array([[0.25, 0.75], [-1.0, 0.5]]), "scale": np.array([0.5, 1.0, 3.0])}
    table, facts = details_of(details)
    assert isinstance(table, Table)
    assert isinstance(facts, Facts)
    assert (table.caption, list(table.columns)) == ("Attention in the query", ["", "1", "2"])
    assert table.rows[0] == ["1", Bar(0.25, "0.25"), Bar(0.75, "0.75")]
    assert table.rows[1] == ["2", Bar(1.0, "-1.00"), Bar(0.5, "0.50")]
    assert facts.values == {"scale": "0.500 to 3.000, mean 1.500"}
    assert details_of({}) == []
