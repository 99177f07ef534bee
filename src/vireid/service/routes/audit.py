"""What the auditor sees: entries, counts, alarms, and whether the chain is whole."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import StringConstraints
from sqlalchemy import select

from vireid.service.audit import verify
from vireid.service.keys import Caller
from vireid.service.routes.asked import After, Limit, TheCaller, TheCore, page
from vireid.service.schemas import AlarmOut, AuditOut, Page, VerificationOut
from vireid.service.state import Alarm, AuditEntry

__all__ = ["router"]

router = APIRouter(prefix="/v1/audit", tags=["audit"])
_MOST_FINDINGS = 100
_COUNTED = ("search", "search.refused", "verification", "verification.refused", "subject.export", "mark")

Word = Annotated[str, StringConstraints(pattern=r"^[a-z.-]{1,40}$")]


@router.get("", summary="Entries, oldest first")
def entries(
    core: TheCore,
    caller: TheCaller,
    key: Annotated[str | None, Query(pattern=r"^[0-9a-f]{16}$", description="entries that this key made")] = None,
    action: Annotated[Word | None, Query(examples=["search"])] = None,
    after: Annotated[int, Query(ge=0, le=2**31 - 1, description="`next` of the page before")] = 0,
    limit: Limit = 100,
    newest_first: Annotated[bool, Query(description="the other way round")] = False,
) -> Page[AuditOut]:
    """Keys, people and pictures are told by pseudonyms: the same for the same. A key for some galleries sees theirs."""
    wanted = select(AuditEntry).order_by(AuditEntry.number.desc() if newest_first else AuditEntry.number)
    if after:
        wanted = wanted.where(AuditEntry.number < after if newest_first else AuditEntry.number > after)
    if key is not None:
        wanted = wanted.where(AuditEntry.actor == core.ledger.secrets.pseudonym("key", key))
    if action is not None:
        wanted = wanted.where(AuditEntry.action == action)
    if not caller.unbounded:
        wanted = wanted.where(AuditEntry.gallery.in_(caller.galleries))
    with core.database.read() as session:
        rows = list(session.scalars(wanted.limit(limit + 1)))
    shown = rows[:limit]
    more = str(shown[-1].number) if len(rows) > limit else None
    core.ledger.record("audit.read", key=caller.key, entries=len(shown))
    return Page(items=[_shown(row) for row in shown], next=more)


@router.get("/verification", summary="Is the audit what was written?")
def verification(core: TheCore) -> VerificationOut:
    """The whole chain against all anchors; at most 100 findings are told."""
    found = verify(core.database, core.ledger.anchors)
    return VerificationOut(
        sound=found.sound,
        entries=found.entries,
        anchors=found.anchors,
        findings=[vars(finding) for finding in found.findings[:_MOST_FINDINGS]],
    )


@router.get("/counts", summary="Searches, verifications and subject exports of a year")
def counts(core: TheCore, caller: TheCaller, year: Annotated[int, Query(ge=2000, le=9999)]) -> list[dict[str, Any]]:
    """Made and refused by gallery and purpose, and confirmations by a second person, as annual reports want them."""
    found: Counter[tuple[str, str, str]] = Counter()
    for entry in _of_year(core, caller, year):
        details = json.loads(entry.details)
        if entry.action != "mark":
            found[entry.gallery, details.get("purpose", ""), entry.action] += 1
        elif details["standing"] == "confirmed" and details["verdict"] == "same":
            found[entry.gallery, "", "confirmed"] += 1
    return [
        {"gallery": gallery, "purpose": purpose or None, "what": what, "number": number}
        for (gallery, purpose, what), number in sorted(found.items())
    ]


@router.get("/alarms", summary="Keys that searched for one person again and again, newest first")
def alarms(core: TheCore, caller: TheCaller, after: After = None, limit: Limit = 100) -> Page[AlarmOut]:
    rows = select(Alarm)
    if not caller.unbounded:
        rows = rows.where(Alarm.gallery.in_(caller.galleries))
    with core.database.read() as session:
        return page(
            session,
            rows,
            order=Alarm.at,
            id=Alarm.id,
            after=after,
            limit=limit,
            show=AlarmOut.model_validate,
        )


def _of_year(core: Any, caller: Caller, year: int) -> list[AuditEntry]:
    begin, end = datetime(year, 1, 1).isoformat(), datetime(year, 12, 31).date().isoformat() + "U"
    wanted = select(AuditEntry).where(AuditEntry.at >= begin, AuditEntry.at < end, AuditEntry.action.in_(_COUNTED))
    if not caller.unbounded:
        wanted = wanted.where(AuditEntry.gallery.in_(caller.galleries))
    with core.database.read() as session:
        return list(session.scalars(wanted))


def _shown(row: AuditEntry) -> AuditOut:
    return AuditOut(
        number=row.number,
        at=row.at,
        actor=row.actor,
        action=row.action,
        gallery=row.gallery,
        details=json.loads(row.details),
        hash=row.hash,
    )
