"""What happens while something else does: searches beside uploads, beside deletions."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from service_fixtures import DECLARED, Service, fill, search, told
from sqlalchemy import select

from vireid.service.state import Search


def test_uploads_do_not_keep_searches_waiting(filled: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    entered = threading.Semaphore(0)

    def slow(*_words: Any, **_how: Any) -> list[Any]:
        entered.release()
        release.wait(60)
        return []

    monkeypatch.setattr(filled.core.library, "add", slow)
    crop = tmp_path / "entrance crops" / "000.png"
    operators = [filled.client("operator") for _ in range(4)]

    def upload(client: httpx.Client) -> None:
        files = {"picture": crop.read_bytes()}
        client.post("/v1/galleries/entrance/images", files=files, data={"modality": "visible"})

    threads = [threading.Thread(target=upload, args=(client,)) for client in operators]
    for thread in threads:
        thread.start()
    try:
        assert entered.acquire(timeout=20)
        assert entered.acquire(timeout=20)
        reader = filled.client("reader")
        reader.timeout = httpx.Timeout(20)
        told(search(reader, crop), 201)
    finally:
        release.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("moment", ["before the index", "before the record", "with the files gone"])
@pytest.mark.parametrize("kind", ["uploaded", "of the gallery"])
def test_a_search_in_a_gallery_that_is_deleted_meanwhile_finds_no_gallery(
    filled: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, kind: str
) -> None:
    core, reader = filled.core, filled.client("reader")
    whole = core.galleries.search
    image = told(reader.get("/v1/galleries/entrance/images"))["items"][0]["id"]

    def deleting(*words: Any, **how: Any) -> Any:
        if moment == "before the record":
            found = whole(*words, **how)
            core.library.drop("entrance", key="")
            return found
        core.library.drop("entrance", key="")
        if moment == "with the files gone":
            raise OSError("Object at location entries.lance not found")
        return whole(*words, **how)

    monkeypatch.setattr(core.galleries, "search", deleting)
    if kind == "uploaded":
        answer = search(reader, tmp_path / "entrance crops" / "000.png")
    else:
        answer = reader.post(f"/v1/galleries/entrance/images/{image}/searches", json=DECLARED)
    assert told(answer, 404)["code"] == "not-found"
    with core.database.read() as session:
        assert session.scalars(select(Search)).all() == []


def test_a_search_with_a_picture_that_is_deleted_meanwhile_keeps_nothing_of_it(
    filled: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    core, reader = filled.core, filled.client("reader")
    whole = core.galleries.search
    image = told(reader.get("/v1/galleries/entrance/images"))["items"][0]["id"]
    path = f"/v1/galleries/entrance/images/{image}"

    def deleting(*words: Any, **how: Any) -> Any:
        core.library.delete("entrance", [image], why="asked")
        return whole(*words, **how)

    monkeypatch.setattr(core.galleries, "search", deleting)
    assert told(reader.post(f"{path}/searches", json=DECLARED), 404)["code"] == "not-found"
    with core.database.read() as session:
        assert session.scalars(select(Search)).all() == []


def test_a_picture_whose_file_goes_before_it_is_read_is_not_found(
    filled: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    core, reader = filled.core, filled.client("reader")
    image = told(reader.get("/v1/galleries/entrance/images"))["items"][0]["id"]
    path = f"/v1/galleries/entrance/images/{image}"
    core.library.pictures.path("entrance", image, ".png").unlink()
    assert told(reader.get(f"{path}/picture"), 404)["code"] == "not-found"
    assert told(reader.post(f"{path}/searches", json=DECLARED), 404)["code"] == "not-found"


def test_a_job_for_a_gallery_that_is_deleted_meanwhile_finds_no_gallery(
    make_service: Callable[..., Service], pictures: Callable[..., list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    crops = pictures("crops", 1)[0].parent
    service = make_service(roots={"crops": crops})
    fill(service, pictures)
    core = service.core
    whole = core.jobs.add

    def deleting(*words: Any, **how: Any) -> Any:
        core.library.drop("entrance", key="")
        return whole(*words, **how)

    monkeypatch.setattr(core.jobs, "add", deleting)
    said = {"root": "crops", "modality": "visible"}
    assert told(service.client("admin").post("/v1/galleries/entrance/imports", json=said), 404)["code"] == "not-found"


def test_searches_while_pictures_and_galleries_go_are_answered_or_not_found(
    filled: Service, tmp_path: Path, pictures: Callable[..., list[Path]]
) -> None:
    """A few real overlaps, as they come; the slow lane has many."""
    reader, admin = filled.client("reader"), filled.client("admin")
    images = [row["id"] for row in told(reader.get("/v1/galleries/entrance/images"))["items"]]
    seen: list[int] = []
    stop = threading.Event()

    def searching() -> None:
        while not stop.is_set():
            seen.append(search(reader, tmp_path / "entrance crops" / "000.png").status_code)

    thread = threading.Thread(target=searching)
    thread.start()
    for image in images[:4]:
        told(admin.delete(f"/v1/galleries/entrance/images/{image}"))
    told(admin.delete("/v1/galleries/entrance"))
    time.sleep(0.1)
    stop.set()
    thread.join()
    assert set(seen) <= {201, 404}
    assert 404 in seen
