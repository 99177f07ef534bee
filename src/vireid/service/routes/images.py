"""Pictures of a gallery: one, several, a zip archive, a folder of the operator's."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from anyio import open_file
from fastapi import APIRouter, File, Form, Header, Query, Request, UploadFile
from sqlalchemy import select
from starlette.responses import Response

from vireid.errors import choose
from vireid.service.core import Core
from vireid.service.jobs import opened_archive
from vireid.service.keys import Caller
from vireid.service.pictures import MEDIA_TYPES
from vireid.service.problems import Problem
from vireid.service.routes.asked import (
    After,
    GalleryName,
    ImageId,
    Limit,
    TheCaller,
    TheCore,
    gallery_of,
    page,
    read_gallery,
    read_image,
    read_picture,
)
from vireid.service.schemas import Cameras, ImageOut, ImportIn, ImportRow, JobOut, Page, Receipt
from vireid.service.state import ImageRow
from vireid.types import Modality

__all__ = ["line_up", "read_uploads", "router"]

router = APIRouter(prefix="/v1/galleries/{gallery}", tags=["images"])


@router.get("/images", summary="The pictures, newest first")
def list_images(
    core: TheCore,
    gallery: GalleryName,
    modality: Annotated[Modality | None, Query()] = None,
    camera: Annotated[Cameras | None, Query()] = None,
    after: After = None,
    limit: Limit = 100,
) -> Page[ImageOut]:
    rows = select(ImageRow).where(ImageRow.gallery == gallery)
    if modality is not None:
        rows = rows.where(ImageRow.modality == modality)
    if camera is not None:
        rows = rows.where(ImageRow.camera == camera)
    with core.database.read() as session:
        gallery_of(session, gallery)
        return page(
            session,
            rows,
            order=ImageRow.added,
            id=ImageRow.id,
            after=after,
            limit=limit,
            show=ImageOut.model_validate,
        )


@router.post("/images", status_code=201, summary="Add one picture or several")
async def add_images(
    core: TheCore,
    caller: TheCaller,
    gallery: GalleryName,
    picture: Annotated[list[UploadFile], File(description="JPEG, PNG, BMP, WebP or TIFF; repeat it for several")],
    modality: Annotated[Modality, Form()],
    camera: Annotated[Cameras | None, Form()] = None,
) -> list[ImportRow]:
    """One row a file, in order. They can be found as soon as this is answered."""
    await asyncio.to_thread(read_gallery, core, gallery)
    files = await read_uploads(core, picture)
    adding = partial(core.library.add, gallery, files, modality=str(modality), camera=camera, key=caller.key)
    report = await asyncio.get_running_loop().run_in_executor(core.adding, adding)
    return [ImportRow.model_validate(line) for line in report]


@router.post("/archives", status_code=202, summary="Add the pictures of a zip archive")
async def add_archive(
    request: Request,
    core: TheCore,
    caller: TheCaller,
    gallery: GalleryName,
    modality: Annotated[Modality, Query()],
    camera: Annotated[Cameras | None, Query()] = None,
    content_type: Annotated[str, Header(pattern=r"^application/zip$")] = "application/zip",  # noqa: ARG001
) -> JobOut:
    """The body is the archive. The answer is a job, whose report has one row a file."""
    await asyncio.to_thread(read_gallery, core, gallery)
    staged = core.jobs.new_file()
    try:
        async with await open_file(staged, "wb") as file:
            async for part in request.stream():
                await file.write(part)
        return await asyncio.to_thread(line_up, core, gallery, staged, modality, camera, caller)
    finally:
        staged.unlink(missing_ok=True)


@router.post("/imports", status_code=202, summary="Add the pictures of a folder of the operator's")
def add_root(core: TheCore, caller: TheCaller, gallery: GalleryName, asked: ImportIn) -> JobOut:
    """The folder is named in the configuration; the pictures are copied, and the folder is left as it is."""
    read_gallery(core, gallery)
    if not core.settings.roots:
        raise Problem("invalid", "the operator has configured no root folders")
    choose(asked.root, core.settings.roots, "root")
    detail: dict[str, Any] = {"root": asked.root, "modality": str(asked.modality), "camera": asked.camera}
    return JobOut.model_validate(core.jobs.add(gallery, "root", detail, key=caller.key))


@router.get("/images/{image}", summary="A picture's row")
def show_image(core: TheCore, gallery: GalleryName, image: ImageId) -> ImageOut:
    return ImageOut.model_validate(read_image(core, gallery, image))


@router.get(
    "/images/{image}/picture",
    summary="The picture itself",
    response_class=Response,
    responses={200: {"content": {media: {} for media in sorted(MEDIA_TYPES.values())}}},
)
def show_picture(core: TheCore, caller: TheCaller, gallery: GalleryName, image: ImageId) -> Response:
    """Each look is told to the audit. Pictures of restricted galleries are not given out."""
    row = read_image(core, gallery, image)
    if read_gallery(core, gallery).restricted:
        raise Problem("pictures-restricted", "their terms forbid it")
    data = read_picture(core.library.pictures.path(gallery, row.id, row.suffix))
    core.ledger.record("image.show", key=caller.key, gallery=gallery, image=image)
    return Response(data, media_type=MEDIA_TYPES[row.suffix])


@router.delete("/images/{image}", summary="Delete a picture for good")
def delete_image(core: TheCore, caller: TheCaller, gallery: GalleryName, image: ImageId) -> Receipt:
    """Index, file, row, and its place in the results of searches. The receipt names the audit's entry."""
    read_gallery(core, gallery)
    receipt = core.library.delete(gallery, [image], why="asked", key=caller.key)
    if receipt is None:
        raise Problem("not-found", "there is no such picture")
    return Receipt.model_validate(receipt)


async def read_uploads(core: Core, uploads: list[UploadFile]) -> list[tuple[str, bytes]]:
    """Names and bytes of uploaded pictures.

    Raises:
        Problem: more of them than are allowed at once.
    """
    most = core.settings.limits.pictures
    if len(uploads) > most:
        raise Problem("too-large", f"{len(uploads)} pictures; {most} are taken in one request")
    return [(upload.filename or f"picture {place}", await upload.read()) for place, upload in enumerate(uploads)]


def line_up(core: Core, gallery: str, staged: Path, modality: Modality, camera: str | None, caller: Caller) -> JobOut:
    """Put an archive that was written to `Jobs.new_file` in line.

    Raises:
        Problem: what the job would refuse later.
    """
    with opened_archive(staged, core.settings):
        pass
    detail = {"modality": str(modality), "camera": camera}
    return JobOut.model_validate(core.jobs.add(gallery, "archive", detail, key=caller.key, archive=staged))
