"""A gallery gets another model while it is searched."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from service_fixtures import DECLARED, GALLERY, Service, fill, search, told
from sqlalchemy import select

from vireid.service import Core
from vireid.service.retention import expire
from vireid.service.state import AuditEntry, GalleryRow, Job, Search


@pytest.fixture
def better(tmp_path: Path) -> Path:
    return Path(GALLERY.write_bundle(tmp_path / "better", seed=7).path)


@pytest.fixture
def service(make_service: Callable[..., Service], model: Path, better: Path) -> Service:
    return make_service(bundles={"demo": model, "better": better})


def migrate(client: httpx.Client, bundle: str = "better") -> Any:
    return told(client.post("/v1/galleries/entrance/migrations", json={"bundle": bundle}), 202)


def ended(client: httpx.Client, job: str) -> Any:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = told(client.get(f"/v1/galleries/entrance/jobs/{job}"))
        if found["ended"]:
            return found
        time.sleep(0.02)
    raise AssertionError(found)


def digests(core: Core) -> dict[str, str]:
    return {name: core.galleries.model(name).bundle.digest for name in ("demo", "better")}


def test_searches_are_answered_all_the_while_and_changes_wait(
    service: Service, pictures: Callable[..., list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = fill(service, pictures)
    core, admin, reader = service.core, service.client("admin"), service.client("reader")
    before = told(search(reader, paths[0]), 201)
    begun, release = threading.Event(), threading.Event()
    new: Any = core.galleries.model("better").encoder
    whole = new.embed

    def waiting(*words: Any) -> Any:
        begun.set()
        assert release.wait(60)
        return whole(*words)

    with monkeypatch.context() as patch:
        patch.setattr(new, "embed", waiting)
        job = migrate(admin)
        assert begun.wait(60)
        try:
            meanwhile = told(search(reader, paths[0]), 201)
            assert [hit["image"] for hit in meanwhile["hits"]] == [hit["image"] for hit in before["hits"]]
            image = before["hits"][0]["image"]
            upload = {"files": {"picture": paths[0].read_bytes()}, "data": {"modality": "visible"}}
            for answer in (
                admin.post("/v1/galleries/entrance/images", **upload),  # type: ignore[arg-type]
                admin.delete(f"/v1/galleries/entrance/images/{image}"),
                admin.delete("/v1/galleries/entrance"),
            ):
                assert (told(answer, 409)["code"], answer.headers["retry-after"]) == ("migrating", "600")
            gone = expire(core.library, now=datetime.now(UTC) + timedelta(days=31))
            assert gone["pictures"] == 0  # it waits for its next turn, and is not unsound
        finally:
            release.set()
        done = ended(admin, job["id"])
    assert (done["state"], done["total"], done["done"]) == ("done", 8, 8)
    after = told(search(reader, paths[0]), 201)
    assert [hit["image"] for hit in after["hits"]] == [hit["image"] for hit in before["hits"]]
    gallery = told(reader.get("/v1/galleries/entrance"))
    assert (gallery["bundle"], gallery["model"]) == ("better", digests(core)["better"])
    with core.database.read() as session:
        models = [row.model for row in session.scalars(select(Search).order_by(Search.at))]
    assert models == [digests(core)[name] for name in ("demo", "demo", "better")]
    [entry] = told(service.client("auditor").get("/v1/audit?action=gallery.migrate"))["items"]
    assert (entry["details"]["pictures"], entry["details"]["same_first"]) == (8, 1.0)
    told(admin.delete(f"/v1/galleries/entrance/images/{image}"))
    assert told(admin.post("/v1/galleries/entrance/images", **upload), 201)[0]["state"] == "refused"  # type: ignore[arg-type]
    assert ended(admin, migrate(admin)["id"])["state"] == "done"  # again: nothing to do


@pytest.mark.parametrize("moment", ["before", "while"])
def test_a_search_during_the_exchange_is_embedded_again(
    service: Service, pictures: Callable[..., list[Path]], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """before: between embedding and searching. while: the old store goes while it is being read."""
    paths = fill(service, pictures)
    core, reader = service.core, service.client("reader")
    if moment == "before":
        whole = core.galleries.search

        def exchanging(*words: Any, **how: Any) -> Any:
            core.library.migrate("entrance", "better", key="")
            return whole(*words, **how)

        monkeypatch.setattr(core.galleries, "search", exchanging)
    else:
        opened = core.galleries._opened("entrance")
        reading = opened.search_vectors

        def failing(*words: Any, **how: Any) -> Any:
            core.library.migrate("entrance", "better", key="")
            raise OSError("Object at location entries.lance not found")

        monkeypatch.setattr(opened, "search_vectors", failing)
        assert callable(reading)
    found = told(search(reader, paths[3]), 201)
    assert found["hits"][0]["score"] > 0.999
    with core.database.read() as session:
        assert session.scalars(select(Search)).one().model == digests(core)["better"]


def test_a_migration_that_was_stopped_goes_on(
    make_core: Callable[..., Core],
    model: Path,
    better: Path,
    pictures: Callable[..., list[Path]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundles = {"demo": model, "better": better}
    first = make_core(bundles=bundles)
    with first.database.write() as session:
        session.add(
            GalleryRow(
                id="entrance", bundle="demo", digest=digests(first)["demo"], restricted=False, retention_days=30,
                search_retention_days=30, created=datetime.now(UTC),
            )
        )  # fmt: skip
    files = [(path.name, path.read_bytes()) for path in pictures("crops", 20)]
    first.library.add("entrance", files, modality="visible", camera=None, key="")
    job = first.jobs.add("entrance", "migration", {"bundle": "better"}, key="k")
    new: Any = first.galleries.model("better").encoder
    whole = new.embed

    def and_stop(*words: Any) -> Any:
        first.jobs._stopping.set()  # as a SIGTERM that arrives now
        return whole(*words)

    monkeypatch.setattr(new, "embed", and_stop)
    first.start()
    first.jobs._thread.join(60)
    assert first.galleries.bundle_of("entrance", "demo") == "demo"
    first.stop()
    second = make_core(bundles=bundles)
    second.start()
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with second.database.read() as session:
            if session.get_one(Job, job.id).ended:
                break
        time.sleep(0.02)
    encoder: Any = second.galleries.model("better").encoder
    second.stop()
    with second.database.read() as session:
        assert session.get_one(Job, job.id).state == "done"
        assert session.get_one(GalleryRow, "entrance").bundle == "better"
    assert encoder._encoder.embedded < 20 + 20  # 20 queries that compare the models, and not all pictures again


def test_an_exchange_whose_row_was_not_written_is_searched_and_made_whole(
    service: Service, pictures: Callable[..., list[Path]]
) -> None:
    """As after a process that was killed between the two."""
    paths = fill(service, pictures)
    core, admin = service.core, service.client("admin")
    core.galleries.model("better")
    with core.galleries.closed_to_writers("entrance"):
        core.galleries.migrate("entrance", ("demo", "better"))
    assert told(admin.get("/v1/galleries/entrance"))["bundle"] == "demo"
    told(search(admin, paths[0]), 201)
    assert ended(admin, migrate(admin)["id"])["state"] == "done"
    assert told(admin.get("/v1/galleries/entrance"))["bundle"] == "better"
    with core.database.read() as session:
        assert "gallery.migrate" in session.scalars(select(AuditEntry.action)).all()


def test_what_cannot_be_migrated_stays_as_it_was(service: Service, pictures: Callable[..., list[Path]]) -> None:
    paths = fill(service, pictures)
    core, admin = service.core, service.client("admin")
    answer = admin.post("/v1/galleries/entrance/migrations", json={"bundle": "bettre"})
    assert "did you mean 'better'" in told(answer, 422)["detail"]
    image = told(admin.get("/v1/galleries/entrance/images"))["items"][0]["id"]
    core.library.pictures.path("entrance", image, ".png").unlink()
    failed = ended(admin, migrate(admin)["id"])
    assert (failed["state"], failed["problem"]) == ("failed", "unreadable-picture")
    assert told(admin.get("/v1/galleries/entrance"))["bundle"] == "demo"
    told(search(admin, paths[0]), 201)
    told(admin.delete(f"/v1/galleries/entrance/images/{image}"))
    assert ended(admin, migrate(admin)["id"])["state"] == "done"
    told(admin.post(f"/v1/galleries/entrance/images/{image}/searches", json=DECLARED), 404)
