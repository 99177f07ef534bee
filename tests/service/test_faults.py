"""The database goes and comes back, the disk is full: said as it is, nothing half kept, and going on afterwards."""

import hashlib
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from service_fixtures import PostgreSQL, Service, fill, search, told
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from vireid.service.audit import verify
from vireid.service.problems import problem_of_machine


def add(client: httpx.Client, *paths: Path, **headers: str) -> httpx.Response:
    files = [("picture", (path.name, path.read_bytes())) for path in paths]
    data = {"modality": "visible"}
    return client.post("/v1/galleries/entrance/images", files=files, data=data, headers=headers)


def in_gallery(client: httpx.Client) -> set[str]:
    return {row["id"] for row in told(client.get("/v1/galleries/entrance/images?limit=500"))["items"]}


def names(paths: list[Path]) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


def test_what_the_machine_says_gets_a_code_of_its_own() -> None:
    away = OperationalError("select", {}, Exception("connection refused"))
    full = OperationalError("insert", {}, Exception("database or disk is full"))
    assert [
        problem_of_machine(error).code for error in (away, full, OSError(28, "x"), OSError(5, "x"), KeyError())
    ] == [
        "database-away",
        "disk-full",
        "disk-full",
        "internal",
        "internal",
    ]


def test_a_locked_sqlite_file_is_told_and_passes(service: Service, pictures: Callable[..., list[Path]]) -> None:
    paths = fill(service, pictures)
    core, operator, reader = service.core, service.client("operator"), service.client("reader")
    event.listen(core.database.engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=100"))
    core.database.engine.dispose()
    new = pictures("new", 2, seed=8)
    other = sqlite3.connect(core.settings.folder / "state.sqlite3", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    refused = [add(operator, new[0]), search(reader, paths[0])]
    assert [told(answer, 503)["code"] for answer in refused] == ["database-away"] * 2
    assert told(reader.get("/v1/galleries/entrance"))["id"] == "entrance"  # readers go on
    other.execute("ROLLBACK")
    other.close()
    assert told(add(operator, new[0]), 201)[0]["state"] == "added"
    told(search(reader, paths[0]), 201)
    assert in_gallery(operator) == set(names([*paths, new[0]]))
    assert verify(core.database, core.ledger.anchors).sound


@pytest.mark.slow
def test_a_database_that_is_stopped_and_started_again(
    make_service: Callable[..., Service], pictures: Callable[..., list[Path]]
) -> None:
    server = PostgreSQL()
    try:
        service = make_service(database=server.url)
        paths = fill(service, pictures)
        operator = service.client("operator")
        new = pictures("new", 1, seed=8)
        whole = service.core.library.add

        def and_stop(*words: Any, **how: Any) -> Any:
            server.stop()
            return whole(*words, **how)

        service.core.library.add = and_stop  # type: ignore[method-assign]
        cut = add(operator, *new, **{"Idempotency-Key": "one"})
        service.core.library.add = whole  # type: ignore[method-assign]
        assert told(cut, 503)["code"] == "database-away"
        assert told(search(operator, paths[0]), 503)["code"] == "database-away"
        assert told(operator.get("/health/live")) == {"status": "alive"}
        assert not told(operator.get("/health/ready"), 503)["checks"]["database"]
        server.start()
        assert told(operator.get("/health/ready"))["ready"]
        assert told(add(operator, *new, **{"Idempotency-Key": "one"}), 201)[0]["state"] == "added"
        told(search(operator, paths[0]), 201)
        assert in_gallery(operator) == set(names([*paths, *new]))
        assert verify(service.core.database, service.core.ledger.anchors).sound
        service.close()
        service.core.database.close()
    finally:
        server.remove()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)], capture_output=True)
    if done.returncode:
        pytest.skip("needs the right to mount a small tmpfs")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.slow
def test_a_full_disk_refuses_and_loses_nothing(
    make_service: Callable[..., Service], pictures: Callable[..., list[Path]], small_disk: Path
) -> None:
    service = make_service(folder=small_disk / "service")
    paths = fill(service, pictures)
    core, operator = service.core, service.client("operator")
    new = pictures("new", 40, seed=8)
    ballast = small_disk / "ballast"
    refused = 0
    acknowledged = set(names(paths))
    with ballast.open("wb") as stream:
        stream.write(bytes(18 << 20))
        for path in new:
            try:
                stream.write(bytes(1 << 20))
                stream.flush()
            except OSError:
                pass  # that is the point
            answer = add(operator, path)
            if answer.status_code == 201:
                acknowledged |= set(names([path]))
            else:
                assert told(answer, 507)["code"] == "disk-full"
                refused += 1
            if refused == 3:
                break
    assert refused == 3
    assert told(search(operator, paths[0]), 507)["code"] == "disk-full"  # what cannot be recorded is not answered
    assert told(operator.get("/health/live")) == {"status": "alive"}
    assert acknowledged <= in_gallery(operator)
    ballast.unlink()
    for path in new:
        assert told(add(operator, path), 201)[0]["state"] in ("added", "known")
    everything = set(names([*paths, *new]))
    assert in_gallery(operator) == everything
    assert core.galleries.count("entrance") == len(everything)
    for path in new[::10]:
        hits = told(search(operator, path, modalities="visible"), 201)["hits"]
        assert hits[0]["image"] == names([path])[0]
    found = verify(core.database, core.ledger.anchors)
    assert found.sound, found.findings
