"""One search: declared, embedded with its neighbours in time, answered, kept and told to the audit before it leaves."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from vireid.errors import UsageError
from vireid.service.alarms import raise_alarm
from vireid.service.audit import Ledger
from vireid.service.declaration import Declaration, check_declaration
from vireid.service.galleries import Answer, Exchanged, Galleries
from vireid.service.keys import Caller
from vireid.service.library import existing
from vireid.service.problems import Problem
from vireid.service.settings import Settings
from vireid.service.state import AuditEntry, Database, GalleryRow, ImageRow, Search
from vireid.types import Embeddings

__all__ = ["Asked", "Searcher", "direction"]

_FILTERS = ("camera", "modality")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a search wants. image: the picture of the gallery it is made with, None where pictures were uploaded."""

    declaration: Declaration
    modality: str
    top: int
    filters: Mapping[str, Sequence[str]]
    image: str | None = None


class Searcher:
    """Answers searches. Nothing is answered that the audit could not be told of."""

    def __init__(self, database: Database, ledger: Ledger, galleries: Galleries, settings: Settings) -> None:
        self.database = database
        self.ledger = ledger
        self.galleries = galleries
        self.settings = settings

    @contextmanager
    def unless_deleted(self, gallery: str) -> Iterator[None]:
        """Whatever fails because the gallery is deleted meanwhile is `not-found`."""
        try:
            yield
        except Exchanged:
            raise
        except Exception as error:
            if isinstance(error, Problem) and error.code != "gallery-empty":
                raise
            # A deletion that has begun is waited for; it takes the pictures first.
            with self.galleries.turn(gallery), self.database.read() as session:
                gone = session.get(GalleryRow, gallery) is None
            if gone:
                raise Problem("not-found", "the gallery has been deleted") from error
            raise

    def check(self, gallery: str, asked: Asked, caller: Caller) -> None:
        """Everything that can be refused before a picture is looked at; refusals for want of a purpose are recorded.

        Raises:
            Problem: purpose, authorisation, quota, or an empty gallery. UsageError: `top` or filters not allowed.
        """
        if not 1 <= asked.top <= self.settings.limits.top:
            raise UsageError(f"top is {asked.top}; between 1 and {self.settings.limits.top} hits can be had")
        wrong = [name for name in asked.filters if name not in _FILTERS]
        if wrong:
            raise UsageError(f"filter {wrong[0]!r} is not offered (allowed: {', '.join(_FILTERS)})")
        self.check_reason(gallery, asked.declaration, caller, action="search")
        if not self.galleries.count(gallery):
            raise Problem("gallery-empty", "add pictures first")

    def check_reason(self, gallery: str, declaration: Declaration, caller: Caller, *, action: str) -> None:
        """Refuse a search or a verification that has no admissible reason, or is one too many, and record that.

        Raises:
            Problem: purpose, authorisation or quota.
        """
        try:
            with self.database.read() as session:
                check_declaration(session, gallery, declaration)
                self.check_quota(session, caller)
        except Problem as problem:
            told = declaration.told()
            self.ledger.record(f"{action}.refused", key=caller.key, gallery=gallery, code=problem.code, **told)
            raise

    def answer(
        self, gallery: str, queries: Embeddings[Any], asked: Asked, caller: Caller, *, digest: str
    ) -> tuple[Search, Answer, dict[str, ImageRow]]:
        """Search, keep and record; returns the search, what was found, and the rows of the hits by id.

        digest: hash of the model that made the queries.

        Raises:
            Problem: the gallery, or the picture that is searched with, has been deleted; the quota is used up.
            Exchanged: the gallery is of another model by now.
        """
        found = self.galleries.search(
            gallery, queries, digest=digest, modality=asked.modality, top=asked.top, filters=asked.filters
        )
        now = datetime.now(UTC)
        with self.ledger.transaction() as (session, record):
            current = existing(session, gallery)
            if asked.image is not None and session.get(ImageRow, (gallery, asked.image)) is None:
                raise Problem("not-found", "the picture has been deleted")  # and nothing made from it is kept
            self.check_quota(session, caller)  # again: searches that came together are counted one by one
            rows = _rows(session, gallery, [hit.image for hit in found.hits])
            hits = [hit for hit in found.hits if hit.image in rows]  # what was deleted meanwhile is not told
            search = Search(
                id=secrets.token_hex(16),
                gallery=gallery,
                key=caller.key,
                at=now,
                expires=now + timedelta(days=current.search_retention_days),
                purpose=asked.declaration.purpose,
                case=asked.declaration.case,
                authorisation=asked.declaration.authorisation,
                authorised_until=asked.declaration.authorised_until,
                modality=asked.modality,
                image=asked.image,
                filters={name: list(values) for name, values in asked.filters.items()},
                results=[
                    {
                        "image": hit.image,
                        "rank": rank,
                        "score": hit.score,
                        "llr": hit.llr,
                        "false_matches": hit.false_matches,
                    }
                    for rank, hit in enumerate(hits, start=1)
                ],
                model=digest,
                vector=direction(queries).tobytes(),
            )
            session.add(search)
            session.flush()
            record(
                "search",
                key=caller.key,
                gallery=gallery,
                search=search.id,
                images=[hit.image for hit in hits],
                **asked.declaration.told(),
            )
            alarm = raise_alarm(session, search, self.settings.alarms)
            if alarm is not None:
                record("alarm.repeated-search", gallery=gallery, target_key=caller.key, searches=list(alarm.searches))
        return search, found, rows

    def check_quota(self, session: Session, caller: Caller) -> None:
        """Refuse what goes beyond the searches and verifications that a key has in a day: the audit knows of all.

        Raises:
            Problem: they are used up.
        """
        since = (datetime.now(UTC) - timedelta(days=1)).isoformat()
        actor = self.ledger.secrets.pseudonym("key", caller.key)
        made = session.scalar(
            select(func.count())
            .select_from(AuditEntry)
            .where(AuditEntry.actor == actor, AuditEntry.at > since, AuditEntry.action.in_(("search", "verification")))
        )
        allowed = self.settings.limits.searches_per_day
        if (made or 0) >= allowed:
            raise Problem("quota-exhausted", f"this key has made {made} searches in 24 hours; {allowed} are allowed")


def _rows(session: Session, gallery: str, images: Sequence[str]) -> dict[str, ImageRow]:
    wanted = select(ImageRow).where(ImageRow.gallery == gallery, ImageRow.id.in_(images))
    return {row.id: row for row in session.scalars(wanted)}


def direction(queries: Embeddings[Any]) -> NDArray[np.float32]:
    """The mean of the queries' vectors, of unit length."""
    mean = np.asarray(queries.vector, dtype=np.float64).mean(axis=0)
    length = float(np.linalg.norm(mean))
    unit = mean / length if length else mean
    found: NDArray[np.float32] = unit.astype(np.float32)
    return found
