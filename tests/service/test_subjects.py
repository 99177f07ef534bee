"""What somebody who asks is told: all that is held of their pictures, and nothing of other people."""

import io
import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from service_fixtures import DECLARED, Service, search, told

from vireid.service.state import GalleryRow


def exported(client: httpx.Client, images: list[str]) -> tuple[Any, dict[str, bytes]]:
    said = {"images": images, "case": "access 1"}
    answer = client.post("/v1/galleries/entrance/subject-exports", json=said)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip"), answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    return json.loads(files.pop("held.json")), files


def test_everything_that_is_held_of_a_picture(filled: Service, tmp_path: Path) -> None:
    admin, reader, auditor = (filled.client(role) for role in ("admin", "reader", "auditor"))
    crop = tmp_path / "entrance crops" / "000.png"
    made = told(search(reader, crop, top=2), 201)
    image, other = (hit["image"] for hit in made["hits"])
    told(search(reader, tmp_path / "entrance crops" / "005.png", top=1), 201)  # returns another picture
    mark = {"image": image, "verdict": "same"}
    told(reader.post(f"/v1/galleries/entrance/searches/{made['id']}/marks", json=mark), 201)
    similar = told(reader.post(f"/v1/galleries/entrance/images/{image}/searches", json={**DECLARED, "top": 1}), 201)
    held, files = exported(admin, [image, "0" * 64])
    assert [(row["image"], row["camera"], row["modality"]) for row in held["pictures"]] == [(image, "1", "visible")]
    assert held["not_held"] == ["0" * 64]
    assert files == {f"pictures/{image}.png": crop.read_bytes()}
    first, second = held["searches"]
    assert (first["search"], first["purpose"], first["case"]) == (made["id"], "missing-person", "2026-17")
    assert (first["found"][0]["rank"], first["made_with"]) == (1, None)
    assert [one["verdict"] for one in first["found"][0]["marks"]] == ["same"]
    assert (second["search"], second["made_with"]) == (similar["id"], image)
    assert [entry["action"] for entry in held["audit"]] == ["images.add", "search", "mark", "search", "subject.export"]
    text = json.dumps(held)
    assert other not in text
    assert "holder" not in text
    assert told(reader.get("/v1/me"))["key"] not in text
    [entry] = told(auditor.get("/v1/audit?action=subject.export"))["items"]
    assert (entry["details"]["case"], len(entry["details"]["images"])) == ("access 1", 2)
    counts = told(auditor.get(f"/v1/audit/counts?year={datetime.now(UTC).year}"))
    assert {"gallery": "entrance", "purpose": None, "what": "subject.export", "number": 1} in counts
    assert not list(filled.core.jobs.staging.iterdir())


def test_after_a_deletion_the_audit_is_what_is_left(filled: Service, tmp_path: Path) -> None:
    admin = filled.client("admin")
    image = told(admin.get("/v1/galleries/entrance/images"))["items"][0]["id"]
    told(admin.delete(f"/v1/galleries/entrance/images/{image}"))
    held, files = exported(admin, [image])
    assert (held["pictures"], held["not_held"], held["searches"], files) == ([], [image], [], {})
    assert [entry["action"] for entry in held["audit"]] == ["images.add", "images.delete", "subject.export"]


def test_pictures_of_a_restricted_gallery_are_described_and_left_out(filled: Service) -> None:
    admin = filled.client("admin")
    image = told(admin.get("/v1/galleries/entrance/images"))["items"][0]["id"]
    with filled.core.database.write() as session:
        session.get_one(GalleryRow, "entrance").restricted = True
    held, files = exported(admin, [image])
    assert (held["pictures_included"], len(held["pictures"]), files) == (False, 1, {})


@pytest.mark.parametrize("images", [[], ["x"], ["0" * 64] * 501])
def test_what_is_no_list_of_pictures_is_refused(service: Service, images: list[str]) -> None:
    said = {"images": images, "case": "1"}
    answer = service.client("admin").post("/v1/galleries/entrance/subject-exports", json=said)
    assert told(answer, 422)["code"] == "invalid"
