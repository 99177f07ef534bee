"""Everything that is held of some pictures, for the person they show (GDPR Art. 15)."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from vireid.service.library import Library, existing
from vireid.service.marks import marks_of
from vireid.service.state import Alarm, AuditEntry, ImageRow, Job, JobRow, Search

__all__ = ["export"]

_AT_ONCE = 1000  # entries of the audit that are read together
_NOTE = (
    "What is held of these pictures. A vector of each is kept for searches, and is not given out. People who searched "
    "or marked are left out, since their data are theirs; purposes, cases and authorisations stand as they were typed. "
    "Whoever answers the request decides whether a right of others or a law keeps part of it back."
)


def export(library: Library, gallery: str, images: Sequence[str], file: Path, *, case: str, key: str) -> None:
    """Write a zip archive to `file`: `held.json`, and the pictures themselves below `pictures/`.

    The pictures of a restricted gallery are described and left out. What was deleted is told as far as the audit has
    it. The export is an entry of the audit itself.

    Raises:
        Problem: the gallery has been deleted.
    """
    wanted = list(dict.fromkeys(images))
    # In the gallery's turn: nothing is deleted between the table and the file.
    with library.galleries.turn(gallery):
        with library.ledger.transaction() as (session, record):
            owner = existing(session, gallery)
            record("subject.export", key=key, gallery=gallery, images=wanted, case=case)
            rows = list(session.scalars(select(ImageRow).where(ImageRow.gallery == gallery, ImageRow.id.in_(wanted))))
            pseudonyms = {library.ledger.secrets.pseudonym("image", image): image for image in wanted}
            held = {
                "gallery": gallery,
                "case": case,
                "at": datetime.now(UTC).isoformat(),
                "note": _NOTE,
                "model": owner.digest,
                "pictures_included": not owner.restricted,
                "pictures": [_picture(row) for row in sorted(rows, key=lambda row: wanted.index(row.id))],
                "not_held": [image for image in wanted if image not in {row.id for row in rows}],
                "searches": list(_searches(session, gallery, set(wanted))),
                "reports": list(_reports(session, gallery, wanted)),
                "audit": list(_entries(session, gallery, pseudonyms)),
            }
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("held.json", json.dumps(held, indent=2, ensure_ascii=False))
            for row in rows if not owner.restricted else ():
                path = library.pictures.path(gallery, row.id, row.suffix)
                if path.is_file():  # a picture that is being added has its row first
                    archive.write(path, f"pictures/{row.id}{row.suffix}")


def _picture(row: ImageRow) -> dict[str, Any]:
    return {
        "image": row.id,
        "modality": row.modality,
        "camera": row.camera,
        "added": row.added.isoformat(),
        "expires": row.expires.isoformat(),
    }


def _searches(session: Session, gallery: str, images: set[str]) -> Iterator[dict[str, Any]]:
    """Searches that returned one of the pictures, or were made with one."""
    alarms = session.scalars(select(Alarm).where(Alarm.gallery == gallery))
    alarming = {search for alarm in alarms for search in alarm.searches}
    for search in session.scalars(select(Search).where(Search.gallery == gallery).order_by(Search.at, Search.id)):
        found = [result for result in search.results if result["image"] in images]
        if not found and search.image not in images:
            continue
        marks = marks_of(session, search)
        yield {
            "search": search.id,
            "at": search.at.isoformat(),
            "expires": search.expires.isoformat(),
            "purpose": search.purpose,
            "case": search.case,
            "authorisation": search.authorisation,
            "made_with": search.image if search.image in images else None,
            "raised_alarm": search.id in alarming,
            "found": [
                {
                    **result,
                    "marks": [{"verdict": m.verdict, "at": m.at.isoformat()} for m in marks.get(result["image"], [])],
                }
                for result in found
            ],
        }


def _reports(session: Session, gallery: str, images: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Rows of jobs' reports, which say under which name a file came."""
    wanted = (
        select(JobRow)
        .join(Job, Job.id == JobRow.job)
        .where(Job.gallery == gallery, JobRow.image.in_(images))
        .order_by(JobRow.job, JobRow.number)
    )
    for row in session.scalars(wanted):
        yield {"job": row.job, "image": row.image, "file": row.row["file"], "state": row.row["state"]}


def _entries(session: Session, gallery: str, pseudonyms: dict[str, str]) -> Iterator[dict[str, Any]]:
    """What the audit says of the pictures, also where a search or a picture is gone."""
    last = 0
    while True:
        wanted = select(AuditEntry).where(AuditEntry.gallery == gallery, AuditEntry.number > last)
        entries = session.scalars(wanted.order_by(AuditEntry.number).limit(_AT_ONCE)).all()
        for entry in entries:
            details = json.loads(entry.details)
            named = [*details.get("images", []), details.get("image")]
            images = [pseudonyms[name] for name in named if name in pseudonyms]
            if images:
                told = {name: details[name] for name in ("purpose", "case", "authorisation", "why") if name in details}
                yield {"number": entry.number, "at": entry.at, "action": entry.action, "images": images, **told}
        if len(entries) < _AT_ONCE:
            return
        last = entries[-1].number
