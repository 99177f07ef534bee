"""Conducting a study: registration, runs that fail, stop or are stopped, and what is written."""

import fcntl
import json
import os
import re
import subprocess
import sys
import threading
import time
import xml.dom.minidom
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from vireid.cli import main
from vireid.errors import UsageError
from vireid.evaluation.records import QueryRecords
from vireid.study.conduct import conduct, outline
from vireid.study.execution import workers_for

PROGRAM = (sys.executable, str(Path(__file__).with_name("fake_vireid.py")))
Fake = Any  # tests/study/conftest.py: FakeStudy


def test_a_study_runs_compares_and_writes(fake: Fake) -> None:
    said: list[str] = []
    found = fake.conduct(say=said.append)
    assert sorted(fake.calls()) == ["agw@base-0 new", "agw@base-1 new", "caj@base-0 new", "caj@base-1 new"]
    [gain] = found.contrasts
    assert gain.verdict == "confirmed"
    assert gain.difference.estimate.value == pytest.approx(10, abs=1)
    values = json.loads((fake.out / "study.json").read_text())
    assert values["question"] == "Does the channel exchange help?"
    assert values["contrasts"][0]["verdict"] == "confirmed"
    assert values["contrasts"][0]["interval"][0] < 10 < values["contrasts"][0]["interval"][1]
    assert [row["runs"] for row in values["rows"]] == [2, 2]
    assert {run["state"] for run in values["runs"]} == {"done"}
    assert values["runs"][0]["command"].startswith("vireid train agw-demo ")
    assert values["runs"][0]["code"]["vireid"]
    page = (fake.out / "study.md").read_text()
    for text in (
        "| gain | caj | agw | base | all-single-agw | mAP | greater |",
        "| confirmed |",
        "2 of 2",
        "study.svg",
    ):
        assert text in page
    assert values["registration"]["file_sha256"] in page
    assert "gain (mAP)" in (fake.out / "study.svg").read_text()
    xml.dom.minidom.parse(str(fake.out / "study.svg"))
    assert said[0] == "4 runs, 4 of them to do, 2 at a time"
    assert sorted(said)[1].startswith("agw@base-0: done (mAP ")


def test_what_is_done_is_not_done_again(fake: Fake) -> None:
    fake.conduct()
    before = fake.calls()
    said: list[str] = []
    again = fake.conduct(say=said.append)
    assert fake.calls() == before
    assert said == ["4 runs, 0 of them to do, 2 at a time"]
    assert again.contrasts[0].verdict == "confirmed"


def test_a_failing_run_is_listed_while_others_go_on(fake: Fake) -> None:
    (fake.fake / "fail-agw@base-1").touch()
    found = fake.conduct()
    entries = {entry["run"]: entry for entry in found.journal}
    assert {name for name, entry in entries.items() if entry["state"] == "done"} == {
        "agw@base-0",
        "caj@base-0",
        "caj@base-1",
    }
    assert entries["agw@base-1"]["state"] == "failed"
    assert entries["agw@base-1"]["error"].startswith("loss 'id' is nan at step 7\nlower the learning rate (exit code 1")
    [gain] = found.contrasts
    assert (gain.verdict, gain.missing) == ("incomplete", ("agw@base-1",))
    page = (fake.out / "study.md").read_text()
    assert "gain lacks agw@base-1" in page
    assert "loss 'id' is nan at step 7 lower the learning rate" in page
    assert "1 of 2" in page
    (fake.fake / "fail-agw@base-1").unlink()
    assert fake.conduct().contrasts[0].verdict == "confirmed"
    assert fake.calls()[-1] == "agw@base-1 resumed"
    assert json.loads((fake.out / "runs.json").read_text())["agw@base-1"]["attempts"] == 2


def test_an_evaluation_that_fails_is_repeated_without_training(fake: Fake) -> None:
    kept = fake.fake / "kept"
    (fake.fake / "caj@base-0.npz").rename(kept)
    entries = {entry["run"]: entry for entry in fake.conduct().journal}
    assert entries["caj@base-0"]["state"] == "failed"
    assert "caj@base-0.npz" in entries["caj@base-0"]["error"]
    kept.rename(fake.fake / "caj@base-0.npz")
    fake.conduct()
    assert fake.calls().count("caj@base-0 new") == 1
    assert len(fake.calls()) == 4


def test_ctrl_c_stops_the_commands_and_the_same_call_goes_on(fake: Fake) -> None:
    (fake.fake / "stop-agw@base-0").touch()
    with pytest.raises(KeyboardInterrupt):
        fake.conduct(workers=1)
    assert fake.calls() == ["agw@base-0 new"]
    assert json.loads((fake.out / "runs.json").read_text())["agw@base-0"]["state"] == "stopped"
    assert json.loads((fake.out / "study.json").read_text())["contrasts"][0]["verdict"] == "incomplete"
    assert fake.conduct().contrasts[0].verdict == "confirmed"
    assert "agw@base-0 resumed" in fake.calls()


