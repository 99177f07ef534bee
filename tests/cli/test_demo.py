"""The demo repeated, changed and interrupted: it goes on with the same demo, or says why it does not."""

import html
import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner, Result

from vireid.cli.app import app
from vireid.errors import UsageError
from vireid.gallery import Gallery
from vireid.training.loop import Training


def demo(out: Path, *words: object, preset: str = "tiny", changes: list[str]) -> int:
    """Exit code of `vireid demo` in this process; errors are raised."""
    return told_by_demo(out, *words, preset=preset, changes=changes).exit_code


def told_by_demo(out: Path, *words: object, preset: str = "tiny", changes: list[str]) -> Result:
    """What `vireid demo` did and said."""
    options = [word for change in changes for word in ("--set", change)]
    arguments = ["demo", "--out", out, "--preset", preset, "--workers", 1, *words, *options]
    found = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if found.exception and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found


def times(folder: Path) -> dict[str, int]:
    """When each file below `folder` was written."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def finished(tiny_demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of `tiny_demo`, which other tests may write to at the same time."""
    copy = tmp_path_factory.mktemp("finished") / "demo"
    return Path(shutil.copytree(tiny_demo, copy, ignore=shutil.ignore_patterns(".*")))


def test_repeating_the_demo_does_nothing_twice(finished: Path, small_run: list[str]) -> None:
    watched = ["recipe.yaml", "metrics.jsonl", "bundle/weights.safetensors", "bundle/bundle.json"]
    before, metrics = times(finished), (finished / "metrics.json").read_text()
    done = told_by_demo(finished, changes=small_run)
    assert done.exit_code == 0
    after = times(finished)
    assert {name: after[name] for name in watched} == {name: before[name] for name in watched}
    assert (finished / "metrics.json").read_text() == metrics
    serve = shlex.split(done.stderr.splitlines()[-1])
    assert serve[:3] == ["vireid", "serve", str(finished / "service")]
    command: Any = get_command(app)
    said = command.commands["serve"].make_context("serve", serve[2:]).params
    assert len(Gallery.open(said["adopt"])) > 0
    assert said["bundle"] == [f"demo={finished}"]
    assert [word.partition("=")[0] for word in said["purpose"]] == ["trial"]


@pytest.mark.parametrize(
    ("words", "changes", "message"),
    [
        ([], ["triplet=weighted"], "triplet was 'squared', now 'weighted'"),
        ([], ["start=none"], "now 'none'"),
        (["--seed", 1], [], "seed was 0, now 1"),
    ],
)
def test_another_demo_in_the_same_folder_is_refused(
    words: list[object], changes: list[str], message: str, finished: Path, small_run: list[str]
) -> None:
    before = times(finished)
    with pytest.raises(UsageError, match=message):
        demo(finished, *words, changes=[*small_run, *changes])
    assert times(finished) == before


def test_another_preset_in_the_same_folder_is_refused(finished: Path, small_run: list[str]) -> None:
    before = times(finished)
    with pytest.raises(UsageError, match=r"holds another set.*sysu-tiny.*sysu-study"):
        demo(finished, preset="study", changes=small_run)
    assert times(finished) == before


def test_a_demo_of_a_given_start_does_not_become_one_of_its_own(
    tiny_demo: Path, small_run: list[str], tmp_path: Path
) -> None:
    recipe = yaml.safe_load((tiny_demo / "recipe.yaml").read_text()) | {"start": "none"}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    with pytest.raises(UsageError, match="start was 'none', now"):
        demo(tmp_path, changes=small_run)
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]


@pytest.mark.parametrize(
    ("change", "message"),
    [("seed=1", "--seed 1"), ("data.root=elsewhere", "renders its own data"), ("data.kind=llcm", "its own data")],
)
def test_a_change_that_the_demo_decides_is_refused(change: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        demo(tmp_path / "demo", changes=[change])
    assert not list(tmp_path.iterdir())


def test_the_page_shows_the_whole_command(tiny_demo: Path, small_run: list[str]) -> None:
    page = html.unescape((tiny_demo / "report.html").read_text())
    changes = " ".join(f"--set {shlex.quote(change)}" for change in small_run)
    assert f"vireid demo --out {shlex.quote(str(tiny_demo))} --preset tiny --seed 0 {changes}" in page


def test_an_interrupted_demo_with_a_validated_bundle_goes_on(
    tiny_demo: Path,
    small_run: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    out = Path("my demo")
    shutil.copytree(tiny_demo / "data", out / "data")
    changes = [*small_run, "phases.train.epochs=2", "data.held_out=0.25", "data.validate_every=1"]
    step: Callable[..., None] = Training._step

    def interrupted(self: Training, *given: Any) -> None:
        if self.step == 4:
            raise KeyboardInterrupt
        step(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "_step", interrupted)
        assert demo(out, changes=changes) == 130
    assert (out / "bundle" / "bundle.json").exists()
    assert not (out / "metrics.json").exists()
    assert demo(out, changes=changes) == 0
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records if "loss" in record] == [0, 1, 2, 3, 4, 5]
    assert (out / "metrics.json").exists()
    recipe = yaml.safe_load((out / "recipe.yaml").read_text())
    assert recipe["data"]["root"] == str(tmp_path / out / "data")
