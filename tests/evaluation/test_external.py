"""Files of other programs: every format and name gives one result, and what is wrong with them is told."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy.io import savemat
from typer.testing import CliRunner

from vireid.cli.app import app
from vireid.errors import DataError, UsageError
from vireid.evaluation import OpenSet, eval_llcm, eval_regdb, eval_sysu, evaluate_files
from vireid.evaluation import external as external_module
from vireid.files import write_json
from vireid.matching import k_reciprocal

METRICS = ("rank1", "rank5", "rank10", "rank20", "mAP", "mINP")


@pytest.fixture
def features():
    rng = np.random.default_rng(0)
    query_ids, gallery_ids = rng.integers(9, size=80), np.arange(50) % 10
    centres = rng.standard_normal((10, 8))
    return {
        "query_features": centres[query_ids] + 1.2 * rng.standard_normal((80, 8)),
        "gallery_features": centres[gallery_ids] + 1.2 * rng.standard_normal((50, 8)),
        "query_ids": query_ids,
        "gallery_ids": gallery_ids,
        "query_cameras": rng.choice([3, 6], 80),
        "gallery_cameras": rng.choice([1, 2, 4, 5], 50),
    }


@pytest.fixture
def cosine(features):
    query, gallery = (
        features[key] / np.linalg.norm(features[key], axis=1, keepdims=True)
        for key in ("query_features", "gallery_features")
    )
    return query @ gallery.T


def labels(features):
    return {key: value for key, value in features.items() if not key.endswith("features")}


def table(features, *, numbers):
    parts = []
    for side in ("query", "gallery"):
        part = pd.DataFrame({key: features[f"{side}_{of}"] for key, of in (("identity", "ids"), ("camera", "cameras"))})
        part.insert(0, "side", side)
        columns = pd.DataFrame(features[f"{side}_features"]).add_prefix("f")
        parts.append(pd.concat([part, columns], axis=1) if numbers else part)
    return pd.concat(parts)


def figures(result):
    values = result.to_json()
    return [values[name] for name in METRICS]


def expected(function, distances, features):
    given = [features[key] for key in ("query_ids", "gallery_ids", "query_cameras", "gallery_cameras")]
    cmc, mean_precision, mean_penalty = function(distances, *(given[:2] if function is eval_regdb else given))
    return [100 * value for value in (*cmc[[0, 4, 9, 19]], mean_precision, mean_penalty)]


@pytest.mark.parametrize(("rule", "function"), [("sysu", eval_sysu), ("regdb", eval_regdb), ("llcm", eval_llcm)])
@pytest.mark.parametrize("block", [500, 1 << 24])
def test_the_rules_are_those_of_the_field(monkeypatch, tmp_path, features, cosine, rule, function, block):
    monkeypatch.setattr(external_module, "_BLOCK", block)
    features["query_cameras"] = features["query_cameras"] - (rule == "llcm")  # 2 and 5, which the gallery has too
    np.savez(tmp_path / "f.npz", **features)
    np.savez(tmp_path / "s.npz", scores=cosine, **labels(features))
    np.savez(tmp_path / "d.npz", distances=-cosine, **labels(features))
    wanted = expected(function, -cosine, features)
    for given, name in (("embeddings", "f.npz"), ("scores", "s.npz"), ("distances", "d.npz")):
        np.testing.assert_allclose(figures(evaluate_files([tmp_path / name], given=given, rule=rule)), wanted)


def test_every_format_and_name_gives_one_result(tmp_path, features, cosine):
    wanted = expected(eval_sysu, -cosine, features)
    short = {"features": "f", "ids": "label", "cameras": "cam"}
    dump = {f"{side}_{short[of]}": features[f"{side}_{of}"] for side in ("query", "gallery") for of in short}
    savemat(tmp_path / "dump.mat", dump)
    script = {"distmat": -cosine, "q_pids": features["query_ids"], "g_pids": features["gallery_ids"]}
    script |= {"q_camids": features["query_cameras"], "g_camids": features["gallery_cameras"]}
    np.savez_compressed(tmp_path / "script.npz", **script, epoch=7)
    savemat(tmp_path / "script.mat", script)
    table(features, numbers=True).to_csv(tmp_path / "features.csv", index=False)
    table(features, numbers=False).to_csv(tmp_path / "labels.csv", index=False)
    np.save(tmp_path / "scores.npy", cosine.astype(np.float32))
    np.savetxt(tmp_path / "scores.csv", cosine, delimiter=",")
    for name, given, labelled in (
        ("dump.mat", "embeddings", False),
        ("script.npz", "distances", False),
        ("script.mat", "distances", False),
        ("features.csv", "embeddings", False),
        ("scores.npy", "scores", True),
        ("scores.csv", "scores", True),
    ):
        beside = tmp_path / "labels.csv" if labelled else None
        result = evaluate_files([tmp_path / name], given=given, rule="sysu", labels=beside)
        np.testing.assert_allclose(figures(result), wanted, atol=1e-4, err_msg=name)


def test_people_may_have_names(tmp_path, features, cosine):
    wanted = evaluate_files([_saved(tmp_path, scores=cosine, **labels(features))], given="scores", rule="llcm")
    names = np.array([f"person {number}" for number in range(10)])
    features |= {"query_ids": names[features["query_ids"]], "gallery_ids": names[features["gallery_ids"]]}
    found = evaluate_files([_saved(tmp_path, scores=cosine, **labels(features))], given="scores", rule="llcm")
    assert figures(found) == figures(wanted)
    table(features, numbers=True).to_csv(tmp_path / "f.csv", index=False)
    found = evaluate_files([tmp_path / "f.csv"], given="embeddings", rule="llcm")
    np.testing.assert_allclose(figures(found), figures(wanted))


def test_euclidean_distances_are_those_of_vectors_of_any_length(tmp_path, features):
    path = _saved(tmp_path, **features)
    apart = np.linalg.norm(features["query_features"][:, None] - features["gallery_features"], axis=-1)
    found = evaluate_files([path], given="embeddings", rule="sysu", metric="euclidean")
    np.testing.assert_allclose(figures(found), expected(eval_sysu, apart, features))
    assert figures(found) != figures(evaluate_files([path], given="embeddings", rule="sysu"))


def test_embeddings_can_be_re_ranked(tmp_path, features, cosine):
    unit = {
        side: features[f"{side}_features"] / np.linalg.norm(features[f"{side}_features"], axis=1, keepdims=True)
        for side in ("query", "gallery")
    }
    scores = k_reciprocal(cosine, unit["query"] @ unit["query"].T, unit["gallery"] @ unit["gallery"].T)
    found = evaluate_files([_saved(tmp_path, **features)], given="embeddings", rule="sysu", rerank=True)
    np.testing.assert_allclose(figures(found), expected(eval_sysu, -scores, features))
    assert found.to_json()["rerank"]["name"] == "k-reciprocal"


def test_a_file_is_a_trial_and_the_result_claims_no_protocol(tmp_path, features, cosine):
    rng = np.random.default_rng(1)
    matrices = [cosine, cosine + 0.3 * rng.standard_normal(cosine.shape)]
    paths = [_saved(tmp_path, name=f"{n}.npz", scores=one, **labels(features)) for n, one in enumerate(matrices)]
    result = evaluate_files(paths, given="scores", rule="sysu")
    values = result.to_json()
    wanted = np.array([expected(eval_sysu, -one, features) for one in matrices])
    np.testing.assert_allclose(figures(result), wanted.mean(axis=0))
    np.testing.assert_allclose([values["std"][name] for name in METRICS], wanted.std(axis=0, ddof=1))
    assert values["protocol"] == values["fingerprint"]["dataset"] == "external"
    assert (values["fingerprint"]["rule"], values["fingerprint"]["cmc"]) == ("sysu-location", "identity")
    assert len(set(values["fingerprint"]["files"])) == 2
    again = evaluate_files(paths[::-1], given="scores", rule="sysu").to_json()
    assert again["fingerprint"]["data"] != values["fingerprint"]["data"]
    write_json(tmp_path / "out.json", values)
    with pytest.raises(UsageError, match=r"1\.npz holds what .*0\.npz does"):
        paths[1].write_bytes(paths[0].read_bytes())
        evaluate_files(paths, given="scores", rule="sysu")


def test_open_set_figures_of_files(tmp_path, features, cosine):
    path = _saved(tmp_path, scores=cosine, **labels(features))
    values = evaluate_files([path], given="scores", rule="sysu", open_set=OpenSet(share=0.5)).to_json()["open_set"]
    assert values["enrolled_identities"] == [5]
    assert values["mated_searches"][0] + values["non_mated_searches"][0] + values["left_out_searches"][0] == 80
    with pytest.raises(DataError, match="need non-mated searches"):
        evaluate_files([path], given="scores", rule="sysu", open_set=OpenSet(share=0))
    features["query_ids"][:20] = 99  # strangers need nobody to be held out
    path = _saved(tmp_path, scores=cosine, **labels(features))
    values = evaluate_files([path], given="scores", rule="sysu", open_set=OpenSet(share=0)).to_json()["open_set"]
    assert (values["enrolled_identities"], values["non_mated_searches"]) == ([10], [20])


def _saved(folder, *, name="given.npz", **arrays):
    np.savez(folder / name, **arrays)
    return folder / name


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"scores": None}, DataError, r"lacks scores \(read under.*it holds: query_ids \(80,\)"),
        ({"scores": None, "score": 1}, DataError, "is it 'score'\\? Rename that to 'scores'"),
        ({"scores": None, "distmat": 1}, DataError, "if 'distmat' is meant, ask with --distances"),
        ({"sim": 1}, DataError, "holds scores twice, as 'scores' and 'sim'"),
        ({"query_ids": None, "query_id": 1}, DataError, "lacks query_ids .* is it 'query_id'"),
        ({"query_cameras": None}, DataError, "lacks query_cameras"),
        ({"query_cameras": np.zeros(80)}, DataError, "are 0 to 0; SYSU-MM01's are 1 to 6.*counted from 0"),
        ({"query_cameras": np.full(80, 3.5)}, DataError, "query_cameras is float64 and not whole numbers"),
        ({"query_cameras": np.full(80, "c3")}, DataError, "query_cameras holds 'c3'; cameras are whole"),
        ({"query_cameras": np.full(79, 3)}, DataError, "query_cameras has 79 rows for 80 query_ids"),
        ({"query_ids": np.full(80, np.nan)}, DataError, "query_ids is float64 and not whole"),
        ({"query_ids": np.full(80, "a")}, DataError, "of one side are numbers, of the other text"),
        ({"query_ids": np.full((40, 2), 1)}, DataError, r"query_ids has shape \(40, 2\)"),
        ({"query_ids": np.full(80, 77)}, DataError, "no query has a correct picture"),
        ({"scores": np.zeros((50, 80))}, DataError, r"shape \(50, 80\), expected \(80, 50\).*transposed"),
        ({"scores": np.zeros((80, 50), complex)}, UsageError, "complex128"),
        ({"scores": np.full((80, 50), np.nan)}, UsageError, "not a number"),
        ({"scores": np.full((80, 50), None)}, DataError, "cannot be read: Object arrays"),
    ],
)
def test_what_is_wrong_with_a_matrix_is_told(tmp_path, features, cosine, change, error, message):
    arrays = {"scores": cosine, **labels(features), **change}
    path = _saved(tmp_path, **{key: value for key, value in arrays.items() if value is not None})
    with pytest.raises(error, match=message):
        evaluate_files([path], given="scores", rule="sysu")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gallery_features": None, "gallery_feature": 1}, "is it 'gallery_feature'"),
        ({"gallery_features": np.ones((50, 9))}, "of queries have 8 numbers, of gallery 9"),
        ({"gallery_features": np.ones((8, 50))}, "gallery_features has 8 rows for 50 gallery_ids"),
        ({"gallery_features": np.zeros((50, 8))}, "row 1 of gallery_features is zero"),
        ({"gallery_features": np.ones(50)}, "give numbers, a row a picture"),
    ],
)
def test_what_is_wrong_with_embeddings_is_told(tmp_path, features, change, message):
    path = _saved(tmp_path, **{key: value for key, value in {**features, **change}.items() if value is not None})
    with pytest.raises(DataError, match=message):
        evaluate_files([path], given="embeddings", rule="sysu")


def test_what_is_wrong_with_a_table_is_told(tmp_path, features, cosine):
    good = table(features, numbers=True).reset_index(drop=True)
    for column, value, message in (
        ("side", "probe", "row 1: side is 'probe'"),
        ("identity", "", "row 1: no identity"),
        ("f0", "x", "column f0 holds something that is no number"),
    ):
        wrong = good.astype({column: object})
        wrong.loc[0, column] = value
        wrong.to_csv(tmp_path / "f.csv", index=False)
        with pytest.raises(DataError, match=message):
            evaluate_files([tmp_path / "f.csv"], given="embeddings", rule="sysu")
    good.drop(columns="side").to_csv(tmp_path / "f.csv", index=False)
    with pytest.raises(DataError, match=r"lacks the column side .*it has: identity, camera, f0"):
        evaluate_files([tmp_path / "f.csv"], given="embeddings", rule="sysu")
    table(features, numbers=False).to_csv(tmp_path / "labels.csv", index=False)
    with pytest.raises(DataError, match=r"labels\.csv gives gallery_ids, and .* holds them as 'gallery_ids'"):
        evaluate_files(
            [_saved(tmp_path, scores=cosine, **labels(features))],
            given="scores",
            rule="sysu",
            labels=tmp_path / "labels.csv",
        )


def test_files_that_cannot_be_read(tmp_path):
    for name in ("a.npz", "a.mat", "a.npy", "a.csv"):
        (tmp_path / name).write_bytes(b"no such thing" * 20)
        with pytest.raises(DataError, match=r"a\..* cannot be read"):
            evaluate_files([tmp_path / name], given="scores", rule="regdb")
    (tmp_path / "new.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(400))
    with pytest.raises(DataError, match=r"format 7\.3, which is not read; save it with the option -v7"):
        evaluate_files([tmp_path / "new.mat"], given="scores", rule="regdb")
    with pytest.raises(UsageError, match=r"b\.npz does not exist"):
        evaluate_files([tmp_path / "b.npz"], given="scores", rule="regdb")
    with pytest.raises(UsageError, match=r"endings \.npz, \.mat, \.npy, \.csv, not \.xlsx"):
        evaluate_files([tmp_path / "b.xlsx"], given="scores", rule="regdb")
    np.save(tmp_path / "a.npy", np.zeros((2, 3)))
    with pytest.raises(UsageError, match="is a single matrix"):
        evaluate_files([tmp_path / "a.npy"], given="embeddings", rule="regdb")


def test_options_that_do_not_go_together(tmp_path, features, cosine):
    path = _saved(tmp_path, scores=cosine, **labels(features))
    for change, message in (
        ({"rule": "sysuu"}, "did you mean 'sysu'"),
        ({"given": "score"}, "did you mean 'scores'"),
        ({"metric": "cosin"}, "did you mean 'cosine'"),
        ({"rerank": True}, "re-ranking needs the cosines among queries"),
        ({"given": "embeddings", "rerank": True, "open_set": OpenSet()}, "re-ranked scores are not made for that"),
    ):
        with pytest.raises(UsageError, match=message):
            evaluate_files([path], **{"given": "scores", "rule": "sysu", **change})
    with pytest.raises(UsageError, match="at least one file"):
        evaluate_files([], given="scores", rule="sysu")


def test_the_command_prints_tables_and_json(tmp_path, features, cosine, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    path = _saved(tmp_path, scores=cosine, **labels(features))
    words = ["evaluate", "--scores", str(path), "--rule", "sysu", "--open-set", "0.5"]
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 0, shown.output
    for text in ("external scores, rule of sysu, full, 1 trials", "mINP", "50 % of the people held out", "TPR, %"):
        assert text in shown.stdout
    done = CliRunner().invoke(app, [*words, "--json", "--out", str(tmp_path / "out.json")])
    values = json.loads(done.stdout)
    assert values == json.loads((tmp_path / "out.json").read_text())
    assert values == evaluate_files([path], given="scores", rule="sysu", open_set=OpenSet()).to_json()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "not none"),
        (["runs/demo", "--scores", "a.npz"], "not runs/demo and --scores"),
        (["--scores", "a.npz", "--distances", "a.npz"], "not --scores and --distances"),
        (["--scores", "a.npz"], "--rule sysu, --rule regdb or --rule llcm"),
        (["--scores", "a.npz", "--rule", "sysu", "--protocol", "val"], "--protocol goes with a model"),
        (["runs/demo", "--rule", "sysu", "--metric", "cosine"], "--rule, --metric goes with files of other programs"),
        (["--scores", "a.npz", "--rule", "sysu", "--open-set", "2"], "share is 2.0"),
    ],
)
def test_words_of_the_command_that_do_not_go_together(words, message):
    done = CliRunner().invoke(app, ["evaluate", *words])
    assert isinstance(done.exception, UsageError)
    assert message in str(done.exception)


def test_files_are_evaluated_without_torch(tmp_path, features):
    path = _saved(tmp_path, **features)
    program = (
        "import sys; sys.modules['torch'] = None; from vireid.cli import main;"
        f"sys.argv = ['vireid', 'evaluate', '--embeddings', {str(path)!r}, '--rule', 'sysu', '--json']; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["protocol"] == "external"
