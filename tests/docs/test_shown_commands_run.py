"""The commands of README and tutorial, run from top to bottom as shown, at a tiny scale."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from vireid.cli.app import app

ROOT = Path(__file__).parents[2]


def shown(page: Path) -> list[str]:
    """The lines of a page that begin with `vireid`, in order; `vireid serve` goes on and has a test of its own."""
    blocks = re.findall(r"^```bash\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line.split(" #")[0] for line in lines if re.match(r"vireid (?!serve )", line)]


@pytest.fixture
def folder(tiny_demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the pages take for granted: a finished demo, crops of one's own, a picture of the night."""
    shutil.copytree(tiny_demo, tmp_path / "runs" / "demo", ignore=shutil.ignore_patterns(".*"))
    (tmp_path / "crops").mkdir()
    rng = np.random.default_rng(0)
    for path in ("crops/1.jpg", "crops/2.png", "night.png"):
        Image.fromarray(rng.integers(0, 255, (60, 30, 3), np.uint8)).save(tmp_path / path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIREID_CACHE", str(tmp_path / "cache"))
    return tmp_path


def smaller(words: list[str], *, small_run: list[str], real: Path) -> list[str]:
    """The same command for a tiny set in the place of the real one, and for a run of three steps."""
    words = [word.replace("/data/SYSU-MM01", str(real)) for word in words]
    if words[0] == "train":
        return [*words, "start=none", *small_run, "--device", "cpu"]
    if words[:2] == ["data", "synthesize"]:
        return [*words, "--preset", "tiny", "--workers", "1"]
    return words


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_the_commands_of_a_page_run_one_after_the_other(
    page: str, folder: Path, small_run: list[str], tiny_sysu: Path
) -> None:
    lines = shown(ROOT / page)
    assert lines
    for line in lines:
        command, _, target = line.partition(" > ")
        words = smaller(shlex.split(command)[1:], small_run=small_run, real=tiny_sysu)
        found = CliRunner().invoke(app, words)
        assert found.exit_code == 0, f"{line}\n{found.output}\n{found.exception!r}"
        if target:
            (folder / target).write_text(found.stdout)
    for word in shlex.split(" ".join(lines)):
        if word.endswith(".html"):
            assert (folder / word).is_file()


def test_the_example_of_the_metrics_page_gives_what_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "what-the-numbers-mean.md").read_text(encoding="utf-8")
    [(program, shown_output)] = re.findall(r"^```python\n(.*?)^```\n+```text\n(.*?)^```", page, flags=re.M | re.S)
    exec(compile(program, "what-the-numbers-mean.md", "exec"), {})
    assert capsys.readouterr().out == shown_output
