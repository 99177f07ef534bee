"""`vireid export --int8` from a trained run: what it costs is measured, said, and limited."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vireid.cli.app import app
from vireid.data import open_dataset
from vireid.export.measuring import Task
from vireid.methods.bundle import Bundle
from vireid.training.measure import measure

pytestmark = pytest.mark.slow


def test_the_loss_is_that_of_the_whole_test(tiny_demo: Path, tmp_path: Path) -> None:
    out = tmp_path / "int8"
    words = ["export", str(tiny_demo), "--out", str(out), "--int8", "--most-loss", "100"]
    found = CliRunner().invoke(app, [*words, "--json"])
    assert found.exit_code == 0, f"{found.output}\n{found.exception!r}"
    told = json.loads(found.stdout)
    loss = told["int8"]
    assert told["precision"] == "int8"
    assert loss["loss"] == pytest.approx(loss["mAP"] - loss["mAP_int8"])
    assert loss["most_loss"] == 100
    assert {name: told[name] for name in ("cosine", "int8")} == {
        name: json.loads((out / "parity.json").read_text())[name] for name in ("cosine", "int8")
    }
    bundle, export = Bundle.open(tiny_demo), Bundle.open(out)
    assert export.digest == told["digest"] != bundle.digest
    dataset = open_dataset("sysu", tiny_demo / "data")
    protocol = dataset.protocol(loss["protocol"])
    for model, figure in ((bundle, loss["mAP"]), (export, loss["mAP_int8"])):
        again = measure(model, dataset, protocol, folder=tmp_path / model.digest, device="cpu").to_json()
        assert again["mAP"] == pytest.approx(figure, abs=1e-6)
    assert 0.9 < told["cosine"] < 0.99999, "quantised, and still the same model"
    plain = CliRunner().invoke(app, words)
    assert f"int8: mAP {loss['mAP']:.2f} to {loss['mAP_int8']:.2f}, {loss['dataset']}" in plain.output
    assert "galleries of the bundle do not take it" in plain.output


def test_more_than_is_allowed_is_not_written(tiny_demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = iter([(50.0, "full"), (48.5, "full")])

    def measured(self: Task, *arguments: Any, **options: Any) -> tuple[float, str]:
        return next(figures)

    monkeypatch.setattr(Task, "measure", measured)
    found = CliRunner().invoke(app, ["export", str(tiny_demo), "--out", str(tmp_path / "e"), "--int8"])
    assert found.exit_code != 0
    assert "int8 costs 1.50 mAP (50.00 to 48.50" in str(found.exception) + found.output
    assert not (tmp_path / "e").exists()


def test_options_that_only_int8_has(tiny_demo: Path, tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["export", str(tiny_demo), "--out", str(tmp_path / "e"), "--most-loss", "2"])
    assert found.exit_code != 0
    assert "--most-loss limits what --int8 costs" in str(found.exception) + found.output
