"""`vireid data doctor`, and what holds for every diagnosis."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vireid.cli.app import app
from vireid.data import open_dataset
from vireid.data.doctor import CHECKS, Level, examine
from vireid.data.doctor.findings import few, spans

Copy = Callable[[Path], Path]
LAYOUTS = ("sysu", "regdb", "llcm")


def run(*words: str | Path) -> tuple[int, str]:
    found = CliRunner().invoke(app, ["data", "doctor", *map(str, words)], env={"COLUMNS": "220"})
    return found.exit_code, found.output


def state(root: Path) -> dict[str, tuple[bytes | None, int]]:
    """Bytes and time of the last change of everything below `root`."""
    return {
        str(path.relative_to(root)): (path.read_bytes() if path.is_file() else None, path.stat().st_mtime_ns)
        for path in [root, *root.rglob("*")]
    }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_healthy_set_passes(layout: str, request: pytest.FixtureRequest) -> None:
    root = request.getfixturevalue(f"tiny_{layout}")
    code, out = run(root)
    assert code == 0, out
    assert "nothing is wrong" in out
    assert open_dataset(layout, root).fingerprint in out
    assert "error" not in out


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_diagnosis_of_a_healthy_set(layout: str, request: pytest.FixtureRequest) -> None:
    root = request.getfixturevalue(f"tiny_{layout}")
    diagnosis = examine(root)
    dataset = open_dataset(layout, root)
    assert diagnosis.findings == ()
    assert (diagnosis.layout, diagnosis.name, diagnosis.version) == (layout, dataset.name, dataset.version)
    assert diagnosis.fingerprint == dataset.fingerprint
    assert diagnosis.pictures == len(dataset.images)
    skipped = () if layout == "sysu" else ("arrays", "permutation")
    assert [check.name for check in diagnosis.checks] == [name for name in CHECKS if name not in skipped]
    assert {check.level for check in diagnosis.checks} == {Level.OK}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_nothing_is_modified(layout: str, copy: Copy, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    root = copy(request.getfixturevalue(f"tiny_{layout}"))
    next(root.rglob("*.bmp" if layout == "regdb" else "*.jpg")).write_bytes(b"")
    before = state(root)
    code, _ = run(root, "--report", tmp_path / "report.json")
    assert code == 1
    assert state(root) == before


def test_an_error_is_told_with_cause_and_remedy_and_fails(tiny_sysu: Path, copy: Copy, tmp_path: Path) -> None:
    root = copy(tiny_sysu)
    (root / "exp/val_id.txt").write_text("\n")
    code, out = run(root, "--report", tmp_path / "a/report.json", "--no-pictures")
    assert code == 1
    assert "identities.validation-lost" in out
    assert "probable cause" in out
    assert "what to do" in out
    report = json.loads((tmp_path / "a/report.json").read_text())
    assert (report["format"], report["layout"], report["healthy"], report["errors"]) == (1, "sysu", False, 2)
    finding = report["findings"][0]
    assert finding["code"] == "identities.validation-lost"
    assert finding["level"] == "error"
    assert finding.keys() == {"code", "level", "found", "expected", "cause", "remedy", "examples"}
    levels = {check["name"]: check["level"] for check in report["checks"]}
    assert (levels["identities"], levels["counts"], levels["files"], levels["sizes"]) == (
        "error",
        "error",
        "ok",
        "skipped",
    )
    code, out = run(root, "--json", "--no-pictures")
    assert (code, json.loads(out)) == (1, report)


def test_warnings_alone_pass(tiny_sysu: Path, copy: Copy) -> None:
    root = copy(tiny_sysu)
    (root / ".DS_Store").write_bytes(b"x")
    code, out = run(root, "--no-pictures")
    assert code == 0
    assert "warning" in out
    assert "errors: 0, warnings: 1" in out


@pytest.mark.parametrize("name", ["report.json", "cam1/report.json"])
def test_a_report_inside_the_data_set_is_refused(tiny_sysu: Path, copy: Copy, name: str, monkeypatch) -> None:
    root = copy(tiny_sysu)
    monkeypatch.setattr(sys, "argv", ["vireid", "data", "doctor", str(root), "--report", str(root / name)])
    from vireid.cli import main

    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert not (root / name).exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["/nowhere"], 1, "/nowhere does not exist"),
        (["."], 1, "is empty"),
        ([".", "--layout", "sisu"], 2, "did you mean 'sysu'"),
    ],
)
def test_misuse_is_one_clear_line(words: list[str], code: int, message: str, tmp_path: Path) -> None:
    program = "from vireid.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "data", "doctor", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_help_imports_neither_torch_nor_numpy() -> None:
    program = (
        "import sys; from vireid.cli.app import app\n"
        "try: app(['data', 'doctor', '--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'numpy', 'pandas', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_doctor_needs_no_torch(tiny_llcm: Path) -> None:
    program = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'torchvision', 'timm', 'accelerate')))\n"
        f"from vireid.data.doctor import examine; print(examine({str(tiny_llcm)!r}).healthy)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def break_layout(root: Path, layout: str, number: int) -> None:
    """One of several ways to harm any of the three layouts."""
    folder = {"sysu": "cam4", "regdb": "Visible", "llcm": "test_vis"}[layout]
    pictures = sorted(path for path in (root / folder).rglob("*") if path.is_file())
    lists = sorted((root / ("exp" if layout == "sysu" else "idx")).glob("t*.txt"))
    if number == 0:
        shutil.rmtree(root / folder)
    elif number == 1:
        pictures[0].unlink()
    elif number == 2:
        pictures[0].rename(pictures[0].with_name("x" + pictures[0].name))
    elif number == 3:
        pictures[0].parent.rename(pictures[0].parent.with_name("9999"))
    elif number == 4:
        lists[0].write_bytes(b"\xff\xfe\x00")
    elif number == 5:
        lists[0].write_text(
            lists[0].read_text().rpartition(",")[0] or "".join(lists[0].read_text().splitlines(True)[:-1])
        )
    elif number == 6:
        lists[0].unlink()


@pytest.mark.parametrize("number", range(7))
@pytest.mark.parametrize("layout", LAYOUTS)
def test_harm_of_any_kind_to_any_layout_is_never_called_healthy(
    layout: str, number: int, copy: Copy, request: pytest.FixtureRequest
) -> None:
    root = copy(request.getfixturevalue(f"tiny_{layout}"))
    break_layout(root, layout, number)
    assert not examine(root, pictures=False).healthy


def test_a_picture_that_may_not_be_read_is_told(tiny_sysu: Path, copy: Copy) -> None:
    root = copy(tiny_sysu)
    path = root / "cam1/0004/0001.jpg"
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    finding = next(f for f in examine(root).findings if f.code == "pictures.unreadable")
    assert "Permission denied" in finding.examples[0]


def test_numbers_and_examples_are_shortened() -> None:
    assert spans([3, 1, 2, 7, 9, 10]) == "1-3, 7, 9-10"
    assert spans(range(0, 40, 2)).endswith("10, ...")
    assert few(str(n) for n in range(20)) == ("0", "1", "2", "3", "4", "5", "6", "7", "and 12 more")


def test_every_code_stands_in_the_documentation_and_no_other() -> None:
    themes = "|".join(CHECKS)
    sources = (Path(__file__).parents[3] / "src/vireid/data/doctor").glob("*.py")
    used = {code for path in sources for code in re.findall(rf'"((?:{themes})\.[a-z-]+)"', path.read_text())}
    page = (Path(__file__).parents[3] / "docs/doctor.md").read_text()
    assert used == set(re.findall(rf"^\| `((?:{themes})\.[a-z-]+)`", page, flags=re.M))
