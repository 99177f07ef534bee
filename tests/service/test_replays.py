"""Writes with an idempotency key that were cut on the way: sent again, they are done."""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from service_fixtures import Service, told
from sqlalchemy import select

from vireid.service.settings import Limits
from vireid.service.state import Replay

NAMED = {"Idempotency-Key": "one"}
FORM = {"Content-Type": "multipart/form-data; boundary=b"}


def form(picture: bytes) -> bytes:
    head = b'--b\r\nContent-Disposition: form-data; name="picture"; filename="a.png"\r\n\r\n'
    rest = b'\r\n--b\r\nContent-Disposition: form-data; name="modality"\r\n\r\nvisible\r\n--b--\r\n'
    return head + picture + rest


@contextmanager
def cut(service: Service, key: str, path: str, body: bytes, headers: dict[str, str], *, begins: bool) -> Iterator[None]:
    """A request of which half the body arrives, and no more. begins: its key is known before all of it is there."""
    place = urlsplit(service.address)
    connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=10)
    connection.putrequest("POST", path)
    for name, value in {"Authorization": f"Bearer {key}", "Content-Length": str(len(body)), **headers, **NAMED}.items():
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(body[: len(body) // 2])
    until = time.monotonic() + 10
    while begins and not names(service) and time.monotonic() < until:
        time.sleep(0.01)
    yield
    connection.close()
    while names(service) and time.monotonic() < until:
        time.sleep(0.01)


def names(service: Service) -> list[str]:
    with service.core.database.read() as session:
        return list(session.scalars(select(Replay.name)))


@pytest.mark.parametrize("kind", ["pictures", "json", "archive"])
def test_a_key_whose_request_was_cut_can_be_used_again(
    service: Service, pictures: Callable[..., list[Path]], kind: str
) -> None:
    told(service.client("admin").post("/v1/galleries", json={"id": "entrance", "bundle": "demo"}), 201)
    body, path, headers = {
        "pictures": (form(pictures("crops", 1)[0].read_bytes()), "/v1/galleries/entrance/images", FORM),
        "json": (
            json.dumps({"id": "yard", "bundle": "demo"}).encode(),
            "/v1/galleries",
            {"Content-Type": "application/json"},
        ),
        "archive": (
            b"PK\x05\x06" + bytes(18),
            "/v1/galleries/entrance/archives?modality=visible",
            {"Content-Type": "application/zip"},
        ),
    }[kind]
    key = service.key("admin")
    client = service.client(key=key)
    with cut(service, key, path, body, headers, begins=kind != "json"):
        if kind != "json":
            assert told(client.post(path, content=body, headers={**headers, **NAMED}), 409)["code"] == "in-progress"
    again = client.post(path, content=body, headers={**headers, **NAMED})
    assert again.status_code == {"archive": 202}.get(kind, 201), again.text
    once_more = client.post(path, content=body, headers={**headers, **NAMED})
    assert (once_more.json(), once_more.headers["idempotent-replay"]) == (again.json(), "true")


def test_what_was_too_large_is_not_remembered(make_service: Callable[..., Service]) -> None:
    service = make_service(limits=Limits(pictures_bytes=4096))
    admin = service.client("admin")
    told(admin.post("/v1/galleries", json={"id": "entrance", "bundle": "demo"}), 201)

    def chunks() -> Iterator[bytes]:
        yield form(bytes(5000))

    answers: list[Any] = [
        told(admin.post("/v1/galleries/entrance/images", content=chunks(), headers={**FORM, **NAMED}), 413)
        for _ in range(2)
    ]
    assert [answer["code"] for answer in answers] == ["too-large"] * 2
    assert names(service) == []
