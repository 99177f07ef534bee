"""Where entries are made: in the transaction of what they tell of, anchored as soon as that is committed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from vireid.service.audit.anchors import Anchors
from vireid.service.audit.chain import BEGINNING, canonical, hash_of
from vireid.service.secrets import Secrets
from vireid.service.state import AuditEntry, Database

__all__ = ["COMMAND_LINE", "SERVICE", "Ledger", "Record"]

SERVICE, COMMAND_LINE = "service", "command line"
"""Actors that are no key."""


@dataclass
class Record:
    """Adds entries to the transaction that is open. pseudonym: as `Secrets.pseudonym`."""

    session: Session
    secrets: Secrets

    def __call__(
        self, action: str, *, key: str = "", actor: str = SERVICE, gallery: str = "", **details: Any
    ) -> AuditEntry:
        """One entry. `key` is the id of the key that acted; it is told by its pseudonym, as are `images`, `image`,
        `target_key` and `holder` among the details.
        """
        last = _head(self.session)
        entry = AuditEntry(
            number=last.number + 1 if last else 1,
            at=datetime.now(UTC).isoformat(),
            actor=self.secrets.pseudonym("key", key) if key else actor,
            action=action,
            gallery=gallery,
            details=canonical(self._hidden(details)),
            previous=last.hash if last else BEGINNING,
        )
        entry.hash = hash_of(entry)
        self.session.add(entry)
        self.session.flush()
        return entry

    def _hidden(self, details: Mapping[str, Any]) -> dict[str, Any]:
        kinds = {"image": "image", "target_key": "key", "holder": "holder"}
        hidden = {
            name: self.secrets.pseudonym(kinds[name], value) if name in kinds else value
            for name, value in details.items()
        }
        if "images" in hidden:
            hidden["images"] = [self.secrets.pseudonym("image", image) for image in details["images"]]
        return hidden


class Ledger:
    """The audit of one service. Entries are made one after the other, by one process or by several."""

    def __init__(self, database: Database, anchors: Anchors, secrets: Secrets) -> None:
        self.database = database
        self.anchors = anchors
        self.secrets = secrets
        self._turn = threading.RLock()

    @contextmanager
    def transaction(self) -> Iterator[tuple[Session, Record]]:
        """A writing session and what records in it: both are kept, or neither.

        The head is anchored after the commit. A process that is killed between the two leaves entries without an
        anchor. So does somebody who cuts the anchors back to change what came after them. The next transaction says so
        in an entry of its own, `audit.unanchored`, before its anchor covers them; until then `unanchored` tells.
        """
        with self._turn, self.anchors.lock:
            with self.database.write() as session:
                record = Record(session, self.secrets)
                before, last = _head(session), self.anchors.last()
                if (before.hash if before else "") != (last.hash if last else ""):
                    record(
                        "audit.unanchored",
                        entries=before.number if before else 0,
                        anchored=last.number if last else 0,
                    )
                yield session, record
                head = _head(session)
            if head is not None and (last is None or last.hash != head.hash):
                self.anchors.append(head.number, head.hash)

    def record(self, action: str, **entry: Any) -> None:
        """One entry that belongs to no other change."""
        with self.transaction() as (_, record):
            record(action, **entry)

    def unanchored(self) -> tuple[int, int]:
        """Numbers of the last entry and of the last anchored one; they differ after a crash, or where somebody cut or
        put back the database.
        """
        with self.database.read() as session:
            number = session.scalar(select(func.max(AuditEntry.number))) or 0
        last = self.anchors.last()
        return number, last.number if last else 0


def _head(session: Session) -> AuditEntry | None:
    return session.scalars(select(AuditEntry).order_by(AuditEntry.number.desc()).limit(1)).first()
