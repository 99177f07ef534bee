"""Pictures of a gallery: seen, added, deleted with a receipt."""

from __future__ import annotations

import asyncio
import shutil
from typing import IO, Annotated

from fastapi import File, Form, Query, Request, UploadFile
from starlette.responses import Response

from vireid.service.console.forms import chosen_files, go, pages, validated
from vireid.service.console.rendering import rendered
from vireid.service.core import Core
from vireid.service.keys import Caller
from vireid.service.rights import CONSOLE
from vireid.service.routes import galleries, images
from vireid.service.routes.asked import After, GalleryName, ImageId, TheCaller, TheCore, read_gallery
from vireid.service.schemas import ImportIn, JobOut
from vireid.types import Modality

__all__ = ["router"]

router = pages()
_PAGE = f"{CONSOLE}/galleries/{{gallery}}"
_AT_ONCE = 48  # pictures of a page

Text = Annotated[str, Form()]


@router.get(f"{_PAGE}/images")
def list_images(
    request: Request,
    core: TheCore,
    gallery: GalleryName,
    modality: Annotated[str, Query()] = "",
    camera: Annotated[str, Query()] = "",
    after: After = None,
) -> Response:
    kind = Modality(modality) if modality in set(Modality) else None
    found = images.list_images(core, gallery, kind, camera or None, after, _AT_ONCE)
    return rendered(
        request.scope,
        "images.html",
        gallery=galleries.show_gallery(core, gallery),
        images=found,
        modality=modality,
        camera=camera,
        roots=sorted(core.settings.roots),
    )


@router.post(f"{_PAGE}/images")
async def add_images(
    request: Request,
    core: TheCore,
    caller: TheCaller,
    gallery: GalleryName,
    picture: Annotated[list[UploadFile], File()],
    modality: Annotated[Modality, Form()],
    camera: Text = "",
) -> Response:
    rows = await images.add_images(core, caller, gallery, chosen_files(picture), modality, camera.strip() or None)
    row = await asyncio.to_thread(read_gallery, core, gallery)
    return rendered(request.scope, "added.html", gallery=row, rows=rows)


@router.post(f"{_PAGE}/archives")
def add_archive(
    core: TheCore,
    caller: TheCaller,
    gallery: GalleryName,
    archive: Annotated[UploadFile, File()],
    modality: Annotated[Modality, Form()],
    camera: Text = "",
) -> Response:
    read_gallery(core, gallery)
    job = _staged(core, caller, gallery, chosen_files([archive])[0].file, modality, camera.strip() or None)
    return go(f"{CONSOLE}/galleries/{gallery}/jobs/{job.id}")


@router.post(f"{_PAGE}/imports")
def add_root(
    core: TheCore, caller: TheCaller, gallery: GalleryName, root: Text = "", modality: Text = "", camera: Text = ""
) -> Response:
    asked = validated(ImportIn, root=root, modality=modality, camera=camera.strip() or None)
    job = images.add_root(core, caller, gallery, asked)
    return go(f"{CONSOLE}/galleries/{gallery}/jobs/{job.id}")


@router.get(f"{_PAGE}/images/{{image}}")
def show_image(request: Request, core: TheCore, gallery: GalleryName, image: ImageId) -> Response:
    row = read_gallery(core, gallery)
    return rendered(request.scope, "image.html", gallery=row, image=images.show_image(core, gallery, image))


@router.get(f"{_PAGE}/images/{{image}}/picture")
def show_picture(core: TheCore, caller: TheCaller, gallery: GalleryName, image: ImageId) -> Response:
    return images.show_picture(core, caller, gallery, image)


@router.get(f"{_PAGE}/images/{{image}}/deletion")
def ask_for_deletion(request: Request, core: TheCore, gallery: GalleryName, image: ImageId) -> Response:
    row = read_gallery(core, gallery)
    return rendered(request.scope, "image_deletion.html", gallery=row, image=images.show_image(core, gallery, image))


@router.post(f"{_PAGE}/images/{{image}}/deletion")
def delete_image(request: Request, core: TheCore, caller: TheCaller, gallery: GalleryName, image: ImageId) -> Response:
    receipt = images.delete_image(core, caller, gallery, image)
    return rendered(request.scope, "receipt.html", receipt=receipt, gallery=read_gallery(core, gallery))


def _staged(
    core: Core, caller: Caller, gallery: str, archive: IO[bytes], modality: Modality, camera: str | None
) -> JobOut:
    staged = core.jobs.new_file()
    try:
        with staged.open("wb") as file:
            shutil.copyfileobj(archive, file)
        return images.line_up(core, gallery, staged, modality, camera, caller)
    finally:
        staged.unlink(missing_ok=True)
