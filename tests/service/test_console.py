"""The console without a browser: sessions, forms, and that its pages do what the interface does, and no more."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from service_fixtures import DECLARED, Browser, Service, fill, search, told
from starlette.testclient import TestClient

from vireid.service.app import create_app
from vireid.service.core import Core
from vireid.service.http.envelope import HEADERS, PAGE_HEADERS
from vireid.service.sessions import Sessions
from vireid.service.settings import Limits
from vireid.service.settings import Sessions as SessionLimits

GALLERY = "/console/galleries/entrance"
SAID = {"purpose": "missing-person", "case": "2026-17", "authorisation": "order 4", "until": "2199-12-31", "top": "3"}


def searched(browser: Browser, picture: bytes, **said: Any) -> httpx.Response:
    data = {**SAID, "modality": "infrared", **said}
    return browser.post(f"{GALLERY}/searches", data, files={"picture": ("night.png", picture)})


def made_search(answer: httpx.Response) -> str:
    assert answer.status_code == 201, answer.text
    [name] = set(re.findall(r'data-search="([0-9a-f]{32})"', answer.text))
    return str(name)


def hits_of(page: str) -> list[str]:
    return re.findall(r'name="image" value="([0-9a-f]{64})"', page)


def test_a_session_is_a_cookie_that_no_script_reads_and_no_other_page_sends(service: Service) -> None:
    browser = Browser(service.address)
    answer = browser.sign_in(service.key("reader"))
    [cookie] = [line for line in answer.headers.get_list("set-cookie") if line.startswith("vireid-session=")]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert "Secure" not in cookie
    assert "Max-Age" not in cookie
    assert "expires" not in cookie.lower()
    assert answer.headers["location"] == "/console"
    assert browser.get("/console").headers["location"] == "/console/galleries"
    assert service.browser("auditor").get("/console").headers["location"] == "/console/audit"
    browser.close()


def test_with_https_the_cookie_travels_by_that_alone(make_core: Callable[..., Core]) -> None:
    with TestClient(create_app(make_core(), tls=True), base_url="https://testserver") as client:
        cookie = client.get("/console/sign-in").headers["set-cookie"]
    assert cookie.startswith("__Host-vireid-entrance=")
    assert {"HttpOnly", "SameSite=strict", "Path=/", "Secure"} <= {part.strip() for part in cookie.split(";")}


def test_a_session_ends_by_itself_and_is_not_kept_in_the_clear() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    sessions = Sessions(SessionLimits(idle_minutes=30, hours=2), now=lambda: now)
    token = sessions.begin("k")
    assert token not in repr(vars(sessions))
    for _ in range(5):
        now += timedelta(minutes=29)
        found = sessions.find(token)
        assert (found is not None) == (now < datetime(2026, 1, 1, 2, tzinfo=UTC))
    token, other = sessions.begin("k"), sessions.begin("k")
    now += timedelta(minutes=20)
    assert sessions.find(other)
    now += timedelta(minutes=10)
    assert sessions.find(token) is None
    assert sessions.find(other)
    sessions.end(other)
    assert sessions.find(other) is None
    first = sessions.begin("k")
    rest = [sessions.begin("k") for _ in range(20)]
    assert sessions.find(first) is None
    assert all(sessions.find(one) for one in rest)
    for wrong in ("", "x", "\udcff"):
        assert sessions.find(wrong) is None


def test_a_session_ends_when_one_signs_out_or_the_key_is_revoked(service: Service) -> None:
    browser = service.browser("reader")
    cookies = dict(browser.client.cookies)
    answer = browser.post("/console/sign-out")
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/sign-in")
    assert answer.headers["clear-site-data"] == '"storage"'
    assert httpx.get(f"{service.address}/console", cookies=cookies).status_code == 401
    key = service.key("reader")
    browser = Browser(service.address)
    browser.sign_in(key)
    assert browser.get("/console/galleries").status_code == 200
    told(service.client("admin").delete(f"/v1/keys/{key.split('.')[0]}"))
    answer = browser.get("/console/galleries")
    assert answer.status_code == 401
    assert "revoked" in answer.text
    browser.close()
    entries = told(service.client("auditor").get("/v1/audit?limit=500"))["items"]
    assert [entry["action"] for entry in entries].count("session.begin") == 2
    assert [entry["action"] for entry in entries].count("session.end") == 1


def test_a_cookie_does_not_open_the_interface_and_a_key_not_the_console(service: Service) -> None:
    assert service.browser("admin").get("/v1/me").status_code == 401
    assert service.client("admin").get("/console/galleries").status_code == 401


def test_wrong_keys_are_counted_when_somebody_signs_in(make_service: Callable[..., Service]) -> None:
    service = make_service(limits=Limits(failures_per_minute=3))
    browser = Browser(service.address)
    answers = [browser.sign_in("0000000000000000.wrong") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [401] * 3 + [429]
    assert "unknown, expired or revoked" in answers[0].text
    assert browser.sign_in(service.key("reader")).status_code == 429
    browser.close()


def test_a_form_of_somebody_else_is_refused(service: Service) -> None:
    admin, other = service.browser("admin"), service.browser("admin")
    data = {"name": "yard", "bundle": "demo"}
    for token in ("", "x", other.token):
        answer = admin.post("/console/galleries", {**data, "token": token})
        assert answer.status_code == 403
        assert "<code>form-refused</code>" in answer.text
    assert admin.client.post("/console/galleries", data=data).status_code == 403
    for site in ("cross-site", "same-site"):
        assert admin.post("/console/galleries", data, headers={"Sec-Fetch-Site": site}).status_code == 403
    assert not told(service.client("admin").get("/v1/galleries"))["items"]
    assert admin.post("/console/galleries", data, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 303
    stranger = httpx.Client(base_url=service.address)
    data = {"key": service.key("admin"), "entrance": "guessed"}
    assert stranger.post("/console/sign-in", data=data).status_code == 403  # nobody is signed in with another's key
    assert "vireid-session" not in stranger.cookies
    stranger.close()


ELSEWHERE = ("https://example.org/", "//example.org", "/v1/me", "/console/sign-out", "/console/galleries/../x", "x")


def test_signing_in_leads_to_our_own_pages_alone(service: Service) -> None:
    browser, key = Browser(service.address), service.key("reader")
    for goal in ELSEWHERE:
        assert browser.sign_in(key, goal).headers["location"] == "/console"
    assert browser.sign_in(key, "/console/galleries").headers["location"] == "/console/galleries"
    browser.client.cookies.clear()
    assert f'name="goal" value="{GALLERY}"' in browser.get(GALLERY).text
    assert browser.get("/").headers["location"] == "/console"
    browser.close()


def test_pages_hold_no_script_and_no_style_and_ask_nobody_else(
    service: Service, pictures: Callable[..., list[Path]]
) -> None:
    picture = fill(service, pictures)[0].read_bytes()
    admin, auditor = service.browser("admin"), service.browser("auditor")
    made = searched(admin, picture)
    name, image = made_search(made), hits_of(made.text)[0]
    pages = [
        *(admin.get(f"/console/{path}") for path in ("galleries", "keys", "sign-in", "nothing")),
        *(admin.get(f"{GALLERY}{path}") for path in ("", "/search", "/searches", "/images", "/jobs", "/deletion")),
        *(admin.get(f"{GALLERY}/searches/{name}{path}") for path in ("", f"/hits/{image}")),
        *(admin.get(f"{GALLERY}/images/{image}{path}") for path in ("", "/deletion", "/searches")),
        *(auditor.get(f"/console/audit{path}") for path in ("", "/verification", "/alarms", "/counts")),
        made,
    ]
    for page in pages:
        assert page.status_code in (200, 201, 404), page.url
        assert {name: page.headers[name] for name in PAGE_HEADERS} == PAGE_HEADERS
        assert {name: page.headers[name] for name in set(HEADERS) - set(PAGE_HEADERS)} == {
            name: HEADERS[name] for name in set(HEADERS) - set(PAGE_HEADERS)
        }
        assert re.findall(r"<script(?! src=\"/console/static/)|<style|\sstyle=|\son\w+=|javascript:", page.text) == []
        assert re.findall(r'(?:src|href|action)="(?!/|data:|#)[^"]*"', page.text) == []
        assert page.text.count('method="post"') == len(
            re.findall(r'name="(?:token|entrance)" value="[^"]+"', page.text)
        )
    assert "unsafe" not in PAGE_HEADERS["Content-Security-Policy"]
    for file in re.findall(r'"(/console/static/[^"]+)"', pages[0].text):
        answer = service.client().get(file)
        assert (answer.status_code, "immutable" in answer.headers["cache-control"]) == (200, True)
    assert service.client().get("/console/static/../pages.py").status_code in (401, 404)


def test_from_a_search_to_a_receipt(service: Service, pictures: Callable[..., list[Path]], tmp_path: Path) -> None:
    fill(service, pictures)
    picture = pictures("queries", 1, seed=77)[0].read_bytes()
    one, two = service.browser("operator", holder="A. One"), service.browser("reader", holder="B. Two")
    made = searched(one, picture)
    assert 'src="data:image/png;base64,' in made.text  # shown back, and kept nowhere
    assert "no identification" in made.text
    assert "not calibrated" in made.text
    name, images = made_search(made), hits_of(made.text)
    assert len(images) == 3
    page = f"{GALLERY}/searches/{name}"
    assert "the picture was not kept" in two.get(page).text
    kept = [path for path in (tmp_path / "service").rglob("*") if path.is_file() and picture in path.read_bytes()]
    assert not kept
    mark = {"image": images[1], "verdict": "same"}
    answer = one.post(f"{page}/marks", mark)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{page}#hit-{images[1][:12]}")
    assert "a second person must confirm" in two.get(page).text
    assert "You were the first" in one.get(f"{page}/hits/{images[1]}").text
    assert one.post(f"{page}/marks", mark).status_code == 303  # the same person once more is no second one
    assert "confirmed by two people" not in one.get(page).text
    answer = two.post(f"{page}/marks", {**mark, "side_by_side": "true"})
    assert answer.headers["location"] == f"{page}/hits/{images[1]}"
    assert "confirmed by two people" in two.get(answer.headers["location"]).text
    standings = {
        hit["image"]: hit["standing"] for hit in told(service.client("reader").get(page_of_interface(name)))["hits"]
    }
    assert standings[images[1]] == "confirmed"
    deletion = f"{GALLERY}/images/{images[1]}/deletion"
    assert two.get(deletion).status_code == two.post(deletion).status_code == 403
    assert "for good?" in one.get(deletion).text
    receipt = one.post(deletion).text
    number, hashed = re.search(r"audit</dt><dd>(\d+)</dd>.*?<code>([0-9a-f]{64})</code>", receipt, re.S).groups()  # type: ignore[union-attr]
    entries = told(service.client("auditor").get(f"/v1/audit?after={int(number) - 1}&limit=1"))["items"]
    assert (entries[0]["action"], entries[0]["hash"]) == ("images.delete", hashed)
    assert images[1] not in one.get(page).text
    assert one.get(f"{GALLERY}/images/{images[1]}").status_code == 404


def page_of_interface(search: str) -> str:
    return f"/v1/galleries/entrance/searches/{search}"


def test_what_is_refused_is_said_over_the_form_as_it_was_filled_in(
    service: Service, pictures: Callable[..., list[Path]]
) -> None:
    picture = fill(service, pictures)[0].read_bytes()
    reader = service.browser("reader")
    for said, status, words in (
        ({"purpose": "curiosity"}, 403, "is not in the register"),
        ({"until": "2020-01-01"}, 403, "it ended at"),
        ({"until": "soon"}, 422, "until which day"),
        ({"modality": ""}, 422, "which kind of camera"),
        ({"top": "0"}, 422, "top"),
    ):
        answer = searched(reader, picture, **{"case": 'the "case"', **said})
        assert (answer.status_code, words in answer.text) == (status, True), said
        assert 'value="the &#34;case&#34;"' in answer.text
    answer = searched(reader, b"no picture")
    assert answer.status_code == 422
    fields = {**SAID, "modality": "visible", "token": reader.token}
    body = "".join(f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{fields[name]}\r\n' for name in fields)
    nothing = 'Content-Disposition: form-data; name="picture"; filename=""\r\nContent-Type: application/octet-stream'
    content = f"{body}--b\r\n{nothing}\r\n\r\n\r\n--b--\r\n".encode()  # as browsers send no file
    form = {"Content-Type": "multipart/form-data; boundary=b"}
    empty = reader.client.post(f"{GALLERY}/searches", content=content, headers=form)
    assert (empty.status_code, "choose a file first" in empty.text) == (422, True)
    refused = told(service.client("auditor").get("/v1/audit?action=search.refused"))["items"]
    assert [entry["details"]["code"] for entry in refused] == ["purpose-not-admissible", "authorisation-expired"]


def test_a_picture_of_the_gallery_is_searched_with_and_markup_stays_text(
    service: Service, pictures: Callable[..., list[Path]]
) -> None:
    fill(service, pictures)
    reader = service.browser("reader", holder="<b>A</b>")
    image = told(service.client("reader").get("/v1/galleries/entrance/images"))["items"][0]["id"]
    said = {**SAID, "case": "<script>x</script>", "cameras": ["1"]}
    answer = reader.post(f"{GALLERY}/images/{image}/searches", said)
    page = reader.get(answer.headers["location"]).text
    assert "&lt;script&gt;x" in page
    assert "<script>x" not in page
    assert "&lt;b&gt;A&lt;/b&gt;" in page
    assert set(re.findall(r"camera (\d)", page)) == {"1"}
    assert f"/images/{image}/picture" in page


def test_what_matched_needs_the_model_itself(service: Service, pictures: Callable[..., list[Path]]) -> None:
    paths = fill(service, pictures)
    found = told(search(service.client("reader"), paths[0]), 201)
    image = found["hits"][0]["image"]
    asked = {"data": {"image": image}, "files": {"picture": paths[0].read_bytes()}}
    answer = service.client("reader").post(f"{page_of_interface(found['id'])}/explanations", **asked)  # type: ignore[arg-type]
    assert told(answer, 409)["code"] == "not-explainable"
    assert "in torch" in service.browser("reader").get(f"{GALLERY}/searches/{found['id']}/hits/{image}").text


def test_pictures_come_in_and_admins_keep_galleries_and_keys(
    service: Service, pictures: Callable[..., list[Path]]
) -> None:
    admin = service.browser("admin")
    assert admin.post("/console/galleries", {"name": "Yard!", "bundle": "demo"}).status_code == 422
    answer = admin.post("/console/galleries", {"name": "yard", "bundle": "demo"})
    yard = answer.headers["location"]
    assert "Nobody can search here" in admin.get(f"{yard}/search").text
    assert admin.post(f"{yard}/purposes", {"name": "trial", "basis": "Act 1"}).status_code == 303
    assert "holds no picture" in admin.get(f"{yard}/search").text
    files = [("picture", (path.name, path.read_bytes())) for path in pictures("crops", 2)]
    added = admin.post(
        f"{yard}/images", {"modality": "visible", "camera": " 7 "}, files=[*files, ("picture", ("x.txt", b"x"))]
    )
    assert re.findall(r'class="state (\w+)"', added.text) == ["added", "added", "unreadable"]
    assert told(service.client("admin").get("/v1/galleries/yard"))["counts"] == [
        {"modality": "visible", "camera": "7", "pictures": 2}
    ]
    assert admin.post(f"{yard}/retention", {"pictures": "3", "searches": "4"}).status_code == 303
    assert told(service.client("admin").get("/v1/galleries/yard"))["retention_days"] == 3
    assert admin.post(f"{yard}/withdrawals", {"purpose": "trial"}).status_code == 303
    made = admin.post("/console/keys", {"holder": "N. New", "role": "reader", "names": ["yard"], "days": "9"})
    secret = re.search(r'class="secret">([^<]+)<', made.text)
    assert secret
    assert told(service.client(key=secret[1]).get("/v1/me"))["galleries"] == ["yard"]
    key = secret[1].split(".")[0]
    assert secret[1] not in admin.get("/console/keys").text
    assert "N. New" in admin.get(f"/console/keys/{key}/revocation").text
    assert admin.post(f"/console/keys/{key}/revocation").status_code == 303
    assert service.client(key=secret[1]).get("/v1/me").status_code == 401
    assert admin.post(f"{yard}/deletion", {"name": "yrad"}).status_code == 422
    assert "Gallery</dt><dd>yard, with 2 pictures" in admin.post(f"{yard}/deletion", {"name": "yard"}).text
    assert admin.get(yard).status_code == 404


def test_pictures_that_may_not_be_shown_are_not(service: Service, pictures: Callable[..., list[Path]]) -> None:
    admin = service.client("admin")
    told(admin.post("/v1/galleries", json={"id": "entrance", "bundle": "demo", "restricted": True}), 201)
    told(admin.post("/v1/galleries/entrance/purposes", json={"name": DECLARED["purpose"], "basis": "Act 1"}), 201)
    path = pictures("crops", 1)[0]
    files, data = {"picture": path.read_bytes()}, {"modality": "visible"}
    told(admin.post("/v1/galleries/entrance/images", files=files, data=data), 201)
    reader = service.browser("reader")
    made = searched(reader, path.read_bytes())
    image = hits_of(made.text)[0]
    for page in (made, reader.get(f"{GALLERY}/images"), reader.get(f"{GALLERY}/images/{image}")):
        assert "the terms of these pictures forbid it" in page.text
        assert "/picture" not in page.text


def test_the_auditor_sees_entries_alarms_counts_and_whether_all_is_sound(
    service: Service, pictures: Callable[..., list[Path]]
) -> None:
    picture = fill(service, pictures)[0].read_bytes()
    operator, auditor = service.browser("operator"), service.browser("auditor")
    for _ in range(5):
        assert searched(operator, picture).status_code == 201
    page = auditor.get("/console/audit").text
    numbers = [int(number) for number in re.findall(r"<p><strong>(\d+)</strong>", page)]
    assert numbers == sorted(numbers, reverse=True)
    assert len(numbers) > 10
    only = auditor.get("/console/audit?action=search").text
    assert len(re.findall(r"<p><strong>\d+</strong> search", only)) == 5
    assert "Sound" in auditor.get("/console/audit/verification").text
    assert "5 searches</strong> in entrance" in auditor.get("/console/audit/alarms").text
    assert re.search(
        r"missing-person</td><td>searches</td><td class=\"number\">5<", auditor.get("/console/audit/counts").text
    )
    assert operator.get("/console/audit").status_code == 403
    assert auditor.get(f"{GALLERY}/images").status_code == 403
