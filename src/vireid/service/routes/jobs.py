"""How far are the jobs?"""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy import select

from vireid.service.problems import Problem
from vireid.service.routes.asked import After, GalleryName, HexId, Limit, TheCore, gallery_of, page
from vireid.service.schemas import JobOut, Page
from vireid.service.state import Job

__all__ = ["router"]

router = APIRouter(prefix="/v1/galleries/{gallery}/jobs", tags=["jobs"])


@router.get("", summary="The jobs of a gallery, newest first")
def list_jobs(core: TheCore, gallery: GalleryName, after: After = None, limit: Limit = 100) -> Page[JobOut]:
    with core.database.read() as session:
        gallery_of(session, gallery)
        rows = select(Job).where(Job.gallery == gallery)
        return page(session, rows, order=Job.created, id=Job.id, after=after, limit=limit, show=_without_report)


@router.get("/{job}", summary="A job, with one row a file")
def show_job(core: TheCore, gallery: GalleryName, job: HexId) -> JobOut:
    with core.database.read() as session:
        found = session.get(Job, job)
    if found is None or found.gallery != gallery:
        raise Problem("not-found", "there is no such job")
    return JobOut.model_validate(found)


def _without_report(job: Job) -> JobOut:
    return JobOut.model_validate(job).model_copy(update={"report": []})
