"""Deleting what has expired: at the start and then every hour, whether anybody thinks of it or not."""

from __future__ import annotations

import shutil
import threading
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import delete, select

from vireid.errors import VireidError
from vireid.service.library import Library
from vireid.service.problems import Problem
from vireid.service.settings import Retention as Periods
from vireid.service.state import Alarm, GalleryRow, ImageRow, Job, JobRow, Replay, Search

__all__ = ["Retention", "expire"]

_AT_ONCE = 500
_REPLAYS = timedelta(days=1)
_ALARMS_AND_JOBS = timedelta(days=366)
_log = structlog.get_logger("vireid.service.retention")


def expire(library: Library, *, reports: int = Periods().reports, now: datetime | None = None) -> dict[str, int]:
    """Delete expired pictures and searches, old answers, reports and jobs, and folders that no gallery owns; returns
    how many pictures and searches there were. A gallery that is getting another model waits for the next turn.

    reports: days for which rows of a job's report stay.

    Raises:
        VireidError: of the first gallery whose pictures could not be deleted, after everything else was.
    """
    now = now or datetime.now(UTC)
    pictures = 0
    failed: dict[str, VireidError] = {}  # a damaged gallery must not keep what others hold
    later: set[str] = set()  # galleries that are getting another model
    while True:
        with library.database.read() as session:
            due = session.execute(
                select(ImageRow.gallery, ImageRow.id)
                .where(ImageRow.expires <= now, ImageRow.gallery.not_in({*failed, *later}))
                .limit(_AT_ONCE)
            ).all()
        if not due:
            break
        for gallery in sorted({gallery for gallery, _ in due}):
            images = [image for name, image in due if name == gallery]
            try:
                library.delete(gallery, images, why="retention")
                pictures += len(images)
            except VireidError as error:
                failed[gallery] = error
            except Problem as problem:
                if problem.code != "migrating":
                    raise
                later.add(gallery)
    with library.ledger.transaction() as (session, record):
        old = list(session.scalars(select(Search.id).where(Search.expires <= now)))
        for start in range(0, len(old), _AT_ONCE):
            session.execute(delete(Search).where(Search.id.in_(old[start : start + _AT_ONCE])))
        session.execute(delete(Replay).where(Replay.at <= now - _REPLAYS))
        session.execute(delete(Alarm).where(Alarm.at <= now - _ALARMS_AND_JOBS))
        told = select(Job.id).where(Job.ended <= now - timedelta(days=reports))
        session.execute(delete(JobRow).where(JobRow.job.in_(told)))
        session.execute(delete(Job).where(Job.ended <= now - _ALARMS_AND_JOBS))
        if old:
            record("searches.expire", searches=len(old))
        _remove_orphans(library, set(session.scalars(select(GalleryRow.id))))
    if failed:
        raise next(iter(failed.values()))
    return {"pictures": pictures, "searches": len(old)}


def _remove_orphans(library: Library, known: set[str]) -> None:
    """What a crash left of a deleted gallery."""
    folder = library.galleries.folder
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.is_dir() and entry.name not in known:
            shutil.rmtree(entry, ignore_errors=True)


class Retention:
    """Calls `expire` again and again in a thread. sound: whether the last call did not fail."""

    def __init__(self, library: Library, periods: Periods) -> None:
        self.library = library
        self.periods = periods
        self.sound = True
        self._seconds = periods.every_minutes * 60
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="retention", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _work(self) -> None:
        while True:
            try:
                gone = expire(self.library, reports=self.periods.reports)
                self.sound = True
                if any(gone.values()):
                    _log.info("retention", **gone)
            except Exception:  # noqa: BLE001 (the next turn must come whatever it was; readiness tells of it)
                self.sound = False
                _log.exception("retention.failed")
            if self._stopping.wait(self._seconds):
                return
