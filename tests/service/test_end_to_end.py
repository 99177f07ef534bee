"""From an empty folder to a search, a confirmation, a deletion and a sound audit, by HTTP on loopback."""

import hashlib
import io
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from service_fixtures import DECLARED, Service, fill, search, told

from vireid.service.audit import verify


def awaited(client: httpx.Client, gallery: str, job: str) -> Any:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        found = told(client.get(f"/v1/galleries/{gallery}/jobs/{job}"))
        if found["ended"]:
            rows = told(client.get(f"/v1/galleries/{gallery}/jobs/{job}/report?limit=2"))
            rest = told(client.get(f"/v1/galleries/{gallery}/jobs/{job}/report?after={rows['next']}"))
            return {**found, "report": rows["items"] + rest["items"]}
        time.sleep(0.02)
    raise AssertionError(found)


def test_a_search_from_nothing(service: Service, pictures: Callable[..., list[Path]]) -> None:
    paths = fill(service, pictures)
    reader = service.client("reader")
    found = told(search(reader, paths[5], top=3), 201)
    assert [hit["rank"] for hit in found["hits"]] == [1, 2, 3]
    assert found["hits"][0]["score"] > 0.999
    assert found["hits"][0]["camera"] == "2"
    scores = [hit["score"] for hit in found["hits"]]
    assert scores == sorted(scores, reverse=True)
    assert found["searched"] == ["visible"]
    assert "no identification" in found["warning"]
    again = told(reader.get(f"/v1/galleries/entrance/searches/{found['id']}"))
    assert again["hits"] == found["hits"]
    picture = reader.get(f"/v1/galleries/entrance/images/{found['hits'][0]['image']}/picture")
    assert (picture.content, picture.headers["content-type"]) == (paths[5].read_bytes(), "image/png")
    gallery = told(reader.get("/v1/galleries/entrance"))
    assert gallery["counts"] == [
        {"modality": "visible", "camera": "1", "pictures": 4},
        {"modality": "visible", "camera": "2", "pictures": 4},
    ]


def test_filters_several_pictures_and_a_picture_of_the_gallery(
    service: Service, pictures: Callable[..., list[Path]]
) -> None:
    paths = fill(service, pictures)
    reader = service.client("reader")
    filtered = told(search(reader, paths[5], cameras="1"), 201)
    assert {hit["camera"] for hit in filtered["hits"]} == {"1"}
    files = [("picture", path.read_bytes()) for path in (paths[0], paths[1])]
    data = {"modality": "infrared", "top": 8, **DECLARED}
    several = told(reader.post("/v1/galleries/entrance/searches", files=files, data=data), 201)
    single = [
        {hit["image"]: hit["score"] for hit in told(search(reader, path, top=8), 201)["hits"]} for path in paths[:2]
    ]
    expected = {image: (single[0][image] + single[1][image]) / 2 for image in single[0]}
    assert [hit["image"] for hit in several["hits"]] == sorted(expected, key=lambda image: -expected[image])
    np.testing.assert_allclose([hit["score"] for hit in several["hits"]], sorted(expected.values())[::-1], rtol=1e-6)
    image = several["hits"][0]["image"]
    said = {**DECLARED, "top": 2, "modalities": ["visible"]}
    similar = told(reader.post(f"/v1/galleries/entrance/images/{image}/searches", json=said), 201)
    assert similar["hits"][0]["image"] == image


