"""No search without a reason, no confirmation by one person, nobody followed unnoticed, nothing kept for ever."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from service_fixtures import DECLARED, Service, fill, search, told
from sqlalchemy import select

from vireid.errors import GalleryError
from vireid.service.retention import expire
from vireid.service.settings import Alarms, Limits
from vireid.service.state import ImageRow, Search

CROPS = "entrance crops"


def crop(tmp_path: Path, number: int) -> Path:
    return tmp_path / CROPS / f"{number:03d}.png"


@pytest.mark.parametrize("missing", sorted(DECLARED))
def test_a_search_without_a_reason_is_refused(filled: Service, tmp_path: Path, missing: str) -> None:
    said = {name: value for name, value in DECLARED.items() if name != missing}
    reader = filled.client("reader")
    data = {"modality": "infrared", **said}
    picture = {"picture": crop(tmp_path, 0).read_bytes()}
    answer = reader.post("/v1/galleries/entrance/searches", files=picture, data=data)
    assert told(answer, 422)["code"] == "invalid"
    assert missing in answer.json()["detail"]


def test_purpose_and_authorisation_are_checked_and_refusals_recorded(filled: Service, tmp_path: Path) -> None:
    reader, admin, auditor = filled.client("reader"), filled.client("admin"), filled.client("auditor")
    picture = crop(tmp_path, 0)
    refused = search(reader, picture, purpose="curiosity")
    assert told(refused, 403)["code"] == "purpose-not-admissible"
    assert "missing-person" in refused.json()["detail"]
    past = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    assert told(search(reader, picture, authorised_until=past), 403)["code"] == "authorisation-expired"
    assert told(search(reader, picture, authorised_until="2027-01-01T00:00:00"), 422)["code"] == "invalid"  # no zone
    told(admin.delete("/v1/galleries/entrance/purposes/missing-person"))
    assert told(search(reader, picture), 403)["code"] == "purpose-not-admissible"
    image = told(reader.get("/v1/galleries/entrance/images"))["items"][0]["id"]
    similar = reader.post(f"/v1/galleries/entrance/images/{image}/searches", json=DECLARED)
    assert told(similar, 403)["code"] == "purpose-not-admissible"
    found = told(auditor.get("/v1/audit?action=search.refused"))["items"]
    assert [entry["details"]["code"] for entry in found] == [
        "purpose-not-admissible",
        "authorisation-expired",
        "purpose-not-admissible",
        "purpose-not-admissible",
    ]


def test_the_audit_says_who_searched_why_and_what_came(filled: Service, tmp_path: Path) -> None:
    reader, auditor = filled.client("reader"), filled.client("auditor")
    made = told(search(reader, crop(tmp_path, 0), top=2), 201)
    key = told(reader.get("/v1/me"))["key"]
    [entry] = told(auditor.get(f"/v1/audit?key={key}&action=search"))["items"]
    details = entry["details"]
    assert (entry["gallery"], details["purpose"], details["case"]) == ("entrance", "missing-person", "2026-17")
    assert (details["authorisation"], details["search"]) == ("order 4", made["id"])
    hide = filled.core.ledger.secrets.pseudonym
    assert entry["actor"] == hide("key", key)
    assert details["images"] == [hide("image", hit["image"]) for hit in made["hits"]]
    told(reader.get("/v1/audit"), 403)
    counts = told(auditor.get(f"/v1/audit/counts?year={datetime.now(UTC).year}"))
    assert counts == [{"gallery": "entrance", "purpose": "missing-person", "what": "search", "number": 1}]
    assert told(auditor.get("/v1/audit/counts?year=2020")) == []


def test_an_auditor_of_one_gallery_sees_that_gallery(filled: Service, pictures: Callable[..., list[Path]]) -> None:
    fill(filled, pictures, "yard")
    seen = told(filled.client("auditor", galleries=["yard"]).get("/v1/audit?limit=500"))["items"]
    assert {entry["gallery"] for entry in seen} == {"yard"}


def test_two_people_confirm_and_not_two_keys_of_one(filled: Service, tmp_path: Path) -> None:
    anna, anna_again = (filled.client("reader", holder=holder) for holder in ("Anna Alt", "anna  ALT"))
    ben, cleo = (filled.client("reader", holder=holder) for holder in ("Ben", "Cleo"))
    made = told(search(anna, crop(tmp_path, 0)), 201)
    image, other = made["hits"][0]["image"], made["hits"][1]["image"]
    marks = f"/v1/galleries/entrance/searches/{made['id']}/marks"

    def say(who: Any, verdict: str, picture: str = image) -> str:
        return str(told(who.post(marks, json={"image": picture, "verdict": verdict}), 201)["standing"])

    assert made["hits"][0]["standing"] == "open"
    assert say(anna, "same") == "second-person-needed"
    assert say(anna_again, "same") == "second-person-needed"
    assert say(ben, "same") == "confirmed"
    assert say(cleo, "different") == "disputed"
    assert say(cleo, "same") == "confirmed"  # who says it again changes his mind
    assert say(ben, "different", other) == "rejected"
    shown = told(anna.get(f"/v1/galleries/entrance/searches/{made['id']}"))
    assert [hit["standing"] for hit in shown["hits"]][:3] == ["confirmed", "rejected", "open"]
    told(anna.post(marks, json={"image": "0" * 64, "verdict": "same"}), 404)
    entries = told(filled.client("auditor").get("/v1/audit?action=mark"))["items"]
    assert [entry["details"]["standing"] for entry in entries][:3] == ["second-person-needed"] * 2 + ["confirmed"]
    assert entries[0]["details"]["holder"] == filled.core.ledger.secrets.pseudonym("holder", "Anna Alt")


def test_marks_leave_only_by_a_right_of_their_own(filled: Service) -> None:
    reader, exporter = filled.client("reader", holder="Ben"), filled.client("reader", holder="Anna", exports=True)
    rows = told(reader.get("/v1/galleries/entrance/images"))["items"]
    image = rows[0]["id"]
    said = {**DECLARED, "top": 3, "modalities": ["visible"]}
    made = told(reader.post(f"/v1/galleries/entrance/images/{image}/searches", json=said), 201)
    second = made["hits"][1]["image"]
    for who in (reader, exporter):
        mark = {"image": second, "verdict": "same"}
        told(who.post(f"/v1/galleries/entrance/searches/{made['id']}/marks", json=mark), 201)
    told(filled.client("admin").get("/v1/galleries/entrance/training-marks"), 403)
    found = told(exporter.get("/v1/galleries/entrance/training-marks"))
    assert found["items"] == [{"image": image, "other": second, "same": True}]
    assert told(filled.client("auditor").get("/v1/audit?action=marks.export"))["items"]


def test_searching_for_one_person_again_and_again_raises_an_alarm(
    make_service: Callable[..., Service], pictures: Callable[..., list[Path]]
) -> None:
    service = make_service(alarms=Alarms(searches=3, similarity=0.9999))
    paths = fill(service, pictures)
    follower, other, auditor = service.client("reader"), service.client("reader"), service.client("auditor")
    made = [told(search(follower, paths[0], case=f"case {n}"), 201)["id"] for n in range(2)]
    for path in paths[1:4]:
        told(search(follower, path), 201)  # other people
    told(search(other, paths[0]), 201)  # another key
    assert told(auditor.get("/v1/audit/alarms"))["items"] == []
    made.append(told(search(follower, paths[0], case="case 3"), 201)["id"])
    [alarm] = told(auditor.get("/v1/audit/alarms"))["items"]
    assert alarm["searches"] == made
    assert alarm["key"] == told(follower.get("/v1/me"))["key"]
    told(search(follower, paths[0]), 201)
    assert len(told(auditor.get("/v1/audit/alarms"))["items"]) == 1  # the next comes after as many again
    [entry] = told(auditor.get("/v1/audit?action=alarm.repeated-search"))["items"]
    assert entry["details"]["searches"] == made
    assert "vireid_alarms 1.0" in auditor.get("/metrics").text


def test_a_key_has_so_many_searches_a_day(
    make_service: Callable[..., Service], pictures: Callable[..., list[Path]]
) -> None:
    service = make_service(limits=Limits(searches_per_day=2))
    paths = fill(service, pictures)
    reader = service.client("reader")
    assert [search(reader, paths[0]).status_code for _ in range(3)] == [201, 201, 429]
    assert search(reader, paths[0]).json()["code"] == "quota-exhausted"
    assert search(service.client("reader"), paths[0]).status_code == 201


def test_vectors_never_leave(filled: Service, tmp_path: Path) -> None:
    reader = filled.client("reader", exports=True)
    made = search(reader, crop(tmp_path, 0))
    answers = [made.text, reader.get(f"/v1/galleries/entrance/searches/{made.json()['id']}").text]
    answers.append(reader.get("/v1/galleries/entrance/training-marks").text)
    schema = told(reader.get("/v1/openapi.json"))
    with filled.core.database.read() as session:
        assert len(session.scalars(select(Search)).one().vector) == 12 * 4
    assert not [text for text in answers if "vector" in text or "embedding" in text]
    members = {name for one in schema["components"]["schemas"].values() for name in one.get("properties", {})}
    assert not {name for name in members if "vector" in name or "embedding" in name or "path" in name}


def test_what_has_expired_is_deleted_without_being_asked(
    filled: Service, pictures: Callable[..., list[Path]], tmp_path: Path
) -> None:
    reader, admin = filled.client("reader"), filled.client("admin")
    made = told(search(reader, crop(tmp_path, 0)), 201)
    library, now = filled.core.library, datetime.now(UTC)
    assert expire(library, now=now + timedelta(days=29)) == {"pictures": 0, "searches": 0}
    assert expire(library, now=now + timedelta(days=31)) == {"pictures": 8, "searches": 0}
    assert told(reader.get("/v1/galleries/entrance"))["counts"] == []
    assert not list((tmp_path / "service" / "galleries").rglob("*.png"))
    assert told(search(reader, crop(tmp_path, 0)), 409)["code"] == "gallery-empty"
    assert told(reader.get(f"/v1/galleries/entrance/searches/{made['id']}"))["hits"] == []
    assert expire(library, now=now + timedelta(days=91)) == {"pictures": 0, "searches": 1}
    told(reader.get(f"/v1/galleries/entrance/searches/{made['id']}"), 404)
    deleted = told(filled.client("auditor").get("/v1/audit?action=images.delete"))["items"]
    assert [entry["details"]["why"] for entry in deleted] == ["retention"]
    told(admin.patch("/v1/galleries/entrance", json={"retention_days": 0}), 422)


def test_a_damaged_gallery_keeps_nothing_of_others(
    filled: Service, pictures: Callable[..., list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(filled, pictures, "yard")
    library = filled.core.library
    whole = library.galleries.delete

    def broken(gallery: str, images: Any) -> int:
        if gallery == "entrance":
            raise GalleryError("damaged")
        return int(whole(gallery, images))

    monkeypatch.setattr(library.galleries, "delete", broken)
    with pytest.raises(GalleryError, match="damaged"):
        expire(library, now=datetime.now(UTC) + timedelta(days=31))
    reader = filled.client("reader")
    assert told(reader.get("/v1/galleries/yard"))["counts"] == []
    assert told(reader.get("/v1/galleries/entrance"))["counts"] != []


def test_a_shorter_retention_holds_for_what_is_there_and_a_longer_does_not(filled: Service) -> None:
    admin = filled.client("admin")

    def days() -> set[int]:
        with filled.core.database.read() as session:
            return {(row.expires - row.added).days for row in session.scalars(select(ImageRow))}

    assert days() == {30}
    told(admin.patch("/v1/galleries/entrance", json={"retention_days": 7}))
    assert days() == {7}
    told(admin.patch("/v1/galleries/entrance", json={"retention_days": 300}))
    assert days() == {7}
