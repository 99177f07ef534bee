"""The audit as a whole: parts are measured once, kept, judged together; trained parts end like undisturbed runs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from vireid.cli.app import app
from vireid.data import open_dataset
from vireid.errors import UsageError
from vireid.networks.two_stream import TwoStreamResNet
from vireid.networks.weights import save_start
from vireid.study.acceptance.audit import audit
from vireid.study.acceptance.baseline import arm_recipe, fit, measure_arm, measure_cue
from vireid.study.acceptance.effects import baseline_findings, comparison, cue_share, effect_findings
from vireid.study.acceptance.findings import Finding
from vireid.study.acceptance.parts import PARTS, Measured
from vireid.study.acceptance.table import TITLES, assemble
from vireid.training.loop import train
from vireid.training.run import Run
from vireid.types import Modality


def figures(rank1: float, mean_ap: float, mean_inp: float) -> dict[str, float]:
    return {"rank1": rank1, "mAP": mean_ap, "mINP": mean_inp}


def raw(mean_ap: float = 45.0, *, seed: int = 0, people: int = 60) -> dict[str, Any]:
    """What a trained arm leaves, with real data's effects; people differ as they do there."""
    rng = np.random.default_rng(seed)
    each = np.clip(rng.normal(0, 20, people) + mean_ap, 0, 100)
    return {
        "protocols": {
            "all-single-agw": figures(46.0, mean_ap, 35.0),
            "indoor-single-agw": figures(52.0, mean_ap + 12, 50.0),
            "all-multi-agw": figures(50.0, mean_ap - 6, 25.0),
            "indoor-multi-agw": figures(58.0, mean_ap, 40.0),
            "visible-to-visible": figures(80.0, 75.0, 70.0),
        },
        "early": {"epochs": 9, "mAP": mean_ap - 0.5},
        "epochs": 12,
        "sums": {
            "identities": list(range(people)),
            "total": [(4 * each).tolist()] * 2,
            "count": [[4.0] * people] * 2,
        },
        "location": Finding(name="location", value=12, unit="points", low=5).to_json(),
    }


def test_effects_of_real_data_are_met() -> None:
    found = [*baseline_findings(raw(), 70.0), *effect_findings(raw())]
    assert all(finding.met for finding in found)
    assert not all(finding.met for finding in baseline_findings(raw(), 60.0))
    flat = raw() | {"protocols": raw()["protocols"] | {"indoor-single-agw": figures(40.0, 40.0, 30.0)}}
    assert [finding.name for finding in effect_findings(flat) if not finding.met] == [
        "indoor above all, rank-1",
        "indoor above all, mAP",
    ]


def test_a_clear_difference_has_an_interval_above_zero_and_none_has_not() -> None:
    seeds = range(3)
    better, worse = ([raw(value, seed=seed) for seed in seeds] for value in (52.0, 45.0))
    gain, low = comparison("a above b", better, worse, clearly=True)
    assert gain.value == pytest.approx(7, abs=1)
    assert 0 < low.value < gain.value
    rng = np.random.default_rng(0)
    noisy = [raw(45.0, seed=seed + 10) for seed in seeds]
    nothing, end = comparison("a above b", noisy, [raw(45 + rng.normal(), seed=seed) for seed in seeds], clearly=True)
    assert end.value < 0 or nothing.value < 0
    assert comparison("a above b", better[:1], worse[:1], clearly=False)[1].met


def test_a_silhouette_is_judged_by_its_share() -> None:
    assert cue_share(raw(), {"mAP": 17.0}, "silhouette").met
    assert not cue_share(raw(), {"mAP": 19.0}, "silhouette").met


def test_every_part_has_a_heading() -> None:
    assert set(PARTS) - {"caj", "caj-no-erasing"} <= set(TITLES)


