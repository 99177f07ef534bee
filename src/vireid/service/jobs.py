"""Work that outlasts its request: archives, root folders, other models; one after the other, in a thread of its own."""

from __future__ import annotations

import queue
import secrets
import threading
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from vireid.data.images import SUFFIXES
from vireid.errors import ImageError, UsageError, VireidError
from vireid.service.library import Library, existing
from vireid.service.problems import Problem, problem_of
from vireid.service.settings import Settings
from vireid.service.state import Database, ImageRow, Job, JobRow
from vireid.types import ItemT

__all__ = ["Jobs", "opened_archive"]

_AT_ONCE = 64  # pictures that are decoded, written and told together
_BLOCK = 1 << 20
_log = structlog.get_logger("vireid.service.jobs")


class _Stopped(Exception):  # noqa: N818
    """The service is being stopped."""


class Jobs:
    """Jobs are rows of the database; one that was not finished is done again after a restart, from its beginning.

    That costs no embedding twice: pictures are known by their content.
    """

    def __init__(self, database: Database, library: Library, settings: Settings) -> None:
        self.database = database
        self.library = library
        self.settings = settings
        self.staging = settings.folder / "staging"
        self._waiting: queue.Queue[str | None] = queue.Queue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)

    def start(self) -> None:
        """Take up what was left, then wait for more."""
        self.staging.mkdir(parents=True, exist_ok=True)
        with self.database.read() as session:
            left = session.scalars(select(Job).where(Job.ended.is_(None)).order_by(Job.created, Job.id)).all()
        for job in left:
            self._waiting.put(job.id)
        kept = {f"{job.id}.zip" for job in left}
        for file in self.staging.iterdir():
            if file.name not in kept:
                file.unlink()
        self._thread.start()

    def stop(self) -> None:
        """Stop after the pictures at hand; the rest is done after the next start."""
        self._stopping.set()
        self._waiting.put(None)
        self._thread.join()

    def new_file(self) -> Path:
        """Where an archive is written before its job exists."""
        return self.staging / f"{secrets.token_hex(16)}.part"

    def add(self, gallery: str, kind: str, detail: dict[str, Any], *, key: str, archive: Path | None = None) -> Job:
        """Put a job in line. archive: a file that becomes the job's own."""
        job = Job(
            id=secrets.token_hex(16),
            gallery=gallery,
            key=key,
            kind=kind,
            state="waiting",
            detail=detail,
            total=0,
            done=0,
            problem="",
            created=datetime.now(UTC),
            ended=None,
        )
        with self.library.ledger.transaction() as (session, record):
            existing(session, gallery)
            session.add(job)
            record("job.add", key=key, gallery=gallery, job=job.id, kind=kind)
            if archive is not None:
                archive.replace(self._archive(job.id))
        self._waiting.put(job.id)
        return job

    def _archive(self, name: str) -> Path:
        return self.staging / f"{name}.zip"

    def _work(self) -> None:
        while (name := self._waiting.get()) is not None and not self._stopping.is_set():
            try:
                self._run(name)
            except Exception:  # noqa: BLE001 (one job must not end the thread that all others wait for)
                _log.exception("job.failed", job=name)
                try:
                    self._end(name, "failed", problem="internal")
                except Exception:  # noqa: BLE001 (the database is away: the next start takes the job up again)
                    _log.exception("job.left", job=name)

    def _run(self, name: str) -> None:
        with self.database.read() as session:
            job = session.get(Job, name)
        if job is None:  # deleted, with what it was to bring in
            self._archive(name).unlink(missing_ok=True)
            return
        if job.ended:  # a start puts what waits in line once more
            return
        try:
            if job.kind == "migration":
                finished = self._migrate(job)
            elif job.kind == "archive":
                with opened_archive(self._archive(name), self.settings) as files:
                    finished = self._bring_in(job, files)
            else:
                finished = self._bring_in(job, self._root(job.detail["root"]))
        except Problem as problem:
            self._end(name, "failed", problem=problem.code)
        except VireidError as error:
            _log.error("job.failed", job=name, error=str(error))
            self._end(name, "failed", problem=problem_of(error).code)
        else:
            if finished:
                self._end(name, "done")

    def _migrate(self, job: Job) -> bool:
        """Give the gallery another model; False where the service was stopped before the end."""
        self._change(job.id, state="running", total=0, done=0)
        done = 0

        def track(items: Iterable[ItemT], /, *, description: str, total: int | None = None) -> Iterator[ItemT]:  # noqa: ARG001
            nonlocal done
            self._add_total(job.id, total or 0)
            for item in items:
                if self._stopping.is_set():
                    raise _Stopped
                yield item
                done += 1
                if done % _AT_ONCE == 0:
                    self._change(job.id, done=done)

        try:
            self.library.migrate(job.gallery, job.detail["bundle"], key=job.key, track=track)
        except _Stopped:
            return False
        self._change(job.id, done=done)
        return True

    def _add_total(self, name: str, count: int) -> None:
        with self.database.write() as session:
            session.execute(update(Job).where(Job.id == name).values(total=Job.total + count))

    def _bring_in(self, job: Job, files: Sequence[_Member | _File]) -> bool:
        """Add files to the gallery; False where the service was stopped before the end."""
        with self.database.write() as session:
            session.execute(delete(JobRow).where(JobRow.job == job.id))
        self._change(job.id, state="running", total=len(files), done=0)
        done = 0
        for part in _parts(files):
            if self._stopping.is_set():
                return False
            read = ((file.name, file.read(self.settings.limits.pictures_bytes)) for file in part)
            detail = job.detail
            rows = self.library.add(
                job.gallery, read, modality=detail["modality"], camera=detail["camera"], key=job.key
            )
            with self.database.write() as session:
                if session.get(Job, job.id) is None:  # deleted, with its gallery
                    self._archive(job.id).unlink(missing_ok=True)
                    return False
                session.add_all(_told(session, job, rows, first=done + 1))
                done += len(rows)
                session.execute(update(Job).where(Job.id == job.id).values(done=done))
        return True

    def _root(self, name: str) -> Sequence[_File]:
        root = self.settings.roots.get(name)
        if root is None or not root.is_dir():
            raise UsageError(f"root {name!r} is not there any more")
        # A link may lead out of the folder that the operator chose.
        paths = (path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        return [_File(path, root) for path in sorted(paths) if path.resolve().is_relative_to(root.resolve())]

    def _change(self, name: str, **values: Any) -> None:
        with self.database.write() as session:
            session.execute(update(Job).where(Job.id == name).values(**values))

    def _end(self, name: str, state: str, *, problem: str = "") -> None:
        self._change(name, state=state, problem=problem, ended=datetime.now(UTC))
        self._archive(name).unlink(missing_ok=True)


def _told(session: Session, job: Job, rows: Sequence[dict[str, Any]], *, first: int) -> Iterator[JobRow]:
    """The report's rows; a picture that has been deleted since gets none."""
    named = [row["image"] for row in rows if row["state"] in ("added", "known")]
    there = select(ImageRow.id).where(ImageRow.gallery == job.gallery, ImageRow.id.in_(named))
    gone = set(named) - set(session.scalars(there))
    for number, row in enumerate(rows, first):
        if row.get("image") not in gone:
            yield JobRow(job=job.id, number=number, image=row.get("image"), row=row)


class _File:
    """A picture file below a root; named by its place there."""

    def __init__(self, path: Path, root: Path) -> None:
        self.path = path
        self.name = path.relative_to(root).as_posix()

    def read(self, limit: int) -> bytes | ImageError:
        """Its bytes, or why there are none."""
        try:
            with self.path.open("rb") as stream:
                data = stream.read(limit + 1)
        except OSError as error:
            return ImageError(error.strerror or "cannot be read")
        return data if len(data) <= limit else _too_large(limit)


class _Member:
    """A picture file in an archive."""

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        self.archive = archive
        self.info = info
        self.name = info.filename

    def read(self, limit: int) -> bytes | ImageError:
        """Its bytes, or why there are none; at most `limit` are unpacked, whatever the archive says of its size."""
        try:
            with self.archive.open(self.info) as stream:
                data = stream.read(limit + 1)
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, OSError, EOFError):
            return ImageError("damaged, encrypted, or packed in a way that is not understood")
        return data if len(data) <= limit else _too_large(limit)


def _too_large(limit: int) -> ImageError:
    return ImageError(f"more than {limit} bytes")


@contextmanager
def opened_archive(path: Path, settings: Settings) -> Iterator[list[_Member]]:
    """The picture files of a zip archive, by name. Names are never used as paths.

    Raises:
        Problem: it is no zip archive, or holds more files or bytes than are allowed.
    """
    limits = settings.limits
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise Problem("unreadable-archive", "this is no zip archive, or it is damaged") from error
    with archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
        if len(infos) > limits.archive_files:
            raise Problem("too-large", f"the archive holds {len(infos)} files; {limits.archive_files} are allowed")
        if sum(info.file_size for info in infos) > limits.unpacked_bytes:
            raise Problem("too-large", f"the archive's files have more than {limits.unpacked_bytes} bytes together")
        yield [_Member(archive, info) for info in infos if Path(info.filename).suffix.lower() in SUFFIXES]


def _parts(files: Sequence[_Member | _File]) -> Iterator[Sequence[_Member | _File]]:
    for start in range(0, len(files), _AT_ONCE):
        yield files[start : start + _AT_ONCE]
