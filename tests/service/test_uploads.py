"""What is no picture, or too much of one, is answered and never breaks anything."""

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from service_fixtures import DECLARED, Service, fill, told

from vireid.service.settings import Limits

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF")


def encoded(form: str, size: tuple[int, int] = (12, 24)) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form)
    return stream.getvalue()


def bomb() -> bytes:
    """A PNG of 40,000 x 40,000 pixels in a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 40_000, 40_000, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(5001))) + chunk(b"IEND", b"")
    )


def malformed(count: int, seed: int = 0) -> list[bytes]:
    """Real pictures that were cut, or in which bytes behind the first ones were changed: they reach the decoders."""
    chance = random.Random(seed)
    found = []
    for number in range(count):
        data = bytearray(encoded(FORMATS[number % len(FORMATS)]))
        if number % 3 == 0:
            del data[chance.randrange(20, len(data)) :]
        else:
            for _ in range(chance.randrange(1, 30)):
                data[chance.randrange(16, len(data))] = chance.randrange(256)
        found.append(bytes(data))
    return found


def add(client: httpx.Client, *data: bytes, gallery: str = "entrance") -> httpx.Response:
    files = [("picture", (f"{place}.jpg", one)) for place, one in enumerate(data)]
    return client.post(f"/v1/galleries/{gallery}/images", files=files, data={"modality": "visible"})


@pytest.fixture
def small(make_service: Callable[..., Service], pictures: Callable[..., list[Path]]) -> Service:
    service = make_service(limits=Limits(pixels=1_000_000, pictures=50))
    fill(service, pictures)
    return service


@pytest.mark.slow
def test_two_hundred_malformed_pictures_get_a_row_each(small: Service) -> None:
    operator = small.client("operator")
    states = {}
    for start in range(0, 200, 50):
        rows = told(add(operator, *malformed(50, seed=start)), 201)
        assert [row["file"] for row in rows] == [f"{place}.jpg" for place in range(50)]
        for row in rows:
            assert (row["image"] is None) == (row["state"] == "unreadable") == (row["reason"] is not None)
            states[row["state"]] = states.get(row["state"], 0) + 1
    assert states["unreadable"] >= 60  # the others are readable though damaged, as decoders are
    data = {"modality": "visible", **DECLARED}
    for one in malformed(20, seed=1):
        answer = operator.post("/v1/galleries/entrance/searches", files={"picture": one}, data=data)
        assert answer.status_code == 201 or told(answer, 422)["code"] == "unreadable-picture"
    assert told(operator.get("/health/ready"))["ready"]


def test_what_is_no_picture_or_too_large_is_said(small: Service) -> None:
    operator = small.client("operator")
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
    gif = io.BytesIO()
    Image.new("RGB", (4, 4)).save(gif, "GIF")
    rows = told(add(operator, b"", svg, gif.getvalue(), bomb(), encoded("PNG", (1001, 1000))), 201)
    assert [row["state"] for row in rows] == ["unreadable"] * 5
    assert "1600000000 pixels" in rows[3]["reason"]
    assert "1,000,000 allowed" in rows[4]["reason"]
    assert not [row for row in rows if "bytes>" in row["reason"] or str(small.core.settings.folder) in row["reason"]]
    assert told(add(operator, *[b"x"] * 51), 413)["code"] == "too-large"
    assert told(operator.post("/v1/galleries/entrance/images", data={"modality": "visible"}), 422)["code"] == "invalid"
    assert told(add(operator, b"x", gallery="nowhere"), 404)["code"] == "not-found"


def test_the_same_picture_again_is_known_and_takes_what_is_said_now(small: Service) -> None:
    operator = small.client("operator")
    picture = encoded("PNG")
    [first] = told(add(operator, picture), 201)
    again = told(add(operator, picture, picture), 201)
    assert (first["state"], [row["state"] for row in again]) == ("added", ["known", "known"])
    files = {"picture": picture}
    moved = {"modality": "infrared", "camera": "7"}
    told(operator.post("/v1/galleries/entrance/images", files=files, data=moved), 201)
    row = told(operator.get(f"/v1/galleries/entrance/images/{first['image']}"))
    assert (row["modality"], row["camera"]) == ("infrared", "7")
    data = {"modality": "visible", "modalities": "infrared", **DECLARED}
    found = told(operator.post("/v1/galleries/entrance/searches", files=files, data=data), 201)
    assert [(hit["image"], hit["camera"]) for hit in found["hits"]] == [(first["image"], "7")]


def test_what_is_not_said_again_stays_known(small: Service) -> None:
    operator, auditor = small.client("operator"), small.client("auditor")
    path, picture = "/v1/galleries/entrance/images", encoded("PNG")
    files, said = {"picture": picture}, {"modality": "visible", "camera": "7"}
    [row] = told(operator.post(path, files=files, data=said), 201)
    told(operator.post(path, files=files, data={"modality": "visible"}), 201)  # no camera
    assert told(operator.get(f"{path}/{row['image']}"))["camera"] == "7"
    data = {"modality": "infrared", "cameras": "7", **DECLARED}
    found = told(operator.post("/v1/galleries/entrance/searches", files=files, data=data), 201)
    assert [hit["image"] for hit in found["hits"]] == [row["image"]]
    assert told(auditor.get("/v1/audit?action=images.change"))["items"] == []
    told(operator.post(path, files=files, data={"modality": "infrared"}), 201)
    [entry] = told(auditor.get("/v1/audit?action=images.change"))["items"]
    assert (entry["details"]["modality"], entry["details"]["camera"]) == ("infrared", None)
    assert told(operator.get(f"{path}/{row['image']}"))["camera"] == "7"


def test_archives_that_lie_are_refused(make_service: Callable[..., Service]) -> None:
    service = make_service(limits=Limits(archive_files=3, unpacked_bytes=1_000_000))
    admin = service.client("admin")
    told(admin.post("/v1/galleries", json={"id": "entrance", "bundle": "demo"}), 201)

    def send(data: bytes, kind: str = "application/zip") -> httpx.Response:
        path = "/v1/galleries/entrance/archives?modality=visible"
        return admin.post(path, content=data, headers={"Content-Type": kind})

    def packed(files: dict[str, bytes]) -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return stream.getvalue()

    assert told(send(b"PK no archive"), 422)["code"] == "unreadable-archive"
    assert told(send(packed({"a.png": bytes(1_000_001)})), 413)["code"] == "too-large"
    assert told(send(packed({f"{n}.png": b"" for n in range(4)})), 413)["code"] == "too-large"
    assert told(send(packed({}), "text/plain"), 422)["code"] == "invalid"
    assert not list((service.core.settings.folder / "staging").iterdir())


def test_restricted_pictures_are_not_given_out(service: Service) -> None:
    admin = service.client("admin")
    told(admin.post("/v1/galleries", json={"id": "shy", "bundle": "demo", "restricted": True}), 201)
    [row] = told(add(admin, encoded("PNG"), gallery="shy"), 201)
    refused = admin.get(f"/v1/galleries/shy/images/{row['image']}/picture")
    assert told(refused, 403)["code"] == "pictures-restricted"


def test_lists_come_in_pages(small: Service) -> None:
    reader = small.client("reader")
    seen, after = [], ""
    while True:
        page = told(reader.get(f"/v1/galleries/entrance/images?limit=3{after}"))
        seen += [row["id"] for row in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    whole = told(reader.get("/v1/galleries/entrance/images"))["items"]
    assert seen == [row["id"] for row in whole]
    assert len(seen) == len(set(seen)) == 8
    assert [row["camera"] for row in whole] == ["2"] * 4 + ["1"] * 4  # newest first
    filtered = told(reader.get("/v1/galleries/entrance/images?camera=1&modality=visible"))["items"]
    assert len(filtered) == 4
    assert told(reader.get(f"/v1/galleries/entrance/images?after={'0' * 64}"), 422)["code"] == "invalid"
