"""How far archives and imports are."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from vireid.service.console.forms import pages
from vireid.service.console.rendering import rendered
from vireid.service.rights import CONSOLE
from vireid.service.routes import jobs as interface
from vireid.service.routes.asked import After, GalleryName, HexId, TheCore, read_gallery

__all__ = ["router"]

router = pages()
_PAGE = f"{CONSOLE}/galleries/{{gallery}}/jobs"


@router.get(_PAGE)
def list_jobs(request: Request, core: TheCore, gallery: GalleryName, after: After = None) -> Response:
    row = read_gallery(core, gallery)
    return rendered(request.scope, "jobs.html", gallery=row, jobs=interface.list_jobs(core, gallery, after))


@router.get(f"{_PAGE}/{{job}}")
def show_job(
    request: Request,
    core: TheCore,
    gallery: GalleryName,
    job: HexId,
    after: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
) -> Response:
    return rendered(
        request.scope,
        "job.html",
        gallery=read_gallery(core, gallery),
        job=interface.show_job(core, gallery, job),
        report=interface.show_report(core, gallery, job, after),
    )
