"""How far are the jobs, and what became of each file?"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy import select
from sqlalchemy.orm import Session

from vireid.service.problems import Problem
from vireid.service.routes.asked import After, GalleryName, HexId, Limit, TheCore, gallery_of, page
from vireid.service.schemas import ImportRow, JobOut, Page
from vireid.service.state import Job, JobRow

__all__ = ["router"]

router = APIRouter(prefix="/v1/galleries/{gallery}/jobs", tags=["jobs"])


@router.get("", summary="The jobs of a gallery, newest first")
def list_jobs(core: TheCore, gallery: GalleryName, after: After = None, limit: Limit = 100) -> Page[JobOut]:
    with core.database.read() as session:
        gallery_of(session, gallery)
        rows = select(Job).where(Job.gallery == gallery)
        return page(session, rows, order=Job.created, id=Job.id, after=after, limit=limit, show=JobOut.model_validate)


@router.get("/{job}", summary="How far a job is")
def show_job(core: TheCore, gallery: GalleryName, job: HexId) -> JobOut:
    with core.database.read() as session:
        return JobOut.model_validate(_job(session, gallery, job))


@router.get("/{job}/report", summary="One row a file, in the order of the archive or folder")
def show_report(
    core: TheCore,
    gallery: GalleryName,
    job: HexId,
    after: Annotated[int, Query(ge=0, le=2**31 - 1, description="`next` of the page before")] = 0,
    limit: Limit = 100,
) -> Page[ImportRow]:
    with core.database.read() as session:
        _job(session, gallery, job)
        wanted = select(JobRow).where(JobRow.job == job, JobRow.number > after)
        rows = list(session.scalars(wanted.order_by(JobRow.number).limit(limit + 1)))
    shown = [ImportRow.model_validate(row.row) for row in rows[:limit]]
    return Page(items=shown, next=str(rows[limit - 1].number) if len(rows) > limit else None)


def _job(session: Session, gallery: str, name: str) -> Job:
    found = session.get(Job, name)
    if found is None or found.gallery != gallery:
        raise Problem("not-found", "there is no such job")
    return found
