"""`vireid compare` on runs that were evaluated before."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vireid.cli import main
from vireid.evaluation.records import QueryRecords

Records = Callable[..., QueryRecords]
Run = Callable[..., tuple[int, str, str]]
PEOPLE = np.random.default_rng(0).uniform(10, 80, 30)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(tmp_path)

    def command(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["vireid", "compare", *words])
        with pytest.raises(SystemExit) as left:
            main()
        output = capsys.readouterr()
        return int(left.value.code or 0), output.out, output.err

    return command


@pytest.fixture
def evaluated(records_of: Records, tmp_path: Path) -> Callable[..., Path]:
    """An evaluated run folder below runs/."""

    def make(name: str, *, seed: int, gain: float = 0.0, **changes: Any) -> Path:
        rng = np.random.default_rng(seed + sum(map(ord, name)))
        scores = PEOPLE + gain + rng.normal(0, 1) + rng.normal(0, 2, len(PEOPLE))
        folder = tmp_path / "runs" / name
        records_of(scores, seed=seed, **changes).save(folder / "evaluations")
        return folder

    return make


@pytest.fixture
def six(evaluated: Callable[..., Path]) -> list[str]:
    for seed in range(3):
        evaluated(f"agw-{seed}", seed=seed, configuration="agw")
        evaluated(f"caj-{seed}", seed=seed, configuration="caj", gain=12.0)
    return [f"runs/{name}-{seed}" for name in ("agw", "caj") for seed in range(3)]


def test_runs_of_one_recipe_become_one_configuration(six: list[str], run: Run) -> None:
    code, out, err = run(*six, "--json", "--resamples", "2000")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert [(one["name"], one["runs"], one["seeds"]) for one in found["groups"]] == [
        ("agw", 3, [0, 1, 2]),
        ("caj", 3, [0, 1, 2]),
    ]
    told = {one["metric"]: one for one in found["differences"]}
    assert set(told) == {"rank1", "mAP"}
    assert told["mAP"]["verdict"] == "real"
    assert told["mAP"]["interval"][0] < 12 < told["mAP"]["interval"][1]


def test_tables_name_everything(six: list[str], run: Run) -> None:
    code, out, err = run(*six, "--metric", "mAP")
    assert (code, err) == (0, "")
    assert "people, all, 30 test identities" in out
    assert all(word in out for word in ("std runs", "std trials", "minus agw", "p (Holm)", "smallest", "real"))
    code, out, _ = run(*six, "--metric", "mAP", "--markdown")
    lines = out.splitlines()
    assert lines[0] == "| configuration | metric | runs | mean | 95 % interval | std runs | std trials |"
    assert lines[2].startswith("| agw | mAP | 3 | ")
    assert lines[5] == "| minus agw | metric | points | 95 % interval | p (Holm) | smallest | verdict |"
    assert lines[7].startswith("| caj | mAP | +1")


def test_groups_may_be_named(six: list[str], run: Run) -> None:
    words = ["plain=" + ",".join(six[:3]), "exchanged=runs/caj-*", "--metric", "mAP", "--json"]
    _, out, _ = run(*words)
    assert [one["name"] for one in json.loads(out)["groups"]] == ["plain", "exchanged"]
    code, _, err = run("a=runs/nothing-*", six[0])
    assert (code, err) == (2, "vireid: 'runs/nothing-*' names no path; write NAME=RUN,RUN\n")


def test_one_configuration_alone_gets_its_interval(six: list[str], run: Run) -> None:
    code, out, _ = run(*six[:3], "--json")
    assert code == 0
    assert json.loads(out)["differences"] == []
    assert json.loads(out)["groups"][0]["metrics"]["mAP"]["std_runs"] > 0


def test_files_and_other_protocols(evaluated: Callable[..., Path], run: Run) -> None:
    folder = evaluated("agw-0", seed=0)
    evaluated("agw-0", seed=0, protocol="indoor")
    other = evaluated("caj-0", seed=0, configuration="caj", protocol="indoor")
    code, _, err = run("runs/agw-0", "runs/caj-0")
    assert (code, err) == (
        2,
        "vireid: runs/agw-0 was evaluated under all, indoor; add --protocol to say which is meant\n",
    )
    code, _, err = run("runs/agw-0", "runs/caj-0", "--protocol", "indoor")
    assert (code, err) == (
        0,
        "note: one run says nothing of other seeds: what is real here is so for these very runs\n",
    )
    code, _, err = run("runs/agw-0", "runs/caj-0", "--protocol", "all")
    assert "runs/caj-0 was evaluated under indoor; run: vireid evaluate runs/caj-0 --protocol all" in err
    [file] = (other / "evaluations").iterdir()
    [plain] = [path for path in (folder / "evaluations").iterdir() if path.name.startswith("all")]
    code, _, err = run(str(plain), str(file))
    assert code == 2
    assert "protocol is 'all' for agw-0 (seed 0) and 'indoor' for caj-0 (seed 0)" in err


def test_what_was_not_evaluated_is_told_with_the_command(six: list[str], run: Run, tmp_path: Path) -> None:
    (tmp_path / "runs/new").mkdir()
    assert run(six[0], "runs/new")[::2] == (
        2,
        "vireid: runs/new was not evaluated yet; run: vireid evaluate runs/new\n",
    )
    _, _, err = run(*six[:2], "--rerank")
    assert "was not evaluated yet with re-ranking; run: vireid evaluate runs/agw-0 --rerank" in err
    assert "there is no run, bundle or evaluation file runs/gone" in run("runs/gone")[2]


def test_configurations_of_one_name_are_asked_for_names(evaluated: Callable[..., Path], run: Run) -> None:
    evaluated("a/run", seed=0, configuration="a")
    evaluated("b/run", seed=0, configuration="b")
    code, _, err = run("runs/a/run", "runs/b/run")
    assert code == 2
    assert "two configurations would be called 'run'; name them: NAME=RUN,RUN" in err
    assert run("a=runs/a/run", "b=runs/b/run")[0] == 0


def test_several_modes_and_data_sets_of_one_run(evaluated: Callable[..., Path], run: Run) -> None:
    evaluated("agw-0", seed=0, mode="cascade:20")
    evaluated("agw-0", seed=0)
    assert json.loads(run("runs/agw-0", "--json")[1])["groups"][0]["ranking"] == ["full"]
    evaluated("bit-0", seed=0, mode="cascade:20")
    evaluated("bit-0", seed=0, mode="cascade:50")
    assert "evaluated in several modes; name the file: " in run("runs/bit-0")[2]
    evaluated("agw-0", seed=0, data="other")
    assert "evaluated under all on several data sets; name the file: " in run("runs/agw-0")[2]


def test_evaluation_leaves_the_file_that_is_compared(
    tiny_demo: Path, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from vireid.evaluation.records import stored_in

    monkeypatch.setattr(sys, "argv", ["vireid", "evaluate", str(tiny_demo), "--device", "cpu", "--json"])
    with pytest.raises(SystemExit) as left:
        main()
    assert not left.value.code
    [records] = stored_in(tiny_demo)
    assert records.origin.configuration is not None
    valid = records.valid & (records.trial == 0)
    assert len(records.ap) == sum(records.result["queries"])
    assert records.ap[valid].size == records.result["valid_queries"][0]
    capsys.readouterr()
    found = json.loads(run(str(tiny_demo), "--metric", "mAP", "--json")[1])
    [group] = found["groups"]
    assert group["metrics"]["mAP"]["mean"] == pytest.approx(records.result["mAP"])
    assert group["metrics"]["mAP"]["std_trials"] == pytest.approx(records.result["std"]["mAP"])
