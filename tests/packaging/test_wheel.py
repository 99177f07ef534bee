"""The wheel, installed alone and without torch: what a user gets from `pip install vireid`."""

import json
import os
import runpy
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
BUILT = {".pyc", ".nbi", ".nbc"}  # what interpreters leave beside sources


def succeed(*words: object, folder: Path) -> str:
    """Standard output of a program run in `folder`, where no source tree helps it."""
    clean = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(
        [str(word) for word in words], cwd=folder, env=clean, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def uv() -> str:
    found = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    assert found, "uv is not there; `make setup` installs it"
    return found


@pytest.fixture(scope="module")
def wheel(uv: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    succeed(uv, "build", "--wheel", "--quiet", "--out-dir", out, ROOT, folder=out)
    [built] = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(uv: str, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of an environment that holds the wheel and what it asks for, at the versions of the lock."""
    folder = tmp_path_factory.mktemp("environment")
    succeed(uv, "venv", "--quiet", "--python", sys.executable, folder / "venv", folder=folder)
    python = folder / "venv" / "bin" / "python"
    succeed(uv, "pip", "install", "--quiet", "--python", python, "-c", ROOT / "requirements.txt", wheel, folder=folder)
    return python.parent


def test_the_wheel_holds_the_package_with_its_data_and_nothing_else(wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    source = ROOT / "src"
    files = {path for path in (source / "vireid").rglob("*") if path.is_file() and path.suffix not in BUILT}
    assert held == {path.relative_to(source).as_posix() for path in files}
    assert {"vireid/py.typed", "vireid/data/official/sysu.json", "vireid/gallery/templates/sheet.html"} <= held


def test_the_wheel_installs_neither_torch_nor_a_word_of_the_tree(installed: Path, tmp_path: Path) -> None:
    program = "import importlib.util as u, vireid; print(u.find_spec('torch'), vireid.__file__)"
    torch, place = succeed(installed / "python", "-c", program, folder=tmp_path).split()
    assert torch == "None"
    assert Path(place).is_relative_to(installed.parent)


def test_every_command_explains_itself(installed: Path, tmp_path: Path) -> None:
    assert "evaluate" in succeed(installed / "vireid", "--help", folder=tmp_path)
    for words in (["evaluate"], ["search"], ["train"], ["data", "doctor"], ["methods"], ["recipes"]):
        assert "Usage: vireid" in succeed(installed / "vireid", *words, "--help", folder=tmp_path)
    program = "from vireid.methods import names; print(*names())"
    assert "agw" in succeed(installed / "python", "-c", program, folder=tmp_path).split()


def test_a_data_set_is_made_read_and_examined(installed: Path, tmp_path: Path) -> None:
    vireid = installed / "vireid"
    succeed(vireid, "data", "synthesize", "people", "--preset", "tiny", "--workers", "1", folder=tmp_path)
    shown = json.loads(succeed(vireid, "data", "show", "people", "--json", folder=tmp_path))
    assert "all-single-agw" in {protocol["protocol"] for protocol in shown["protocols"]}
    found = json.loads(succeed(vireid, "data", "doctor", "people", "--json", folder=tmp_path))
    assert found["fingerprint"] == shown["fingerprint"]
    program = "from vireid.data.counts import official_pictures as o; print(len(o('sysu')) > 0, len(o('llcm')) > 0)"
    assert succeed(installed / "python", "-c", program, folder=tmp_path).split() == ["True", "True"]


def test_scores_of_another_program_are_evaluated(installed: Path, tmp_path: Path) -> None:
    np.savez(
        tmp_path / "scores.npz",
        scores=np.array([[0.9, 0.2, 0.4], [0.8, 0.1, 0.3]]),
        query_ids=[7, 3],
        gallery_ids=[7, 3, 7],
        query_cameras=[6, 6],
        gallery_cameras=[1, 2, 4],
    )
    words = ["evaluate", "--scores", "scores.npz", "--rule", "sysu", "--json"]
    found = json.loads(succeed(installed / "vireid", *words, folder=tmp_path))
    assert found["rank1"] == 50
    assert found["mAP"] == pytest.approx(100 * (1 + 1 / 3) / 2)


@pytest.mark.parametrize("pairs", [False, True])
def test_an_export_is_indexed_and_searched(installed: Path, tmp_path: Path, pairs: bool) -> None:
    """With `pairs` as a cascade in which a graph scores."""
    made = runpy.run_path(str(ROOT / "tests" / "methods" / "made_export.py"))
    made["write_export"](tmp_path / "export", pairs=pairs)
    (tmp_path / "crops").mkdir()
    for number, tone in enumerate([(200, 40, 40), (40, 200, 40), (40, 40, 200)]):
        Image.new("RGB", (8, 16), tone).save(tmp_path / "crops" / f"{number}.png")
    Image.new("RGB", (8, 16), (60, 220, 60)).save(tmp_path / "query.png")
    vireid, gallery = installed / "vireid", ("--modality", "visible", "--bundle", "export", "--out", "gallery")
    indexed = json.loads(succeed(vireid, "index", "crops", *gallery, "--json", folder=tmp_path))
    assert indexed["added"] == 3
    words = ("search", "query.png", "--modality", "infrared", "--gallery", "gallery", "--json")
    found = json.loads(succeed(vireid, *words, folder=tmp_path))
    assert found["mode"] == ("cascade:50" if pairs else "full")
    assert Path(found["hits"][0]["path"]).name == "1.png"


def test_exporting_without_torch_says_what_is_missing(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [installed / "vireid", "export", "bundle", "--out", "export"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "pip install 'vireid[" in done.stderr
