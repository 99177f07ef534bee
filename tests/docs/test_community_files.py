"""The files that say how to cite, change and report."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_citation_is_what_its_schema_asks_for_and_the_project_says() -> None:
    found = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(found)  # required by the schema
    assert set(found) <= {
        "abstract",
        "authors",
        "cff-version",
        "date-released",
        "doi",
        "keywords",
        "license",
        "message",
    } | {"preferred-citation", "references", "repository-code", "title", "type", "url", "version"}
    assert found["cff-version"] == "1.2.0"
    assert found["type"] in {"software", "dataset"}
    assert all("name" in author or {"family-names", "given-names"} <= set(author) for author in found["authors"])
    assert (found["version"], found["license"]) == (PROJECT["version"], PROJECT["license"])
    assert [author["name"] for author in found["authors"]] == [author["name"] for author in PROJECT["authors"]]


def test_the_changelog_keeps_its_form() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    versions = [line for line in lines if line.startswith("## ")]
    assert versions[0] == "## [Unreleased]"
    assert all(re.fullmatch(r"## \[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", line) for line in versions[1:])
    kinds = {line.removeprefix("### ") for line in lines if line.startswith("### ")}
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_the_way_to_the_other_files_is_shown(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "lawful-use.md" in text


def test_every_make_target_is_explained_to_contributors() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M)) - {"clean", "demo"}
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert not [target for target in targets if f"| `make {target}` |" not in text]
