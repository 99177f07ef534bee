"""A study whose runs are really trained: interrupted, killed without warning, and ended by the same command."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
STEPS = 40


@pytest.fixture
def file(tmp_path: Path, study_values: dict[str, Any], small_run: list[str]) -> Path:
    changes = dict(change.split("=", 1) for change in small_run)
    study_values["set"] = {name: yaml.safe_load(value) for name, value in changes.items()}
    study_values["set"] |= {"start": "none", "steps_per_epoch": STEPS, "checkpoint_every": 5}
    study_values |= {"seeds": [0], "data": {"base": {"synthesize": {"preset": "tiny"}}}}
    path = tmp_path / "exchange.yaml"
    path.write_text(yaml.safe_dump(study_values))
    return path


def begin(file: Path, out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "vireid", "study", str(file), "--out", str(out), "--devices", "cpu"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def steps(out: Path, run: str) -> list[int]:
    metrics = out / "runs" / run / "metrics.jsonl"
    lines = metrics.read_text().split("\n")[:-1] if metrics.is_file() else []
    return [json.loads(line)["step"] for line in lines]


def wait_for(out: Path, run: str, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 600
    while len(steps(out, run)) < count and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.poll() is None


def test_a_study_that_is_stopped_and_killed_ends_as_if_nothing_had_happened(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = begin(file, out)
    wait_for(out, "agw@base-0", 3, process)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate()
    assert process.returncode == 130
    assert "agw@base-0: stopped" in told
    taken = steps(out, "agw@base-0")
    assert taken == list(range(len(taken)))
    assert len(taken) < STEPS

    process = begin(file, out)
    wait_for(out, "caj@base-0", 3, process)
    process.kill()
    process.communicate()

    process = begin(file, out)
    _, told = process.communicate()
    assert process.returncode == 0, told
    assert "2 runs, 1 of them to do" in told
    for run in ("agw@base-0", "caj@base-0"):
        assert steps(out, run) == list(range(STEPS))
    found = json.loads((out / "study.json").read_text())
    assert [run["state"] for run in found["runs"]] == ["done", "done"]
    assert found["contrasts"][0]["verdict"] in {
        "not resolved",
        "confirmed for these runs",
        "contradicted for these runs",
    }
    assert found["rows"][0]["metrics"]["mAP"]["mean"] == found["runs"][0]["figures"]["all-single-agw"]["mAP"]
