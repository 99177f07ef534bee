"""Study files: what they say, and how mistakes are told."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from vireid.errors import RecipeError, UsageError
from vireid.study.plan import Source, arguments, load_study
from vireid.study.runs import StudyRuns

ROOT = Path(__file__).parents[2]


def written(path: Path, values: Any) -> Path:
    path.write_text(yaml.safe_dump(values) if not isinstance(values, str) else values)
    return path


@pytest.mark.parametrize("file", sorted((ROOT / "studies").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_study_in_the_repository_is_readable(file: Path) -> None:
    study = load_study(file)
    assert study.name == file.stem
    assert study.contrasts
    assert f"vireid study studies/{file.name}" in file.read_text().splitlines()[0]


def test_the_study_in_the_documentation_is_readable(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "study.md").read_text(encoding="utf-8")
    [shown] = re.findall(r"^```yaml\n(.*?)^```", page, flags=re.M | re.S)
    assert set(load_study(written(tmp_path / "s.yaml", shown)).contrasts) == {"gain", "without-the-cause"}


def test_rows_seeds_and_data_make_the_runs(study_values: dict[str, Any], tmp_path: Path) -> None:
    study_values["data"]["out"] = {"synthesize": {"preset": "tiny", "knockouts": {"finish_map": "permuted"}}}
    study_values["rows"]["caj"] |= {"data": ["base"], "seeds": [4]}
    file = written(tmp_path / "s.yaml", study_values)
    runs = StudyRuns(load_study(file), tmp_path, tmp_path / "o")
    assert [run.name for run in runs.all] == ["agw@base-0", "agw@out-0", "caj@base-4", "agw@base-1", "agw@out-1"]
    words = runs.all[1].training("cpu")
    assert words[:2] == ["train", "agw-demo"]
    assert {
        "augmentation.channel_exchange=false",
        "data.kind=sysu",
        "data.protocol=all-single-agw",
        "seed=0",
        "start=none",
    } <= set(words)
    [root] = [word.removeprefix("data.root=") for word in words if word.startswith("data.root=")]
    assert Path(root).parent == tmp_path / "o" / "data"
    assert Path(root).name.startswith("sysu-tiny-0-")
    assert words[words.index("--device") + 1] == "cpu"
    assert runs.all[1].evaluation("all-single-agw", None) == [
        "evaluate", str(tmp_path / "o/runs/agw@out-0"), "--protocol", "all-single-agw", "--mode", "full", "--json",
    ]  # fmt: skip


def test_data_of_one_kind_are_rendered_once() -> None:
    def folder(**knockouts: Any) -> str:
        found = Source(synthesize={"preset": "tiny", "seed": 1, "knockouts": knockouts}).synthesize  # type: ignore[arg-type]
        assert found is not None
        return found.folder

    assert folder() == folder(perfect_boxes=False) == "sysu-tiny-1"
    assert folder(perfect_boxes=True) != folder(one_ir_sensor=True)


def test_all_mistakes_are_told_at_once(study_values: dict[str, Any], tmp_path: Path) -> None:
    study_values["seeds"] = [1, 1]
    study_values["data"]["both"] = {"kind": "sysu", "synthesize": {"preset": "tiny"}}
    study_values["data"]["tini"] = {"synthesize": {"preset": "tini"}}
    study_values["rows"]["third"] = {"recipe": "agw-demo", "data": ["bass"], "modes": "full"}
    contrast = study_values["contrasts"]["gain"]
    study_values["contrasts"] |= {
        "a": {**contrast, "row": "cai", "metric": "map"},
        "b": {**contrast, "protocol": "indoor"},
        "c": {**contrast, "direction": "none"},
        "d": {**contrast, "data": ["base", "tini"], "margin": 1.0},
        "e": {**contrast, "row": "agw"},
    }
    with pytest.raises(RecipeError) as error:
        load_study(written(tmp_path / "s.yaml", study_values))
    text = str(error.value)
    for expected in (
        "seeds: seeds must be different numbers from 0",
        "data.both: kind is that of synthesize.layout",
        "data.tini.synthesize.preset: unknown preset 'tini'; did you mean 'tiny'",
        "rows.third.modes: no such option; did you mean 'mode'",
        "rows.third.data: unknown data 'bass'; did you mean 'base'",
        "contrasts.a.metric: Input should be 'rank1'",
        "contrasts.a.row: unknown row 'cai'; did you mean 'caj'",
        "contrasts.b.protocol: 'indoor' is not evaluated on base (allowed: all-single-agw)",
        "contrasts.c: direction: none needs a margin",
        "contrasts.d: direction: none needs a margin in percentage points, and only it has one",
        "contrasts.d.data: several are averaged over the splits of RegDB alone",
        "contrasts.e: row and baseline are both 'agw'",
    ):
        assert expected in text
    assert all(line.startswith(f"{tmp_path / 's.yaml'}: ") for line in text.splitlines())


def test_mistakes_in_recipes_are_told_with_the_row(study_values: dict[str, Any], tmp_path: Path) -> None:
    study_values["rows"]["agw"]["set"] = {"phases.train.epoch": 3}
    study_values["rows"]["caj"]["recipe"] = "agw-dem"
    study_values["rows"]["own"] = {"recipe": "agw-demo", "set": {"seed": 3}}
    with pytest.raises(RecipeError) as error:
        load_study(written(tmp_path / "s.yaml", study_values))
    text = str(error.value)
    assert "rows.agw: " in text
    assert "epoch" in text
    assert "rows.caj: unknown recipe 'agw-dem'; did you mean 'agw-demo'" in text
    assert "rows.own: set: seed comes from the study's seeds and data; leave it out" in text


def test_a_contrast_needs_rows_that_are_trained_on_its_data(study_values: dict[str, Any], tmp_path: Path) -> None:
    study_values["data"]["more"] = {"synthesize": {"preset": "tiny"}, "protocols": ["indoor-single-agw"]}
    study_values["rows"]["caj"]["data"] = ["more"]
    study_values["contrasts"]["gain"]["data"] = ["base"]
    with pytest.raises(RecipeError, match=r"contrasts\.gain\.row: caj is not trained on base"):
        load_study(written(tmp_path / "s.yaml", study_values))
    del study_values["protocols"]
    with pytest.raises(RecipeError, match=r"data\.base\.protocols: neither these data nor the study name a protocol"):
        load_study(written(tmp_path / "s.yaml", study_values))


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [", "not readable as YAML"), ("- a\n", "a study is a mapping"), ("name: a b\n", "name: String should match")],
)
def test_files_that_are_no_study(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=message):
        load_study(written(tmp_path / "s.yaml", text))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no study file"):
        load_study(tmp_path / "s.yaml")


def test_changes_read_as_the_values_they_are() -> None:
    changes = {"a": True, "b": 1e-4, "c": "none", "d": "no", "e": [1, 2], "f": {"x": 1}, "g": "a: b", "h": "x/y.yaml"}
    words = dict(word.split("=", 1) for word in arguments(changes))
    assert {key: yaml.safe_load(value) for key, value in words.items()} == changes
    assert words["c"] == "none"
