"""The page as a whole: self-contained, of one run or several, with what forbids and what is refused."""

import html
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from vireid.cli.app import app
from vireid.errors import UsageError
from vireid.evaluation.results import METRICS, metric_label
from vireid.report import page as pages
from vireid.report.blocks import Drawing
from vireid.report.figures import cells_of, counts_of, ranking_of
from vireid.report.material import Material
from vireid.report.plots import Points, line_plot, point_plot, step_plot

RERANK = {"name": "k-reciprocal", "k1": 20, "k2": 6, "lambda": 0.3}


def figure(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "protocol": "i2v",
        "fingerprint": {"dataset": "people"},
        "mode": "full",
        "trials": 2,
        "queries": [5, 5],
        "valid_queries": [4, 5],
        "gallery": [9, 9],
        "std": dict.fromkeys(METRICS, 1.25),
        **dict.fromkeys(METRICS, 50.0),
    }
    return values | changes


def test_figures_in_words() -> None:
    assert [metric_label(name) for name in METRICS] == ["rank-1", "rank-5", "rank-10", "rank-20", "mAP", "mINP"]
    assert ranking_of(figure(mode="cascade:9")) == "cascade:9"
    assert ranking_of(figure(rerank=RERANK)) == "full, re-ranked (k-reciprocal: k1=20, k2=6, lambda=0.3)"
    assert cells_of(figure(), digits=2)["mAP"] == ("50.00", "1.25")
    assert cells_of(figure(std=dict.fromkeys(METRICS)), digits=1)["mAP"] == ("50.0", "-")
    assert list(counts_of(figure()).values()) == ["5", "4 to 5", "9"]


def test_plots_take_the_colour_of_the_page_and_carry_their_text() -> None:
    drawn = [
        line_plot({f"loss{n}": ([0, 1], [n, n]) for n in range(9)}, x="step", y="loss", alt='nine "lines"'),
        step_plot([0, 1, 2], {"one person": [1, 2], "two people": [3, 0]}, x="score", y="%", alt="steps"),
        point_plot([Points("visible", [0, 1], [1, 0], 0), Points("visible", [2], [2], 0, "^")], alt="points"),
        line_plot({}, x="", y="", alt="nothing"),
    ]
    for svg in drawn:
        assert svg.startswith('<svg role="img" aria-label="')
        assert "#010203" not in svg
        assert "currentColor" in svg or "nothing" in svg or "points" in svg
    assert "loss8" in drawn[0]
    assert "nine &#34;lines&#34;" in drawn[0]
    assert drawn[2].count(">visible<") == 1  # one entry in the legend
    assert drawn[0] == line_plot(
        {f"loss{n}": ([0, 1], [n, n]) for n in range(9)}, x="step", y="loss", alt='nine "lines"'
    )


class Addresses(HTMLParser):
    """Everything that a browser would fetch, and what it holds."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.anchors: list[str] = []
        self.ids: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        self.ids += [str(values["id"])] if "id" in values else []
        if tag == "a":
            self.anchors.append(str(values["href"]))
        elif tag in {"img", "link", "script", "iframe", "image", "source"}:
            self.fetched.append(str(values.get("src") or values.get("href")))


def test_the_page_of_the_demo_fetches_nothing_and_its_links_lead_somewhere(tiny_demo: Path) -> None:
    page = (tiny_demo / "report.html").read_text(encoding="utf-8")
    assert page.lstrip().startswith("<!doctype html>")
    found = Addresses(page)
    assert found.fetched
    assert all(address.startswith("data:") for address in found.fetched)
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)
    for anchor in found.anchors:
        assert anchor[1:] in found.ids if anchor.startswith("#") else (tiny_demo / anchor).is_file()


def test_every_section_is_on_the_page_of_the_demo(tiny_demo: Path, material: Material) -> None:
    page = html.unescape((tiny_demo / "report.html").read_text(encoding="utf-8"))
    sections = pages.sections_of([material])
    assert len(sections) == 11
    assert len({section.anchor for section in sections}) == 11
    for section in sections:
        assert f">{section.title}</h2>" in page
        for block in section.blocks:
            if isinstance(block, Drawing):
                assert 'role="img" aria-label=' in block.svg


def test_a_page_is_the_same_when_it_is_made_again(tiny_demo: Path, tmp_path: Path) -> None:
    for name in ("one.html", "two.html"):
        pages.write_report([tiny_demo], tmp_path / name, device="cpu")
    assert (tmp_path / "one.html").read_text() == (tmp_path / "two.html").read_text()


@pytest.fixture
def second(tiny_demo: Path, small_run: list[str], tmp_path: Path) -> Path:
    """A run of another seed on the demo's data."""
    out = tmp_path / "second"
    recipe = yaml.safe_load((tiny_demo / "recipe.yaml").read_text(encoding="utf-8"))
    changes = [f"data.root={recipe['data']['root']}", f"start={recipe['start']}", "seed=1", *small_run]
    found = CliRunner().invoke(app, ["train", "agw-demo", *changes, "--out", str(out), "--device", "cpu"])
    assert found.exit_code == 0, found.output
    return out


def test_several_runs_stand_side_by_side(tiny_demo: Path, second: Path, tmp_path: Path) -> None:
    out = tmp_path / "both.html"
    words = ["report", str(tiny_demo), str(second), "--out", str(out), "--device", "cpu", "--json"]
    found = CliRunner().invoke(app, words)
    assert found.exit_code == 0, found.output
    page = html.unescape(out.read_text(encoding="utf-8"))
    assert f"Of {tiny_demo.name}, the first of the runs." in page
    assert f"{tiny_demo.name} + second" in page  # one configuration, two seeds
    assert "second: " in page
    assert '"name": "second"' in found.stdout
    with pytest.raises(UsageError, match="cannot be compared: protocol"):
        pages.refuse_unlike(
            [
                *pages.groups_of([pages.open_material(tiny_demo, device="cpu")]),
                *pages.groups_of([pages.open_material(second, protocol="indoor-single-agw", device="cpu")]),
            ]
        )


def test_a_bundle_needs_its_data_and_has_no_training(tiny_demo: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "model"
    shutil.copytree(tiny_demo / "bundle", bundle)
    with pytest.raises(UsageError, match="add --data"):
        pages.write_report([bundle], tmp_path / "page.html", device="cpu")
    found = pages.write_report([bundle], tmp_path / "page.html", data=tiny_demo / "data", device="cpu")
    assert found["runs"][0]["result"]["trials"] == 10
    assert "bundles without their runs" in (tmp_path / "page.html").read_text()


def test_no_runs_make_no_page(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least one run"):
        pages.write_report([], tmp_path / "page.html")


def test_words_of_others_are_escaped(material: Material) -> None:
    odd = replace(material, name="<script>alert(1)</script>")
    blocks = [block for section in pages.sections_of([odd]) for block in section.blocks]
    drawn = "".join(block.svg for block in blocks if isinstance(block, Drawing))
    assert "<script" not in drawn
