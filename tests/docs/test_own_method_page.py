"""The page on writing a method is executed: class, package and recipe are taken out of it as they stand."""

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vireid.cli.app import app

PAGE = Path(__file__).parents[2] / "docs" / "own-method.md"


def titled(title: str) -> str:
    """The block of the page that carries this file name."""
    [block] = re.findall(rf'^```\w+ title="{re.escape(title)}"\n(.*?)^```', PAGE.read_text("utf-8"), flags=re.M | re.S)
    return str(block)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder that looks to Python like the installed package of the page."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "plain_reid.py").write_text(titled("plain_reid.py"))
    project = tomllib.loads(titled("pyproject.toml"))["project"]
    about = site / f"plain_reid-{project['version']}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [f"[{group}]" for group in project["entry-points"]]
    lines += [f"{name} = {target}" for group in project["entry-points"].values() for name, target in group.items()]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "plain-sysu.yaml").write_text(titled("plain-sysu.yaml"))
    return site


def test_a_package_outside_the_tree_is_listed_explained_trained_and_tested(
    installed: Path, small_run: list[str], tiny_sysu: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(installed))
    monkeypatch.chdir(tmp_path)

    def vireid(*words: object) -> Any:
        found = CliRunner().invoke(app, [str(word) for word in words] + ["--json"])
        assert found.exit_code == 0, f"{found.output}\n{found.exception!r}"
        return json.loads(found.stdout)

    try:
        assert vireid("methods", "list")["plain"] == "One network for both modalities, cross-entropy alone"
        assert set(vireid("methods", "show", "plain")["options"]["properties"]) == {"architecture", "smoothing"}
        data = [f"data.root={tiny_sysu}", "start=none"]
        vireid("train", "plain-sysu.yaml", *data, *small_run, "--out", "run", "--device", "cpu")
        result = vireid("evaluate", "run", "--device", "cpu")
    finally:
        sys.modules.pop("plain_reid", None)
    assert result["trials"] == 10
    assert 0 <= result["mAP"] <= 100