def test_a_table_pools_seeds_and_tells_what_is_missing() -> None:
    def one(value: float) -> dict[str, Measured]:
        return {"oracle": Measured(findings=(Finding(name="x", value=value, low=2.0),), raw={"mAP": 70.0})}

    both = assemble({0: one(1.0), 1: one(4.0)}, ["oracle"])
    assert both.rows[0].finding.met
    assert both.rows[0].seeds == (1.0, 4.0)
    assert both.accepted
    lacking = assemble({0: one(1.0), 1: {}}, ["oracle"])
    assert lacking.missing == ("oracle",)
    assert [row.finding.name for row in lacking.unmet] == ["x"]
    assert "0 of 1 items met; not measured: oracle" in lacking.markdown()
    with_arms = {"agw": Measured(findings=(), raw=raw()), "caj": Measured(findings=(), raw=raw(52.0))}
    table = assemble({0: one(3.0) | with_arms}, ["oracle", "agw", "caj"])
    names = [row.finding.name for row in table.rows]
    assert "oracle's mAP above agw's" in names
    assert "CAJ above AGW, mAP" in names
    assert "| NOT met |" not in table.markdown()


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An audit of two quick parts."""
    out = tmp_path_factory.mktemp("audit") / "audit"
    audit(out, preset="tiny", seeds=[0], parts=["population", "oracle"])
    return out


def test_what_is_measured_is_not_measured_again(quick: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in (quick / "seed-0" / "parts").iterdir()}
    assert {file.stem for file in before} == {"population", "oracle"}
    told: list[str] = []
    table = audit(quick, preset="tiny", seeds=[0], parts=["oracle", "metadata"], say=told.append)
    assert told == ["seed 0: metadata"]
    assert all(file.stat().st_mtime_ns == time for file, time in before.items())
    assert "metadata" not in table.missing
    assert "agw" in table.missing
    stored = json.loads((quick / "audit.json").read_text())
    assert [row["item"] for row in stored["items"]] == [row.finding.name for row in table.rows]
    assert stored["accepted"] is False
    assert "bits of the identity code" in (quick / "audit.md").read_text()


def test_another_audit_in_the_same_folder_is_refused(quick: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="preset 'tiny' \\(asked for: 'demo'\\)"):
        audit(quick, preset="demo")
    with pytest.raises(UsageError, match="changes"):
        audit(quick, preset="tiny", changes=["precision=fp32"])
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="something other than an audit"):
        audit(tmp_path, preset="tiny")


def test_wrong_words_are_refused(tmp_path: Path) -> None:
    for message, options in (
        ("unknown preset 'tinny'; did you mean 'tiny'", {"preset": "tinny"}),
        ("unknown part 'orakel'; did you mean 'oracle'", {"parts": ["orakel"]}),
        ("the seeds are \\[0, 0\\]", {"seeds": [0, 0]}),
    ):
        with pytest.raises(UsageError, match=message):
            audit(tmp_path / "new", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "new").exists()


def test_the_command_prints_what_is_measured_and_fails_where_an_item_is_not_met(quick: Path) -> None:
    words = ["data", "audit-benchmark", "--out", str(quick), "--preset", "tiny", "--part", "oracle"]
    done = CliRunner().invoke(app, [*words, "--json"])
    found = json.loads(done.stdout)
    unmet = [row["item"] for row in found["items"] if row["met"] is False]
    assert done.exit_code == (1 if unmet else 0)
    shown = CliRunner().invoke(app, words)
    assert "People and sightings" in shown.stdout
    wrong = CliRunner().invoke(app, [*words, "--seeds", "0;1"])
    assert isinstance(wrong.exception, UsageError)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("start") / "start.safetensors"
    save_start(file, TwoStreamResNet("resnet10t").start_state(Modality.VISIBLE), architecture="resnet10t")
    return file


@pytest.fixture(scope="module")
def changes(small_run: list[str], start: Path) -> list[str]:
    return [
        *(change for change in small_run if not change.startswith(("phases", "architecture"))),
        "architecture=resnet10t",
        f"start={start}",
        "phases.train.epochs=2",
        "phases.train.schedule.warmup_epochs=0.5",
    ]


def test_looking_in_at_four_fifths_changes_nothing(changes: list[str], tiny_sysu: Path, tmp_path: Path) -> None:
    data = open_dataset("sysu", tiny_sysu)
    recipe = arm_recipe("caj", data, preset="tiny", seed=0, changes=changes)
    assert recipe.augmentation.erasing == "channel"
    seen: list[str] = []

    def track(items: Any, /, *, description: str, total: int | None = None) -> Iterator[Any]:
        seen.append(description)
        yield from items

    fitted = fit(recipe, data, tmp_path / "run", track=track)
    assert fitted.early_epochs == 1
    assert [text for text in seen if text.startswith("train")] == ["train 1/2", "train 2/2"]
    straight = train(recipe, data, Run(tmp_path / "straight"))
    for name, weights in straight.method().state_dict().items():
        assert torch.equal(weights, fitted.final.state_dict()[name]), name
    early = load_file(tmp_path / "run" / "four-fifths.safetensors")
    assert any(not torch.equal(early[name], value) for name, value in fitted.final.state_dict().items())
    seen.clear()
    again = fit(recipe, data, tmp_path / "run", track=track)
    assert seen == []
    found = measure_arm(again, data)
    assert set(found["protocols"]) >= {"all-single-agw", "visible-to-visible"}
    sums = found["sums"]
    mean_ap = np.mean([np.sum(t) / np.sum(c) for t, c in zip(sums["total"], sums["count"], strict=True)])
    assert mean_ap == pytest.approx(found["protocols"]["all-single-agw"]["mAP"], abs=1e-3)
    json.dumps(found)


def test_one_epoch_has_no_four_fifths(changes: list[str], tiny_sysu: Path, tmp_path: Path) -> None:
    data = open_dataset("sysu", tiny_sysu)
    short = [*changes, "phases.train.epochs=1"]
    recipe = arm_recipe("agw", data, preset="tiny", seed=0, changes=short)
    with pytest.raises(UsageError, match="from 2 epochs on"):
        fit(recipe, data, tmp_path / "run")


def test_a_network_on_one_cue_is_compared_with_chance(changes: list[str], tiny_sysu: Path, tmp_path: Path) -> None:
    data = open_dataset("sysu", tiny_sysu)
    recipe = arm_recipe("agw", data, preset="tiny", seed=0, changes=changes)
    found = measure_cue(recipe, data, tmp_path / "run")
    assert len(found.chance_rank1) == len(found.chance_mAP) > 100
