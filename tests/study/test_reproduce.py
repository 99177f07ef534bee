"""The reproduction kit on rendered people: doctor, training, every protocol, and a result that says what it is."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from vireid.cli.app import app
from vireid.data import open_dataset
from vireid.data.base import Dataset
from vireid.errors import DataError, LeakError, UsageError
from vireid.evaluation.results import METRICS
from vireid.files import digest_of
from vireid.study.deviations import deviations_of
from vireid.study.published import published
from vireid.study.reproduce import reproduce
from vireid.study.reproduction import Reproduction, settings_of
from vireid.training.recipe import load_recipe

Kit = Callable[..., Reproduction]


@pytest.fixture
def steps(small_run: list[str]) -> list[str]:
    """Changes that make a shipped recipe a run of two tiny steps."""
    return [*small_run, "start=none", "steps_per_epoch=2", "phases.train.schedule={}", "data.cache=none"]


@pytest.fixture
def kit(steps: list[str], tmp_path: Path) -> Kit:
    def run(name: str, kind: str, root: Path, **more: Any) -> Reproduction:
        options: dict[str, Any] = {"overrides": [] if "models" in more else steps, "out": tmp_path / "out"}
        return reproduce(name, kind=kind, root=root, **({"device": "cpu"} | options | more))

    return run


def test_a_method_is_reproduced_and_the_same_call_goes_on(tiny_sysu: Path, kit: Kit, tmp_path: Path) -> None:
    said: list[str] = []
    result = kit("agw", "sysu", tiny_sysu, say=said.append)
    values = json.loads((tmp_path / "out/reproduction.json").read_text())
    assert values == json.loads(json.dumps(result.values))
    assert values.pop("digest") == digest_of(values)
    data = open_dataset("sysu", tiny_sysu)
    expected = [name for name in data.protocols() if name not in ("val", "visible-to-visible")]
    assert [setting["setting"] for setting in values["settings"]] == expected
    assert all(setting["published"] is None for setting in values["settings"])
    assert "shows other pictures" in values["not_compared"]
    assert values["data"]["fingerprint"] == data.fingerprint
    [found] = values["evaluations"]["all-single-agw"]
    assert found["fingerprint"] == data.protocol("all-single-agw").fingerprint
    changed = {one["what"]: one for one in values["deviations"]}
    assert changed["recipe: options.architecture"]["here"].startswith("resnet10t")
    assert changed["recipe: options.architecture"]["paper"] == "resnet50.tv_in1k (agw-sysu)"
    assert "epoch that is tested" in changed
    assert not {"recipe: data.root", "recipe: workers"} & set(changed)
    assert values["environment"]["torch"]
    page = (tmp_path / "out/reproduction.md").read_text()
    assert "47.50" not in page
    assert "| setting | metric | here | std |" in page
    assert values["not_compared"] in page

    bundle = tmp_path / "out/runs/model/bundle/bundle.json"
    written = bundle.stat().st_mtime_ns
    again = kit("agw", "sysu", tiny_sysu, pictures=False)
    assert bundle.stat().st_mtime_ns == written
    assert again.values["settings"] == result.values["settings"]
    assert [again.values["data"]["doctor"]["pictures"], result.values["data"]["doctor"]["pictures"]] == [False, True]


def test_splits_of_regdb_are_models_of_their_own(tiny_regdb: Path, kit: Kit, tmp_path: Path) -> None:
    result = kit("caj", "regdb", tiny_regdb, splits=[1], pictures=False)
    assert [setting["setting"] for setting in result.values["settings"]] == ["v2i", "i2v"]
    assert ("splits of RegDB", "mean over 10", "1: split1") in result.deviations()
    run = tmp_path / "out/runs/split1"
    tested = kit("caj", "regdb", tiny_regdb, models=[run], pictures=False, out=tmp_path / "again")
    assert tested.values["trained"] is False
    assert tested.values["settings"] == result.values["settings"]
    with pytest.raises(UsageError, match="two models of split1"):
        kit("caj", "regdb", tiny_regdb, models=[run, run], pictures=False)
    with pytest.raises(UsageError, match="not on llcm"):
        kit("caj", "llcm", tiny_regdb, models=[run])


def test_a_model_that_knows_the_test_people_is_refused(tiny_regdb: Path, kit: Kit, tmp_path: Path) -> None:
    kit("agw", "regdb", tiny_regdb, splits=[1], pictures=False)
    bundle = tmp_path / "out/runs/split1/bundle"
    header = json.loads((bundle / "bundle.json").read_text())
    header["card"]["identities"] = list(range(1, 500))
    (bundle / "bundle.json").write_text(json.dumps(header))
    with pytest.raises(LeakError):
        kit("agw", "regdb", tiny_regdb, models=[bundle], pictures=False, out=tmp_path / "again")


def test_a_sick_data_set_ends_it_before_it_costs_anything(tiny_sysu: Path, kit: Kit, tmp_path: Path) -> None:
    root = tmp_path / "sick"
    shutil.copytree(tiny_sysu, root)
    next((root / "cam3").rglob("*.jpg")).unlink()
    with pytest.raises(DataError, match=r"\(counts\..*vireid data doctor"):
        kit("agw", "sysu", root, pictures=False)
    assert not (tmp_path / "out/runs").exists()
    assert not json.loads((tmp_path / "out/doctor.json").read_text())["healthy"]


def test_what_does_not_go_together_is_told(
    tiny_sysu: Path, kit: Kit, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for changes, told in (
        ({"splits": [1]}, "--split belongs to RegDB"),
        ({"models": [tiny_sysu], "splits": [1]}, "belong to training"),
        ({"overrides": [*steps, "data.root=elsewhere"]}, "data.root is said with --data"),
        ({"overrides": [*steps, "data.protocol=val"]}, "data.protocol is said with --split"),
        ({"device": "tpu"}, "unknown device"),
    ):
        with pytest.raises(UsageError, match=told):
            kit("agw", "sysu", tiny_sysu, **changes)
    with pytest.raises(UsageError, match="unknown published method"):
        kit("agv", "sysu", tiny_sysu)
    with pytest.raises(UsageError, match="kind of data set"):
        kit("agw", "manifest", tiny_sysu)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="--model RUN"):
        kit("agw", "sysu", tiny_sysu)


def evaluated(value: float) -> dict[str, Any]:
    return {"trials": 10, "std": dict.fromkeys(METRICS, 0.5), **dict.fromkeys(METRICS, value)}


def test_published_figures_stand_beside_those_of_the_official_data() -> None:
    paper = published("agw")
    [sysu] = settings_of({"all-single-agw": [evaluated(48.0)]}, paper, "sysu", compared=True)
    assert sysu["difference"] == pytest.approx({"rank1": 0.5, "mAP": 0.35, "mINP": 12.7})
    assert (sysu["std_over"], sysu["std"]["mAP"]) == ("trials", 0.5)
    both = {"v2i": [evaluated(70.0), evaluated(72.0)], "i2v": [evaluated(60.0), evaluated(60.0)]}
    v2i, i2v = settings_of(both, paper, "regdb", compared=True)
    assert (v2i["figures"]["mAP"], v2i["count"], v2i["std_over"]) == (71.0, 2, "splits")
    assert v2i["std"]["mAP"] == pytest.approx(2**0.5)
    assert "README.md" in v2i["source"]
    assert i2v["published"] is None
    data = {
        "name": "SYSU-MM01",
        "version": "official",
        "fingerprint": "f",
        "doctor": {"warnings": [], "pictures": True},
    }
    result = Reproduction.of(
        {
            "title": "AGW",
            "paper": paper.paper,
            "trained": True,
            "not_compared": None,
            "data": data,
            "settings": [sysu, i2v],
            "deviations": [{"what": "a | b", "paper": "", "here": "x"}],
            "models": [{"name": "model", "seed": 0, "bundle": "b" * 64, "recipe": "r" * 64, "imported": ""}],
            "environment": {"device": "cpu"},
        }
    )
    assert result.columns == ("setting", "metric", "published", "here", "difference", "std")
    assert ("all-single-agw", "rank-1", "47.50", "48.00", "+0.50", "0.50 over trials") in result.rows()
    assert ("all-single-agw", "rank-5", "", "48.00", "", "0.50 over trials") in result.rows()
    assert f"- {sysu['source']}\n" in result.markdown()
    assert "a \\| b" in result.markdown()


def test_changes_to_the_recipe_are_deviations(tiny_regdb: Path) -> None:
    data: Dataset = open_dataset("regdb", tiny_regdb)
    recipe = load_recipe("agw-regdb", ["seed=3", "phases.train.epochs=90", "data.protocol=split2-v2i", "workers=1"])
    rows = deviations_of(published("agw"), data, [], [], recipe=recipe)
    changed = [(row["what"], row["paper"], row["here"]) for row in rows if row["what"].startswith("recipe")]
    assert changed == [
        ("recipe: phases.train.epochs", "80 (agw-regdb)", "90"),
        ("recipe: seed", "0 (agw-regdb)", "3"),
    ]


def test_the_command_prints_the_same(tiny_llcm: Path, steps: list[str], tmp_path: Path) -> None:
    words = ["reproduce", "agw", "--data", str(tiny_llcm), "--kind", "llcm", "--out", str(tmp_path / "out")]
    words += [*(word for step in steps for word in ("--set", step)), "--no-pictures", "--device", "cpu"]
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == 0, f"{done.output}\n{done.exception!r}"
    found = json.loads(done.stdout)
    assert [setting["setting"] for setting in found["settings"]] == ["i2v", "v2i-standard", "v2i-deen_release"]
    assert yaml.safe_load((tmp_path / "out/runs/model/recipe.yaml").read_text())["data"]["protocol"] == "i2v"
    again = CliRunner().invoke(app, words, env={"COLUMNS": "160"})
    assert again.exit_code == 0
    assert "what differs from what was published" in again.stdout
    assert "look at" in again.stderr