def test_an_archive_and_a_root_come_in_with_one_row_a_file(
    make_service: Callable[..., Service], pictures: Callable[..., list[Path]], tmp_path: Path
) -> None:
    crops = pictures("crops", 3, seed=5)
    (tmp_path / "outside.png").write_bytes(pictures("other", 1, seed=9)[0].read_bytes())
    (tmp_path / "crops" / "link.png").symlink_to(tmp_path / "outside.png")
    service = make_service(roots={"crops": tmp_path / "crops"})
    admin = service.client("admin")
    told(admin.post("/v1/galleries", json={"id": "yard", "bundle": "demo"}), 201)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../../escape.png", crops[0].read_bytes())
        archive.writestr("again/escape.png", crops[0].read_bytes())
        archive.writestr("broken.jpg", b"\xff\xd8\xff no picture")
        archive.writestr("notes.txt", "not looked at")
    job = told(
        admin.post(
            "/v1/galleries/yard/archives?modality=infrared&camera=9",
            content=packed.getvalue(),
            headers={"Content-Type": "application/zip"},
        ),
        202,
    )
    report = awaited(admin, "yard", job["id"])
    assert [(row["file"], row["state"]) for row in report["report"]] == [
        ("../../escape.png", "added"),
        ("again/escape.png", "known"),
        ("broken.jpg", "unreadable"),
    ]
    assert (report["state"], report["total"], report["done"]) == ("done", 3, 3)
    job = told(admin.post("/v1/galleries/yard/imports", json={"root": "crops", "modality": "infrared"}), 202)
    report = awaited(admin, "yard", job["id"])
    assert [(row["file"], row["state"]) for row in report["report"]] == [
        ("000.png", "known"),
        ("001.png", "added"),
        ("002.png", "added"),
    ]
    assert not list(tmp_path.rglob("escape.png"))
    assert not list((tmp_path / "service" / "staging").iterdir())
    wrong = told(admin.post("/v1/galleries/yard/imports", json={"root": "etc", "modality": "infrared"}), 422)
    assert "crops" in wrong["detail"]


def test_a_deleted_picture_is_gone_everywhere(
    make_service: Callable[..., Service], database_url: str, pictures: Callable[..., list[Path]], tmp_path: Path
) -> None:
    service = make_service(database=database_url)
    paths = fill(service, pictures)
    operator = service.client("operator")
    found = told(search(operator, paths[0], top=8), 201)
    image = found["hits"][0]["image"]
    receipt = told(operator.delete(f"/v1/galleries/entrance/images/{image}"))
    assert receipt["images"] == [image]
    told(operator.get(f"/v1/galleries/entrance/images/{image}"), 404)
    told(operator.delete(f"/v1/galleries/entrance/images/{image}"), 404)
    hits = told(search(operator, paths[0], top=8), 201)["hits"]
    assert image not in {hit["image"] for hit in hits}
    assert len(hits) == 7
    gone = next(path for path in paths if hashlib.sha256(path.read_bytes()).hexdigest() == image)
    files, data = {"picture": gone.read_bytes()}, {"modality": "visible"}
    again = told(service.client("admin").post("/v1/galleries/entrance/images", files=files, data=data), 201)
    assert [row["state"] for row in again] == ["refused"]
    assert len(told(search(operator, paths[0], top=8), 201)["hits"]) == 7
    remembered = told(operator.get(f"/v1/galleries/entrance/searches/{found['id']}"))
    assert image not in {hit["image"] for hit in remembered["hits"]}
    content = paths[0].read_bytes()
    kept = [path for path in (tmp_path / "service").rglob("*") if path.is_file() and content in path.read_bytes()]
    assert not kept
    admin = service.client("admin")
    told(admin.delete("/v1/galleries/entrance"))
    assert not list((tmp_path / "service" / "galleries").iterdir())
    told(admin.get("/v1/galleries/entrance"), 404)
    auditor = service.client("auditor")
    entries = told(auditor.get("/v1/audit?limit=500"))["items"]
    hashes = {entry["number"]: entry["hash"] for entry in entries}
    assert hashes[receipt["audit"]["number"]] == receipt["audit"]["hash"]
    assert told(auditor.get("/v1/audit/verification"))["sound"]


def test_a_restart_keeps_everything(make_service: Callable[..., Service], pictures: Callable[..., list[Path]]) -> None:
    first = make_service()
    paths = fill(first, pictures)
    key = first.key("reader")
    before = told(search(first.client(key=key), paths[2]), 201)["hits"]
    first.close()
    first.stop = lambda: None
    second = make_service()
    assert told(search(second.client(key=key), paths[2]), 201)["hits"] == before
    assert verify(second.core.database, second.core.ledger.anchors).sound
