"""The page in a browser: at the width of a phone and of a desk, by day and by night."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: chromium is not on the PATH")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_and_every_figure_has_content(browser: Any, tiny_demo: Path, width: int, scheme: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("requestfailed", lambda request: problems.append(request.url))
    page.goto((tiny_demo / "report.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    drawn = page.evaluate(
        """[...document.querySelectorAll('figure svg')].map(svg => {
            const box = svg.getBoundingClientRect();
            const marks = svg.querySelectorAll('path, rect, use, line').length;
            return {marks, width: box.width, height: box.height, right: box.right, alt: svg.getAttribute('aria-label')};
        })"""
    )
    assert len(drawn) >= 8
    for figure in drawn:
        assert figure["marks"] > 4, figure
        assert figure["width"] > 100, figure
        assert figure["height"] > 50, figure
        assert figure["right"] <= width, figure
        assert figure["alt"], figure
    broken = "[...document.images].filter(i => !i.complete || !i.naturalWidth).length"
    assert page.evaluate(broken) == 0
    assert (
        _brightness(page, "backgroundColor") > 200 if scheme == "light" else _brightness(page, "backgroundColor") < 60
    )
    assert _brightness(page, "color") < 60 if scheme == "light" else _brightness(page, "color") > 200
    assert not problems
    context.close()


def test_the_page_is_printed_whole(browser: Any, tiny_demo: Path) -> None:
    page = browser.new_page()
    page.goto((tiny_demo / "report.html").as_uri())
    page.emulate_media(media="print", color_scheme="dark")
    assert _brightness(page, "backgroundColor") > 200
    assert page.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert len(page.pdf()) > 10_000
    page.close()


def _brightness(page: Any, what: str) -> float:
    """Mean of the three channels of a colour of the page's body, 0 to 255."""
    text = page.evaluate(f"getComputedStyle(document.body).{what}")
    values = [float(part) for part in text[text.index("(") + 1 : -1].split(",")[:3]]
    return sum(values) / 3