def test_a_process_that_outlived_its_study_is_waited_for(fake: Fake) -> None:
    said: list[str] = []
    fake.conduct()
    for run in ("agw@base-0", "agw@base-1"):
        for file in (fake.out / "runs" / run / "evaluations").iterdir():
            file.unlink()
    lock = (fake.out / "logs" / "agw@base-0.lock").open("a")
    fcntl.flock(lock, fcntl.LOCK_EX)
    held = threading.Timer(1.0, lock.close)
    held.start()
    began = time.monotonic()
    fake.conduct(say=said.append)
    assert time.monotonic() - began >= 0.9
    assert "agw@base-0: a process of an earlier call is still at work on it; waiting for it" in said
    assert said.index(next(text for text in said if text.startswith("agw@base-1: done"))) < len(said) - 1


def test_commands_inherit_the_lock(fake: Fake) -> None:
    """What makes the waiting above true: while a command runs, its lock is held by it too."""
    waiting = fake.fake / "wait-agw@base-0"
    waiting.touch()
    found: list[bool] = []

    def look() -> None:
        deadline = time.monotonic() + 20
        while not (fake.out / "runs/agw@base-0/recipe.yaml").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        held = subprocess.run(["sh", "-c", "ls -l /proc/*/fd 2>/dev/null"], capture_output=True, text=True, check=False)
        found.append(held.stdout.count("agw@base-0.lock") >= 2)
        waiting.unlink()

    looking = threading.Thread(target=look)
    looking.start()
    fake.conduct(workers=1)
    looking.join()
    assert found == [True]


def test_a_changed_file_is_refused(fake: Fake) -> None:
    fake.conduct()
    fake.change(seeds=[0, 1, 2])
    with pytest.raises(UsageError, match=r"was changed since it was registered on .* \(changed: seeds\)"):
        fake.conduct()
    registered = json.loads((fake.out / "registration.json").read_text())
    assert registered["study"] == "exchange"
    assert "seeds:\n- 0\n- 1\n" in (fake.out / "study.yaml").read_text()
    fake.change(name="other")
    with pytest.raises(UsageError, match="holds the study 'exchange'; choose another --out"):
        fake.conduct()


def test_a_changed_recipe_file_is_refused(fake: Fake) -> None:
    from vireid.training.recipe import recipe_text

    recipe = fake.file.with_name("mine.yaml")
    recipe.write_text(recipe_text("agw-demo"))
    fake.change(rows={"agw": {"recipe": "mine.yaml"}, "caj": {"recipe": "agw-demo"}})
    fake.conduct()
    assert f"agw@base-0 new {recipe} " in (fake.fake / "calls.txt").read_text()
    recipe.write_text(re.sub(r" rate: \S+", " rate: 0.007", recipe.read_text()))
    with pytest.raises(UsageError, match="the recipes of agw were changed since it was registered"):
        fake.conduct()


def test_a_folder_of_something_else_is_refused(fake: Fake) -> None:
    fake.out.mkdir()
    (fake.out / "thesis.tex").touch()
    with pytest.raises(UsageError, match="is not empty and holds no study"):
        fake.conduct()
    assert fake.calls() == []


def test_two_calls_at_once_are_refused(fake: Fake) -> None:
    fake.out.mkdir()
    with FileLock(fake.out / ".lock"), pytest.raises(UsageError, match="another process conducts the study"):
        fake.conduct()


def test_a_wrong_protocol_is_found_before_anything_is_trained(fake: Fake) -> None:
    fake.change(protocols=["all-single-awg"], contrasts={})
    with pytest.raises(UsageError, match="did you mean 'all-single-agw'"):
        fake.conduct()
    assert fake.calls() == []
    fake.change(protocols=["all-single-agw"])
    fake.conduct()  # nothing had been registered yet, so the file may be mended


def test_rows_that_nobody_registered_are_exploratory(fake: Fake) -> None:
    rows = {"agw": {"recipe": "agw-demo"}, "caj": {"recipe": "agw-demo"}, "third": {"recipe": "agw-demo"}}
    fake.change(rows=rows)
    found = fake.conduct()
    [(data, _, difference)] = found.exploratory
    assert (data, difference.a, difference.b) == ("base", "third", "agw")
    page = (fake.out / "study.md").read_text()
    assert "## Exploratory differences" in page
    assert "| third - agw | base |" in page
    assert "third - agw on base (mAP)" in (fake.out / "study.svg").read_text()


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"direction": "less"}, "contradicted"),
        ({"direction": "none", "margin": 20.0}, "confirmed"),
        ({"direction": "none", "margin": 1.0}, "contradicted"),
        ({"direction": "none", "margin": 10.0}, "not resolved"),
        ({"row": "agw", "baseline": "caj", "direction": "less"}, "confirmed"),
    ],
)
def test_verdicts(changes: dict[str, Any], verdict: str, fake: Fake, study_values: dict[str, Any]) -> None:
    fake.change(contrasts={"one": {**study_values["contrasts"]["gain"], **changes}})
    assert fake.conduct(workers=4).contrasts[0].verdict == verdict


