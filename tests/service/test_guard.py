"""What is refused before a body is read, and what every answer carries."""

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from service_fixtures import Service, fill, told

from vireid.service.http.envelope import HEADERS
from vireid.service.problems import CODES
from vireid.service.settings import Limits


def test_a_stranger_is_answered_before_the_body_is_sent(service: Service) -> None:
    place = urlsplit(service.address)
    for headers, status in (({}, 401), ({"Authorization": "Bearer x.y"}, 401)):
        connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=10)
        connection.putrequest("POST", "/v1/galleries/entrance/searches")
        for name, value in {**headers, "Content-Length": str(30 * 2**20)}.items():
            connection.putheader(name, value)
        connection.endheaders()  # and no body at all
        assert connection.getresponse().status == status
        connection.close()


def test_bytes_are_limited_by_route_said_or_not(make_service: Callable[..., Service]) -> None:
    limits = Limits(json_bytes=2048, pictures_bytes=4096, archive_bytes=8192)
    service = make_service(limits=limits)
    admin = service.client("admin")
    told(admin.post("/v1/galleries", json={"id": "entrance", "bundle": "demo"}), 201)

    opening = b'--b\r\nContent-Disposition: form-data; name="picture"; filename="a"\r\n\r\n'

    def chunks(count: int) -> Iterator[bytes]:
        yield opening
        for _ in range(count):
            yield b"x" * 1024

    zipped, form = {"Content-Type": "application/zip"}, {"Content-Type": "multipart/form-data; boundary=b"}
    archives = "/v1/galleries/entrance/archives?modality=visible"
    for path, size, headers in (
        ("/v1/galleries", 2, {"Content-Type": "application/json"}),
        ("/v1/galleries/entrance/images", 4, form),
        (archives, 8, zipped),
    ):
        for content in (b"".join(chunks(size)), chunks(size)):
            answer = admin.post(path, content=content, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (413, "too-large"), path
    assert told(admin.post(archives, content=chunks(7), headers=zipped), 422)["code"] == "unreadable-archive"
    assert admin.request("GET", "/v1/me", content=b"x").status_code == 413
    assert not list((service.core.settings.folder / "staging").iterdir())


def test_an_answer_is_safe_and_named(service: Service) -> None:
    for answer in (
        service.client().get("/health/live"),
        service.client().get("/v1/me"),
        service.client("reader").get("/v1/me"),
    ):
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
        assert "server" not in answer.headers
    given = service.client().get("/v1/me", headers={"X-Request-ID": "from-the-proxy-1"})
    assert given.headers["x-request-id"] == given.json()["request"] == "from-the-proxy-1"
    strange = service.client().get("/v1/me", headers={"X-Request-ID": 'a" onload="'})
    assert strange.json()["request"] != 'a" onload="'


def test_problems_have_one_form_and_codes_that_are_listed(service: Service) -> None:
    admin = service.client("admin")
    found = told(admin.post("/v1/galleries", json={"id": "No Name", "bundel": "demo"}), 422)
    assert (found["code"], found["type"], found["title"]) == (
        "invalid",
        "urn:vireid:problem:invalid",
        CODES["invalid"][1],
    )
    assert all(part in found["detail"] for part in ("body.id", "body.bundle", "body.bundel"))
    assert "No Name" not in json.dumps(found)
    unknown = told(admin.post("/v1/galleries", json={"id": "a", "bundle": "dmeo"}), 422)
    assert "did you mean 'demo'" in unknown["detail"]
    for body in (b"{", b"[]", b"\xff", b'{"id": "\\ud800", "bundle": "demo"}', b'{"id": "a\\u0000", "bundle": "demo"}'):
        answer = admin.post("/v1/galleries", content=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), body


def test_too_many_requests_of_a_key_and_too_many_wrong_keys(make_service: Callable[..., Service]) -> None:
    service = make_service(limits=Limits(requests_per_minute=5, failures_per_minute=3))
    reader, other = service.client("reader"), service.client("reader")
    assert [reader.get("/v1/me").status_code for _ in range(6)] == [200] * 5 + [429]
    assert reader.get("/v1/me").headers["retry-after"] == "60"
    assert other.get("/v1/me").status_code == 200
    assert [service.client(key="0.0").get("/v1/me").status_code for _ in range(4)] == [401] * 3 + [429]
    assert other.get("/v1/me").json()["code"] == "rate-limited"  # of the same address
    assert service.client().get("/health/live").status_code == 200


def test_a_write_that_is_sent_twice_is_done_once(service: Service, pictures: Callable[..., list[Path]]) -> None:
    paths = fill(service, pictures)
    admin = service.client("admin")
    named = {"Idempotency-Key": "first"}
    first = admin.post("/v1/galleries", json={"id": "yard", "bundle": "demo"}, headers=named)
    again = admin.post("/v1/galleries", json={"id": "yard", "bundle": "demo"}, headers=named)
    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
    assert (first.headers.get("idempotent-replay"), again.headers["idempotent-replay"]) == (None, "true")
    other = admin.post("/v1/galleries", json={"id": "roof", "bundle": "demo"}, headers=named)
    assert told(other, 422)["code"] == "idempotency-key-reused"
    mine = service.client("admin").post("/v1/galleries", json={"id": "roof", "bundle": "demo"}, headers=named)
    assert mine.status_code == 201  # names belong to a key
    upload = {"files": {"picture": paths[0].read_bytes()}, "data": {"modality": "visible"}}
    rows = [admin.post("/v1/galleries/yard/images", **upload, headers={"Idempotency-Key": "p"}) for _ in range(2)]  # type: ignore[arg-type]
    assert rows[0].json() == rows[1].json()
    assert rows[0].json()[0]["state"] == "added"
    refused = admin.post("/v1/keys", json={"holder": "h", "role": "reader"}, headers=named)
    assert "idempotency" in told(refused, 422)["detail"]


def test_of_requests_at_once_with_one_name_one_is_done(service: Service) -> None:
    admin = service.client("admin")
    answers: list[int] = []

    def ask() -> None:
        body = {"id": "yard", "bundle": "demo"}
        answers.append(admin.post("/v1/galleries", json=body, headers={"Idempotency-Key": "x"}).status_code)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(answers) <= {201, 409}
    assert 201 in answers
    assert told(admin.post("/v1/galleries", json={"id": "yard", "bundle": "demo"}), 409)["code"] == "exists"


def test_figures_name_routes_and_no_keys(service: Service) -> None:
    operator = service.client("operator")
    operator.get("/v1/galleries/nowhere")
    text = operator.get("/metrics").text
    assert 'vireid_requests_total{method="GET",route="/v1/galleries/{gallery}",status="404"} 1.0' in text
    assert "vireid_retention_sound 1.0" in text
    assert "nowhere" not in text
    assert told(operator.get("/v1/me"))["key"] not in text


@pytest.mark.parametrize(
    "path", ["/v1/galleries/%2e%2e", "/v1/galleries/..%2f..%2fetc", "/v1/galleries/a%00b", "/v1/galleries/%0a"]
)
def test_no_name_becomes_a_path(service: Service, path: str) -> None:
    assert service.client("admin").get(path).status_code in (404, 422)
