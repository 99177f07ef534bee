"""A study of two rows with two seeds, whose runs are not trained but prepared."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from vireid.evaluation.records import QueryRecords
from vireid.study.conduct import conduct
from vireid.study.execution import Worker
from vireid.study.results import Results

PROTOCOL = "all-single-agw"


@dataclass(frozen=True)
class FakeStudy:
    """A study file, its folder, and the folder that says what becomes of its runs."""

    file: Path
    out: Path
    fake: Path

    def conduct(self, workers: int = 2, **more: Any) -> Results:
        program = (sys.executable, str(Path(__file__).with_name("fake_vireid.py")))
        return conduct(self.file, self.out, workers=[Worker()] * workers, program=program, **more)

    def calls(self) -> list[str]:
        """What was trained: run, and whether it was resumed."""
        file = self.fake / "calls.txt"
        return [" ".join(line.split()[:2]) for line in file.read_text().splitlines()] if file.is_file() else []

    def change(self, **values: Any) -> None:
        self.file.write_text(yaml.safe_dump({**yaml.safe_load(self.file.read_text()), **values}))


@pytest.fixture
def study_values(tiny_sysu: Path) -> dict[str, Any]:
    return {
        "name": "exchange",
        "question": "Does the channel exchange help?",
        "data": {"base": {"kind": "sysu", "root": str(tiny_sysu)}},
        "rows": {
            "agw": {"recipe": "agw-demo", "set": {"augmentation.channel_exchange": False}},
            "caj": {"recipe": "agw-demo"},
        },
        "seeds": [0, 1],
        "protocols": [PROTOCOL],
        "set": {"phases.train.epochs": 2, "start": "none"},
        "contrasts": {
            "gain": {
                "row": "caj",
                "baseline": "agw",
                "metric": "mAP",
                "protocol": PROTOCOL,
                "data": "base",
                "direction": "greater",
            }
        },
    }


@pytest.fixture
def fake(
    tmp_path: Path,
    study_values: dict[str, Any],
    records_of: Callable[..., QueryRecords],
    monkeypatch: pytest.MonkeyPatch,
) -> FakeStudy:
    """caj gains ten points; caj and agw have two seeds, whose evaluations lie prepared."""
    folder = tmp_path / "fake"
    folder.mkdir()
    monkeypatch.setenv("FAKE_VIREID", str(folder))
    rng = np.random.default_rng(0)
    people = rng.uniform(10, 70, 40)
    for row, gain in (("agw", 0), ("caj", 10), ("third", 5)):
        for seed in (0, 1):
            scores = people + gain + rng.normal(0, 0.1) + rng.normal(0, 1, 40)
            path = records_of(scores, seed=seed, configuration=row, protocol=PROTOCOL).save(tmp_path / "prepared")
            path.rename(folder / f"{row}@base-{seed}.npz")
    file = tmp_path / "exchange.yaml"
    file.write_text(yaml.safe_dump(study_values))
    return FakeStudy(file, tmp_path / "out", folder)
