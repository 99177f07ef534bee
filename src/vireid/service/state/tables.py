"""The tables. Times are UTC and aware; what a table refers to goes with it (`ON DELETE CASCADE`)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

__all__ = [
    "Alarm",
    "AuditEntry",
    "Base",
    "GalleryRow",
    "ImageRow",
    "Job",
    "JobRow",
    "Key",
    "Mark",
    "Moment",
    "Purpose",
    "Replay",
    "Search",
]


class Moment(TypeDecorator[datetime]):
    """An aware time, kept as UTC without zone, since SQLite knows no zones."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    type_annotation_map = {datetime: Moment, dict[str, Any]: JSON, list[Any]: JSON}  # noqa: RUF012


def _of_gallery() -> Any:
    return ForeignKey("galleries.id", ondelete="CASCADE")


class Key(Base):
    """A key; `digest` is the SHA-256 of its secret, which is kept nowhere. holder: the person who answers for it."""

    __tablename__ = "keys"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))
    holder: Mapped[str] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(16))
    galleries: Mapped[list[Any]]
    exports: Mapped[bool]
    created: Mapped[datetime]
    expires: Mapped[datetime]
    revoked: Mapped[datetime | None]


class GalleryRow(Base):
    """A gallery; `bundle` is a name of the configuration, `digest` the hash of the model that it was built with."""

    __tablename__ = "galleries"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    bundle: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64))
    restricted: Mapped[bool]
    retention_days: Mapped[int]
    search_retention_days: Mapped[int]
    created: Mapped[datetime]


class Purpose(Base):
    """An admissible purpose of searches in a gallery; a withdrawn one stays, since searches name it."""

    __tablename__ = "purposes"
    gallery: Mapped[str] = mapped_column(_of_gallery(), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    basis: Mapped[str] = mapped_column(Text)
    created: Mapped[datetime]
    withdrawn: Mapped[datetime | None]


class ImageRow(Base):
    """A picture of a gallery, named by the SHA-256 of its file.."""

    __tablename__ = "images"
    gallery: Mapped[str] = mapped_column(_of_gallery(), primary_key=True)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    suffix: Mapped[str] = mapped_column(String(8))
    modality: Mapped[str] = mapped_column(String(16))
    camera: Mapped[str | None] = mapped_column(String(64))
    added: Mapped[datetime]
    expires: Mapped[datetime]

    __table_args__ = (Index("images_by_expiry", "expires"), Index("images_by_order", "gallery", "added", "id"))


class Search(Base):
    """A search that was answered: by which key, why, with which result.

    image: the picture of the gallery it was made with, None where one was uploaded. model: hash of the model.
    image: the picture of the gallery it was made with, None where one was uploaded. model: hash of the model.
    vector: the query's, float32, kept for the alarm on repeated searches and never given out.
    """

    __tablename__ = "searches"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    gallery: Mapped[str] = mapped_column(_of_gallery())
    key: Mapped[str] = mapped_column(String(32))
    at: Mapped[datetime]
    expires: Mapped[datetime]
    purpose: Mapped[str] = mapped_column(String(64))
    case: Mapped[str] = mapped_column(String(200))
    authorisation: Mapped[str] = mapped_column(String(200))
    authorised_until: Mapped[datetime]
    modality: Mapped[str] = mapped_column(String(16))
    image: Mapped[str | None] = mapped_column(String(64))
    filters: Mapped[dict[str, Any]]
    results: Mapped[list[Any]]
    model: Mapped[str] = mapped_column(String(64))
    vector: Mapped[bytes] = mapped_column(LargeBinary)

    __table_args__ = (Index("searches_by_key", "key", "at"), Index("searches_by_expiry", "expires"))


class Mark(Base):
    """What one person said of one result of a search: `same` or `different`."""

    __tablename__ = "marks"
    search: Mapped[str] = mapped_column(ForeignKey("searches.id", ondelete="CASCADE"), primary_key=True)
    image: Mapped[str] = mapped_column(String(64), primary_key=True)
    holder: Mapped[str] = mapped_column(String(200), primary_key=True)
    verdict: Mapped[str] = mapped_column(String(16))
    at: Mapped[datetime]


class Alarm(Base):
    """One key searched for one person again and again."""

    __tablename__ = "alarms"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    gallery: Mapped[str] = mapped_column(_of_gallery())
    key: Mapped[str] = mapped_column(String(32))
    at: Mapped[datetime]
    searches: Mapped[list[Any]]


class Job(Base):
    """Work that outlasts its request. detail: what it was asked."""

    __tablename__ = "jobs"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    gallery: Mapped[str] = mapped_column(_of_gallery())
    key: Mapped[str] = mapped_column(String(32))
    kind: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16))
    detail: Mapped[dict[str, Any]]
    total: Mapped[int]
    done: Mapped[int]
    problem: Mapped[str] = mapped_column(Text)
    created: Mapped[datetime]
    ended: Mapped[datetime | None]


class JobRow(Base):
    """What became of one file of a job; it goes with its picture. image: of which it tells, if any."""

    __tablename__ = "job_rows"
    job: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    image: Mapped[str | None] = mapped_column(String(64))
    row: Mapped[dict[str, Any]]

    __table_args__ = (Index("job_rows_by_image", "image"),)


class Replay(Base):
    """The answer to a write that named an idempotency key; `status` 0 while the first request is being worked on."""

    __tablename__ = "replays"
    key: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    request: Mapped[str] = mapped_column(String(64))
    status: Mapped[int]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    at: Mapped[datetime]


class AuditEntry(Base):
    """One link of the audit's chain. details: JSON in canonical form, as it was hashed."""

    __tablename__ = "audit"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[str] = mapped_column(String(40))
    actor: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(40))
    gallery: Mapped[str] = mapped_column(String(64))
    details: Mapped[str] = mapped_column(Text)
    previous: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))

    __table_args__ = (Index("audit_by_gallery", "gallery", "number"), Index("audit_by_actor", "actor", "at"))
