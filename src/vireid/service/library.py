"""Pictures in and out of a gallery: file, index and table row together, each step told to the audit."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from vireid.errors import ImageError
from vireid.service.audit import Ledger
from vireid.service.galleries import Galleries, Picture
from vireid.service.pictures import Decoded, Pictures, decode
from vireid.service.problems import Problem, problem_of
from vireid.service.state import Database, GalleryRow, ImageRow, Job, JobRow, Mark, Search
from vireid.types import Track, untracked

__all__ = ["Library", "existing", "forget", "new_row"]

_AT_ONCE = 500  # names in one statement


class Library:
    """What a gallery holds.

    A picture's row is written before its file and its index entry and removed after them: whatever stops the service,
    nothing lies in the index that no row, and so no retention, knows of.
    """

    def __init__(self, database: Database, ledger: Ledger, galleries: Galleries, *, max_pixels: int) -> None:
        self.database = database
        self.ledger = ledger
        self.galleries = galleries
        self.pictures = Pictures(galleries.folder)
        self.max_pixels = max_pixels

    def add(
        self,
        gallery: str,
        files: Iterable[tuple[str, bytes | ImageError]],
        *,
        modality: str,
        camera: str | None,
        key: str,
        track: Track = untracked,
    ) -> list[dict[str, Any]]:
        """Add picture files (name, and bytes or why there are none); returns one row a file: `added`, `known`,
        `unreadable` with the reason, or `refused`: deleted from this gallery before, and not to come back.

        A known picture keeps its date of expiry and takes what is said now; a camera that is not said stays.

        Raises:
            Problem: the gallery has been deleted, or is getting another model.
        """
        report, readable = self.read(files)
        if readable:
            with self.galleries.turn(gallery):
                self.galleries.refuse_migrating(gallery)
                refused = self.galleries.deleted_before(gallery, list(readable))
                for row in report:
                    if row.get("image") in refused:
                        row |= {"state": "refused", "reason": "was deleted from this gallery before"}
                new = [picture for name, picture in readable.items() if name not in refused]
                if not new:
                    return report
                owner, seen, cameras = self._enter(gallery, new, modality=modality, camera=camera, key=key)
                self.keep(owner, new, modality=modality, cameras=cameras, track=track)
            for row in report:
                if row["state"] == "added":
                    row["state"] = "known" if row["image"] in seen else "added"
                    seen.add(row["image"])
        return report

    def read(self, files: Iterable[tuple[str, bytes | ImageError]]) -> tuple[list[dict[str, Any]], dict[str, Decoded]]:
        """One row a file, `added` or `unreadable`, and the pictures that could be read, by id."""
        report: list[dict[str, Any]] = []
        readable: dict[str, Decoded] = {}
        for name, data in files:
            try:
                if isinstance(data, ImageError):
                    raise data
                picture = decode(data, max_pixels=self.max_pixels)
            except ImageError as error:
                report.append({"file": name, "state": "unreadable", "reason": problem_of(error).detail})
                continue
            report.append({"file": name, "state": "added", "image": picture.id})
            readable[picture.id] = picture
        return report, readable

    def keep(
        self,
        gallery: GalleryRow,
        pictures: Sequence[Decoded],
        *,
        modality: str,
        cameras: Mapping[str, str | None],
        track: Track = untracked,
    ) -> None:
        """Write the pictures' files and index them; cameras: of each, by id. Their rows are the caller's business."""
        for picture in pictures:
            self.pictures.write(gallery.id, picture)
        listed = [
            Picture(one.id, self.pictures.path(gallery.id, one.id, one.suffix), modality, cameras[one.id])
            for one in pictures
        ]
        self.galleries.add(gallery.id, gallery.bundle, listed, track=track)

    def _enter(
        self, gallery: str, pictures: Sequence[Decoded], *, modality: str, camera: str | None, key: str
    ) -> tuple[GalleryRow, set[str], dict[str, str | None]]:
        """Rows of the pictures; returns the gallery as it is now, the ids that were there before, and the camera of
        each picture.
        """
        now = datetime.now(UTC)
        ids = [picture.id for picture in pictures]
        with self.ledger.transaction() as (session, record):
            owner = existing(session, gallery)
            rows = {row.id: row for row in self._rows(session, gallery, ids)}
            known, changed = set(rows), []
            for picture in pictures:
                row = rows.get(picture.id)
                if row is None:
                    rows[picture.id] = new_row(picture.id, picture.suffix, owner, modality, camera, now)
                    session.add(rows[picture.id])
                    continue
                before = (row.modality, row.camera)
                row.modality, row.camera = modality, row.camera if camera is None else camera
                if before != (row.modality, row.camera):
                    changed.append(picture.id)
            new = [name for name in ids if name not in known]
            for action, names in (("images.add", new), ("images.change", changed)):
                if names:
                    record(action, key=key, gallery=gallery, images=names, modality=modality, camera=camera)
        return owner, known, {name: row.camera for name, row in rows.items()}

    def delete(self, gallery: str, images: Sequence[str], *, why: str, key: str = "") -> dict[str, Any] | None:
        """Delete pictures for good: index, file, row, and what searches remember of them.

        Returns the receipt, which names the audit's entry; None where none of them is there.

        Raises:
            Problem: the gallery is getting another model.
        """
        with self.database.read() as session:
            rows = list(self._rows(session, gallery, images))
        if not rows:
            return None
        ids = [row.id for row in rows]
        with self.galleries.turn(gallery):
            self.galleries.refuse_migrating(gallery)
            self.galleries.delete(gallery, ids)
            for row in rows:
                self.pictures.delete(gallery, row.id, row.suffix)
            with self.ledger.transaction() as (session, record):
                for start in range(0, len(ids), _AT_ONCE):
                    part = ids[start : start + _AT_ONCE]
                    session.execute(delete(ImageRow).where(ImageRow.gallery == gallery, ImageRow.id.in_(part)))
                forget(session, gallery, ids)
                entry = record("images.delete", key=key, gallery=gallery, images=ids, why=why)
        return {"images": ids, "deleted": entry.at, "audit": {"number": entry.number, "hash": entry.hash}}

    def drop(self, gallery: str, *, key: str) -> dict[str, Any]:
        """Delete a gallery with everything in it; returns the receipt.

        Raises:
            Problem: the gallery is getting another model.
        """
        counted = select(func.count()).select_from(ImageRow).where(ImageRow.gallery == gallery)
        with self.galleries.turn(gallery):
            self.galleries.refuse_migrating(gallery)
            self.galleries.drop(gallery)
            if (self.galleries.folder / gallery).exists():
                shutil.rmtree(self.galleries.folder / gallery)  # what cannot be removed gets no receipt
            with self.ledger.transaction() as (session, record):
                count = session.scalar(counted) or 0
                session.execute(delete(GalleryRow).where(GalleryRow.id == gallery))
                entry = record("gallery.delete", key=key, gallery=gallery, pictures=count)
        return {
            "gallery": gallery,
            "pictures": count,
            "deleted": entry.at,
            "audit": {"number": entry.number, "hash": entry.hash},
        }

    def migrate(self, gallery: str, bundle: str, *, key: str, track: Track = untracked) -> None:
        """Give a gallery another model. Searches are answered with the old one until the two are exchanged, and with
        the new one from then on; nothing else is written meanwhile.

        Raises:
            Problem: the gallery has been deleted. DataError: pictures of it are not as they were.
        """
        with self.galleries.closed_to_writers(gallery):
            with self.database.read() as session:
                before = existing(session, gallery).bundle
            found = self.galleries.migrate(gallery, (before, bundle), track=track)
            with self.ledger.transaction() as (session, record):
                row = existing(session, gallery)
                was, row.bundle, row.digest = row.digest, bundle, self.galleries.model(bundle).bundle.digest
                if found or was != row.digest:
                    alike = found.agreement if found else None
                    record(
                        "gallery.migrate",
                        key=key,
                        gallery=gallery,
                        model=row.digest,
                        before=was,
                        pictures=found.pictures if found else 0,
                        same_first=alike.same_first if alike else None,
                        overlap=alike.overlap if alike else None,
                    )

    def shorten(self, session: Session, gallery: GalleryRow) -> None:
        """Let nothing of a gallery stay longer than its retention says now; dates that are earlier stay."""
        kinds = (
            (ImageRow, ImageRow.gallery, ImageRow.added, ImageRow.expires, gallery.retention_days),
            (Search, Search.gallery, Search.at, Search.expires, gallery.search_retention_days),
        )
        for table, owner, begun, ends, days in kinds:
            for moment in session.scalars(select(begun).where(owner == gallery.id).distinct()).all():
                end = moment + timedelta(days=days)
                later = (owner == gallery.id, begun == moment, ends > end)
                session.execute(update(table).where(*later).values(expires=end))

    @staticmethod
    def _rows(session: Session, gallery: str, ids: Sequence[str]) -> Iterable[ImageRow]:
        for start in range(0, len(ids), _AT_ONCE):
            part = ids[start : start + _AT_ONCE]
            yield from session.scalars(select(ImageRow).where(ImageRow.gallery == gallery, ImageRow.id.in_(part)))


def existing(session: Session, gallery: str) -> GalleryRow:
    """The gallery as it is now; who began while it was there may find it deleted.

    Raises:
        Problem: it has been deleted.
    """
    found = session.get(GalleryRow, gallery)
    if found is None:
        raise Problem("not-found", "the gallery has been deleted")
    return found


def new_row(
    image: str, suffix: str, gallery: GalleryRow, modality: str, camera: str | None, added: datetime
) -> ImageRow:
    """The row of a picture whose retention begins now."""
    return ImageRow(
        gallery=gallery.id,
        id=image,
        suffix=suffix,
        modality=modality,
        camera=camera,
        added=added,
        expires=added + timedelta(days=gallery.retention_days),
    )


def forget(session: Session, gallery: str, images: Sequence[str]) -> None:
    """Take pictures out of what searches remember (their place in results, marks on them, vectors made from them) and
    out of the reports of jobs.
    """
    gone = set(images)
    jobs = select(Job.id).where(Job.gallery == gallery)
    for start in range(0, len(images), _AT_ONCE):
        part = images[start : start + _AT_ONCE]
        session.execute(delete(JobRow).where(JobRow.image.in_(part), JobRow.job.in_(jobs)))
    for search in session.scalars(select(Search).where(Search.gallery == gallery)):
        if any(result["image"] in gone for result in search.results):
            search.results = [result for result in search.results if result["image"] not in gone]
            session.execute(delete(Mark).where(Mark.search == search.id, Mark.image.in_(gone)))
        if search.image in gone:
            search.image, search.vector = None, b""
