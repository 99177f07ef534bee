"""Answers to people who ask what is held of them."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.background import BackgroundTask
from starlette.responses import FileResponse

from vireid.service.routes.asked import GalleryName, TheCaller, TheCore
from vireid.service.schemas import SubjectIn
from vireid.service.subjects import export

__all__ = ["router"]

router = APIRouter(prefix="/v1/galleries/{gallery}", tags=["subjects"])


@router.post(
    "/subject-exports",
    summary="Everything that is held of some pictures, for the person they show",
    response_class=FileResponse,
    responses={200: {"content": {"application/zip": {}}}},
)
def export_subject(core: TheCore, caller: TheCaller, gallery: GalleryName, asked: SubjectIn) -> FileResponse:
    """A zip archive: `held.json` (pictures, since when, searches that returned them, the audit) and the pictures."""
    file = core.jobs.new_file()
    try:
        export(core.library, gallery, asked.images, file, case=asked.case, key=caller.key)
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    return FileResponse(
        file, media_type="application/zip", filename="held.zip", background=BackgroundTask(file.unlink, missing_ok=True)
    )