def test_one_seed_speaks_of_these_runs_alone(fake: Fake) -> None:
    fake.change(seeds=[0])
    assert fake.conduct().contrasts[0].verdict == "confirmed for these runs"


def test_the_outline_writes_nothing(fake: Fake) -> None:
    planned = outline(fake.file, fake.out)
    assert [(run.name, run.state) for run in planned][:2] == [("agw@base-0", "waiting"), ("caj@base-0", "waiting")]
    assert not fake.out.exists()
    (fake.fake / "fail-caj@base-0").touch()
    fake.conduct()
    assert {run.name: run.state for run in outline(fake.file, fake.out)} == {
        "agw@base-0": "done",
        "agw@base-1": "done",
        "caj@base-0": "failed",
        "caj@base-1": "done",
    }


def test_workers_share_cores_and_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert [worker.environment for worker in workers_for(3)] == [{"OMP_NUM_THREADS": "2"}] * 3
    two = workers_for(4, ["cuda:0", "cuda:1"])
    assert [worker.device for worker in two] == ["cuda"] * 4
    assert [worker.environment["CUDA_VISIBLE_DEVICES"] for worker in two] == ["0", "1", "0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert [worker.environment["CUDA_VISIBLE_DEVICES"] for worker in workers_for(None, ["cuda:1", "cuda:0"])] == [
        "7",
        "5",
    ]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert workers_for(None, ["cpu"])[0].environment == {"OMP_NUM_THREADS": "1"}
    with pytest.raises(UsageError, match="CUDA_VISIBLE_DEVICES shows 2"):
        workers_for(None, ["cuda:2"])
    for wrong in ("gpu", "cuda:", "cpu:1", "cuda:x"):
        with pytest.raises(UsageError, match="unknown device"):
            workers_for(None, [wrong])


def test_the_command_tells_tables_states_and_failures(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["vireid", "study", str(fake.file), "--out", str(fake.out), *words])
        with pytest.raises(SystemExit) as left:
            main()
        output = capsys.readouterr()
        return int(left.value.code or 0), output.out, output.err

    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr("vireid.study.conduct.conduct", partial(conduct, program=PROGRAM))
    code, out, _ = run("--list", "--json")
    assert code == 0
    assert [one["state"] for one in json.loads(out)["runs"]] == ["waiting"] * 4
    (fake.fake / "fail-caj@base-0").touch()
    code, out, err = run("--workers", "4")
    assert code == 1
    assert "incomplete" in out
    assert err.endswith("1 runs failed: caj@base-0; the same command tries them again\n")
    assert "3 done, 1 failed" in run("--dry-run")[1].replace("1 failed, 3 done", "3 done, 1 failed")
    (fake.fake / "fail-caj@base-0").unlink()
    code, out, err = run("--json")
    assert (code, json.loads(out)["contrasts"][0]["verdict"]) == (0, "confirmed")
    assert f"look at {fake.out / 'study.md'}" in err


def test_regdb_splits_are_one_contrast(
    fake: Fake, tiny_regdb: Path, records_of: Callable[..., QueryRecords], tmp_path: Path
) -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    data = {}
    for split in (1, 2, 3):
        protocol = f"split{split}-v2i"
        data[f"s{split}"] = {"kind": "regdb", "root": str(tiny_regdb), "protocols": [protocol]}
        hard = rng.uniform(10, 60, 24)
        for row, gain in (("agw", 0.0), ("caj", 6.0)):
            scores = hard + gain + rng.normal(0, 1, 24)
            made = records_of(scores, configuration=row, protocol=protocol, kind="regdb", trials=1)
            made.save(tmp_path / "p").rename(fake.fake / f"{row}@s{split}-0.npz")
    contrast = {"row": "caj", "baseline": "agw", "protocol": "split*-v2i", "data": list(data), "direction": "greater"}
    fake.change(data=data, seeds=[0], protocols=[], contrasts={"gain": contrast})
    [gain] = fake.conduct().contrasts
    assert gain.verdict == "confirmed"
    assert gain.difference.estimate.value == pytest.approx(6, abs=0.8)
