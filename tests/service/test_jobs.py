"""Jobs outlast a stop of the service."""

import hashlib
import io
import time
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from vireid.service.core import Core
from vireid.service.retention import expire
from vireid.service.state import GalleryRow, ImageRow, Job, JobRow


def gallery(core: Core) -> None:
    digest = core.galleries.model("demo").bundle.digest
    row = GalleryRow(
        id="yard",
        bundle="demo",
        digest=digest,
        restricted=False,
        retention_days=30,
        search_retention_days=30,
        created=datetime.now(UTC),
    )
    with core.database.write() as session:
        session.add(row)


def add(core: Core, files: list[Path]) -> str:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for file in files:
            archive.write(file, file.name)
    core.jobs.staging.mkdir(parents=True, exist_ok=True)
    staged = core.jobs.new_file()
    staged.write_bytes(packed.getvalue())
    return core.jobs.add("yard", "archive", {"modality": "visible", "camera": None}, key="k", archive=staged).id


def ended(core: Core, name: str) -> Job:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with core.database.read() as session:
            job = session.get_one(Job, name)
        if job.ended:
            return job
        time.sleep(0.02)
    raise AssertionError("the job has not ended")


def test_a_job_that_waited_when_the_service_stopped_is_done_after_the_next_start(
    make_core: Callable[..., Core], pictures: Callable[..., list[Path]]
) -> None:
    first = make_core()
    gallery(first)
    name = add(first, pictures("crops", 3))
    (first.jobs.staging / "left-by-a-cut-upload.part").write_bytes(b"x")
    first.database.close()
    second = make_core()
    second.start()
    job = ended(second, name)
    assert (job.state, job.total, job.done) == ("done", 3, 3)
    assert not list(second.jobs.staging.iterdir())
    second.stop()


def test_a_job_that_was_stopped_in_the_middle_goes_on_and_loses_nothing(
    make_core: Callable[..., Core], pictures: Callable[..., list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vireid.service.jobs._AT_ONCE", 2)
    first = make_core()
    gallery(first)
    name = add(first, pictures("crops", 6))
    whole = first.library.add

    def and_stop(*words: Any, **how: Any) -> Any:
        rows = whole(*words, **how)
        first.jobs._stopping.set()  # as a SIGTERM that arrives now
        return rows

    monkeypatch.setattr(first.library, "add", and_stop)
    first.start()
    first.jobs._thread.join(60)
    with first.database.read() as session:
        assert (session.get_one(Job, name).state, session.get_one(Job, name).done) == ("running", 2)
    first.stop()
    second = make_core()
    second.start()
    assert ended(second, name).done == 6
    with second.database.read() as session:
        rows = [row.row["state"] for row in session.scalars(select(JobRow).order_by(JobRow.number))]
        assert rows == ["known", "known", "added", "added", "added", "added"]
        assert len(session.scalars(select(ImageRow)).all()) == second.galleries.count("yard") == 6
    encoder: Any = second.galleries.model("demo").encoder
    assert encoder._encoder.embedded == 4  # what was embedded before the stop is not embedded again
    second.stop()


def test_a_job_whose_archive_is_damaged_fails_and_the_next_one_runs(
    make_core: Callable[..., Core], pictures: Callable[..., list[Path]]
) -> None:
    core = make_core()
    gallery(core)
    names = [add(core, pictures("crops", 2)) for _ in range(2)]
    (core.jobs.staging / f"{names[0]}.zip").write_bytes(b"PK")
    core.start()
    jobs = [ended(core, name) for name in names]
    assert [(job.state, job.problem) for job in jobs] == [("failed", "unreadable-archive"), ("done", "")]
    core.stop()


def test_a_running_job_takes_the_retention_that_is_set_meanwhile(
    make_core: Callable[..., Core], pictures: Callable[..., list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vireid.service.jobs._AT_ONCE", 2)
    core = make_core()
    gallery(core)
    name = add(core, pictures("crops", 4))
    whole = core.library.add

    def and_shorten(*words: Any, **how: Any) -> Any:
        rows = whole(*words, **how)
        with core.ledger.transaction() as (session, _):
            row = session.get_one(GalleryRow, "yard")
            row.retention_days = 3
            core.library.shorten(session, row)
        return rows

    monkeypatch.setattr(core.library, "add", and_shorten)
    core.start()
    ended(core, name)
    core.stop()
    with core.database.read() as session:
        assert [(row.expires - row.added).days for row in session.scalars(select(ImageRow))] == [3] * 4


def test_a_report_goes_with_its_pictures_and_after_a_week(
    make_core: Callable[..., Core], pictures: Callable[..., list[Path]]
) -> None:
    core = make_core()
    gallery(core)
    paths = pictures("crops", 3)
    name = add(core, paths)
    core.start()
    job = ended(core, name)
    core.stop()

    def files() -> list[str]:
        with core.database.read() as session:
            return [row.row["file"] for row in session.scalars(select(JobRow).order_by(JobRow.number))]

    assert files() == ["000.png", "001.png", "002.png"]
    core.library.delete("yard", [hashlib.sha256(paths[1].read_bytes()).hexdigest()], why="asked")
    assert files() == ["000.png", "002.png"]
    assert job.ended is not None
    expire(core.library, now=job.ended + timedelta(days=6))
    assert files() == ["000.png", "002.png"]
    expire(core.library, now=job.ended + timedelta(days=7))
    assert files() == []
    with core.database.read() as session:
        assert session.get_one(Job, name).done == 3  # how many there were is kept


def test_what_was_deleted_before_its_row_was_written_gets_none(
    make_core: Callable[..., Core], pictures: Callable[..., list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    core = make_core()
    gallery(core)
    name = add(core, pictures("crops", 2))
    whole = core.library.add

    def and_delete(*words: Any, **how: Any) -> Any:
        rows = whole(*words, **how)
        core.library.delete("yard", [rows[0]["image"]], why="asked")
        return rows

    monkeypatch.setattr(core.library, "add", and_delete)
    core.start()
    assert ended(core, name).done == 2
    core.stop()
    with core.database.read() as session:
        assert [row.row["file"] for row in session.scalars(select(JobRow))] == ["001.png"]
