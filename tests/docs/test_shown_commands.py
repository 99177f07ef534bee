"""Every command that README and docs show exists with these options; README's Python runs."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from vireid.cli.app import app

ROOT = Path(__file__).parents[2]
SITE = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [*sorted(ROOT.glob("*.md")), *SITE]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def shown() -> list[tuple[str, str]]:
    lines = []
    for page in PAGES:
        for block in blocks(page, "bash"):
            joined = block.replace("\\\n", " ")
            lines += [(page.name, line.split(" #")[0]) for line in joined.splitlines()]
    return lines


@pytest.mark.parametrize(
    ("page", "line"), [(page, line) for page, line in shown() if re.search(r"(^|-m )vireid ", line)]
)
def test_a_shown_command_is_understood(page: str, line: str) -> None:
    words = shlex.split(line.split(" > ")[0])
    words = words[words.index("vireid") + 1 :]
    command: Any = get_command(app)
    while hasattr(command, "commands"):
        assert words[0] in command.commands, f"{page}: {line}"
        command = command.commands[words.pop(0)]
    command.make_context("vireid", words)


@pytest.mark.parametrize("target", sorted({line.split()[1] for _, line in shown() if line.startswith("make ")}))
def test_a_shown_make_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.M)


def test_the_readme_example_runs(tiny_demo: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "demo").symlink_to(tiny_demo)
    [program] = blocks(ROOT / "README.md", "python")
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[0].endswith("gallery pictures")
    assert lines[1] == "1.0 1.0 1.0"
    assert [line.split()[0] for line in lines[2:]] == ["1", "2", "3"]


def anchors(page: Path) -> set[str]:
    """The names under which the headings of a page are reached."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^):]+)\)", page.read_text(encoding="utf-8")):
            path, _, anchor = target.partition("#")
            there = page.parent / path if path else page
            assert there.exists(), f"{page.name} links to {target}"
            assert not anchor or anchor in anchors(there), f"{page.name} links to {target}"


def test_the_navigation_holds_every_page() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text()
    missing = [page for page in SITE if f": {page.relative_to(ROOT / 'docs')}\n" not in navigation]
    assert not missing


def test_the_lock_names_no_address() -> None:
    assert "://" not in (ROOT / "requirements.txt").read_text()
    assert "--hash=sha256:" in (ROOT / "requirements.txt").read_text()
