"""The console in a real browser: with a pointer, with the keyboard alone, on a phone, by day and by night."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from service_fixtures import Service, fill, run_service, told

from vireid.gallery import Gallery
from vireid.methods.bundle import Bundle
from vireid.service import Core, Settings
from vireid.service.adopting import adopt

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: chromium is not on the PATH"),
    pytest.mark.slow,
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def pages(browser: Any, service: Service) -> Iterator[Callable[..., Any]]:
    """Opens a page of the console for somebody with a key of a role; whatever goes wrong in one fails the test."""
    contexts, problems = [], []

    def open_page(role: str, holder: str = "A. Person", *, scripted: bool = True, **how: Any) -> Any:
        contexts.append(browser.new_context(java_script_enabled=scripted, **how))
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda asked: None if _ours(asked.url, service) else problems.append(asked.url))
        page.goto(f"{service.address}/console")
        problems.clear()  # that nobody is signed in yet
        page.get_by_label("Your key").fill(service.key(role, holder=holder))
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("button", name="Sign out").wait_for()  # keys that are pressed before go to the page that goes
        page.wait_for_load_state()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not problems


def _ours(url: str, service: Service) -> bool:
    return url.startswith((service.address, "data:", "blob:"))


def night(folder: Path) -> Path:
    """A grey picture."""
    grey = np.random.default_rng(3).integers(0, 255, (48, 24, 1), np.uint8).repeat(3, axis=2)
    Image.fromarray(grey).save(folder / "night.png")
    return folder / "night.png"


def declare(page: Any) -> None:
    page.get_by_label("Purpose").select_option("missing-person")
    page.get_by_label("Case").fill("2026-17")
    page.get_by_label("Authorisation").fill("order 4")
    page.get_by_label("It holds until").fill("2199-12-31")


@pytest.mark.parametrize("scripted", [True, False])
def test_from_signing_in_to_a_receipt(
    pages: Callable[..., Any], service: Service, pictures: Callable[..., list[Path]], tmp_path: Path, scripted: bool
) -> None:
    fill(service, pictures)
    page = pages("operator", "A. One", scripted=scripted)
    page.get_by_role("link", name="entrance", exact=True).click()
    assert page.get_by_role("row", name="2 visible 4").count() == 1
    page.get_by_role("link", name="Search", exact=True).click()
    page.locator("#picture").set_input_files(night(tmp_path))
    if scripted:
        page.get_by_text("It looks infrared, since it is grey").wait_for()
        assert page.get_by_label("infrared proposed").count() == 1
    assert page.locator("input[name=modality]:checked").count() == 0  # it is proposed, and the person says it
    page.locator("input[name=modality][value=infrared]").check()
    declare(page)
    page.get_by_label("Hits").fill("4")
    page.get_by_role("button", name="Search").click()
    assert page.get_by_role("heading", name="4 hits").count() == 1
    assert page.get_by_text("No identification").count() == 1
    assert shown(page.locator(".query img"))
    page.get_by_role("button", name="Hit 2: same person").click()
    assert page.get_by_text("a second person must confirm").count() == 1
    assert page.locator(".query img").count() == int(scripted)  # this tab keeps the picture; the service does not
    second = pages("reader", "B. Two", scripted=scripted)
    second.goto(page.url.split("#")[0])
    assert second.locator(".query img").count() == 0
    second.get_by_role("link", name="Hit 2, side by side").click()
    assert shown(second.locator(".pair img").last)
    second.get_by_role("button", name="Hit 2: same person").click()
    assert second.get_by_text("confirmed by two people").count() == 1
    page.reload()
    assert page.get_by_text("confirmed by two people").count() == 1
    page.get_by_role("link", name="Hit 2, side by side").click()
    page.locator("dd a").click()
    page.get_by_role("link", name="Delete it").click()
    page.get_by_role("button", name="Delete it").click()
    assert page.get_by_role("heading", name="Deleted").count() == 1
    [hashed] = [text for text in page.locator("dd code").all_inner_texts() if len(text) == 64][1:]
    entries = told(service.client("auditor").get("/v1/audit?action=images.delete"))["items"]
    assert [entry["hash"] for entry in entries] == [hashed]
    page.get_by_role("button", name="Sign out").click()
    assert page.get_by_label("Your key").count() == 1
    if scripted:
        assert page.evaluate("sessionStorage.length") == 0


def test_the_keyboard_alone_is_enough(
    pages: Callable[..., Any], service: Service, pictures: Callable[..., list[Path]], tmp_path: Path
) -> None:
    fill(service, pictures)
    page = pages("reader")
    page.keyboard.press("Tab")
    assert focused(page) == "To the content"
    reach(page, "Search")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search")
    page.locator("#picture").set_input_files(night(tmp_path))  # what the browser's own window for files would do
    page.locator("#picture").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")  # from the first of the two to the second
    assert page.locator("input[name=modality]:checked").get_attribute("value") == "infrared"
    page.keyboard.press("Tab")
    page.keyboard.press("m")
    for text in ("2026-17", "order 4"):
        page.keyboard.press("Tab")
        page.keyboard.type(text)
    page.keyboard.press("Tab")
    page.keyboard.type("12312099")
    reach(page, "Search")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="8 hits").wait_for()
    reach(page, "Same")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert float(outline.removesuffix("px")) >= 2
    page.keyboard.press("Space")
    page.get_by_text("a second person must confirm").wait_for()


def test_a_picture_is_dropped_or_pasted(
    pages: Callable[..., Any], service: Service, pictures: Callable[..., list[Path]], tmp_path: Path
) -> None:
    colours = fill(service, pictures)[0]
    page = pages("reader")
    page.goto(f"{service.address}/console/galleries/entrance/search")
    hand_over = """([bytes, kind]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], "given.png", {type: "image/png"}));
        const event = kind === "paste" ? new ClipboardEvent("paste", {clipboardData: data, bubbles: true})
                                       : new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true});
        document.querySelector(".drop").dispatchEvent(event);
    }"""
    for path, kind, words in ((colours, "drop", "It looks visible"), (night(tmp_path), "paste", "It looks infrared")):
        page.evaluate(hand_over, [list(path.read_bytes()), kind])
        page.get_by_text(words).wait_for()
        assert page.evaluate("document.querySelector('#picture').files[0].name") == "given.png"
        assert page.locator("[data-previews] img").count() == 1
    page.locator("input[name=modality][value=infrared]").check()
    declare(page)
    page.get_by_role("button", name="Search").click()
    page.get_by_role("heading", name="8 hits").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_every_page_fits_and_can_be_read(
    pages: Callable[..., Any],
    service: Service,
    pictures: Callable[..., list[Path]],
    tmp_path: Path,
    width: int,
    scheme: str,
) -> None:
    long = "a-gallery-with-a-name-that-goes-on-and-on-until-nothing-is-left"[:63]
    fill(service, pictures, long)
    data = {"modality": "infrared", "purpose": "missing-person", "case": "x" * 200, "authorisation": "y" * 200}
    data["authorised_until"] = "2199-01-01T00:00:00Z"
    files = {"picture": night(tmp_path).read_bytes()}
    found = told(service.client("reader").post(f"/v1/galleries/{long}/searches", data=data, files=files), 201)
    image, here = found["hits"][0]["image"], f"/galleries/{long}"
    places = ["/galleries", here, "/keys", f"{here}/search", f"{here}/searches", f"{here}/searches/{found['id']}"]
    places += [
        f"{here}/searches/{found['id']}/hits/{image}",
        f"{here}/images",
        f"{here}/images/{image}",
        f"{here}/jobs",
    ]
    places += [f"{here}/images/{image}/deletion", f"{here}/images/{image}/searches", f"{here}/deletion"]
    audit = [f"/audit{part}" for part in ("", "/verification", "/alarms", "/counts")]
    how = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    for role, some in (("admin", places), ("auditor", audit)):
        page = pages(role, "W" * 60, **how)
        for place in some:
            page.goto(f"{service.address}/console{place}")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, place
            assert page.evaluate(CONTRAST) >= 4.5, place
            assert page.evaluate(SMALL) == [], place


SMALL = """[...document.querySelectorAll('button, .button, select, input:not([type=hidden])')].filter(one => {
    const box = (one.closest('label') || one).getBoundingClientRect();
    return one.checkVisibility() && one.type !== 'file' && (box.height < 38 || box.right > innerWidth);
}).map(one => one.outerHTML)"""

CONTRAST = """(() => {
    const parse = text => (text.match(/[\\d.]+/g) || []).map(Number);
    const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    const light = colour => colour.slice(0, 3).map(v => linear(v / 255))
        .reduce((sum, v, place) => sum + v * [.2126, .7152, .0722][place], 0);
    const behind = one => {
        for (; one; one = one.parentElement) {
            const colour = parse(getComputedStyle(one).backgroundColor);
            if (colour.length === 3 || colour[3] > 0) return colour;
        }
    };
    let least = 21;
    for (const one of document.querySelectorAll('main *, header *')) {
        const written = [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim());
        if (!written || !one.checkVisibility() || one.closest('svg, option')) continue;
        const [a, b] = [light(parse(getComputedStyle(one).color)), light(behind(one))];
        least = Math.min(least, (Math.max(a, b) + .05) / (Math.min(a, b) + .05));
    }
    return least;
})()"""


def test_an_import_moves_by_itself(
    pages: Callable[..., Any], service: Service, pictures: Callable[..., list[Path]], tmp_path: Path
) -> None:
    fill(service, pictures)
    archive = shutil.make_archive(str(tmp_path / "more"), "zip", pictures("more", 3, seed=8)[0].parent)
    page = pages("operator")
    page.goto(f"{service.address}/console/galleries/entrance/images")
    page.get_by_text("A zip archive").click()
    page.locator("#archive").set_input_files(archive)
    page.locator("#archive-modality").select_option("infrared")
    page.locator("form[action$=archives] button").click()
    page.locator(".state.done").wait_for()
    assert page.locator(".state.added").count() == 3


def test_what_matched_is_drawn_for_the_picture_that_was_searched_with(
    browser: Any, tiny_demo: Path, tmp_path: Path
) -> None:
    """With a model in torch: over the interface and on the page, whose picture comes from the tab."""
    bundle = Bundle.open(tiny_demo)
    crops = sorted((tiny_demo / "data" / "cam1").rglob("*.jpg"))[:3]
    Gallery.build(tmp_path / "mine", bundle, crops, modality="visible", device="cpu")
    core = Core(Settings(folder=tmp_path / "service", bundles={"demo": tiny_demo}, device="cpu"))
    adopt(core, tmp_path / "mine", purposes={"missing-person": "Act 1"})
    service = run_service(core)
    try:
        query = sorted((tiny_demo / "data" / "cam3").rglob("*.jpg"))[0]
        data = {"modality": "infrared", "purpose": "missing-person", "case": "1", "authorisation": "a"}
        data["authorised_until"] = "2199-01-01T00:00:00Z"
        reader = service.client("reader")
        upload = {"picture": query.read_bytes()}
        found = told(reader.post("/v1/galleries/mine/searches", data=data, files=upload), 201)
        route, asked = f"/v1/galleries/mine/searches/{found['id']}/explanations", {"image": found["hits"][1]["image"]}
        told_why = told(reader.post(route, data=asked, files=upload))
        assert told_why["score"] == pytest.approx(found["hits"][1]["score"], abs=1e-3)
        assert np.shape(told_why["query"]) == np.shape(told_why["hit"]) == (told_why["rows"], told_why["columns"])
        other = {"picture": crops[0].read_bytes()}
        assert told(reader.post(route, data=asked, files=other), 409)["code"] == "not-explainable"
        assert told(reader.post(route, data=asked), 422)["code"] == "invalid"
        assert told(reader.post(route, data={"image": "0" * 64}, files=upload), 404)["code"] == "not-found"
        gallery_picture = hashlib.sha256(crops[0].read_bytes()).hexdigest()
        similar = {**data, "top": 2, "modalities": ["visible"]}
        del similar["modality"]
        made = told(reader.post(f"/v1/galleries/mine/images/{gallery_picture}/searches", json=similar), 201)
        route = f"/v1/galleries/mine/searches/{made['id']}/explanations"
        told(reader.post(route, data={"image": made["hits"][0]["image"]}))
        entries = told(service.client("auditor").get("/v1/audit?action=search.explain"))["items"]
        assert [entry["details"]["search"] for entry in entries] == [found["id"], made["id"]]
        page = browser.new_page()
        page.goto(f"{service.address}/console/galleries/mine/search")
        page.get_by_label("Your key").fill(service.key("reader"))
        page.get_by_role("button", name="Sign in").click()
        page.locator("#picture").set_input_files(query)
        page.locator("input[name=modality][value=infrared]").check()
        declare(page)
        page.get_by_role("button", name="Search").click()
        page.get_by_role("link", name="Hit 1, side by side").click()
        page.get_by_role("button", name="Show what matched").click()
        drawing = page.locator(".drawing svg")
        drawing.wait_for()
        assert drawing.locator("rect").count() > 60
        assert drawing.locator("image").count() == 2
        assert "Heaviest regions" in str(drawing.get_attribute("aria-label"))
        assert shown(page.locator(".query img"))
        assert json.loads(page.evaluate("JSON.stringify(Object.keys(sessionStorage))")) != []
        page.close()
    finally:
        service.close()


def shown(image: Any) -> bool:
    image.wait_for()
    image.evaluate("image => image.decode()")
    return bool(image.evaluate("image => image.naturalWidth > 0"))


def focused(page: Any) -> str:
    return str(page.evaluate("document.activeElement.innerText || document.activeElement.value || ''")).strip()


def reach(page: Any, name: str) -> None:
    """Tab until something with that text is focused."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if re.fullmatch(name, focused(page)):
            return
    raise AssertionError(f"{name} cannot be reached by the keyboard")
