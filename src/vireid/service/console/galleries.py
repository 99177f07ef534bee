"""Galleries: what they hold, their register of purposes, how long things stay; made and deleted by admins."""

from __future__ import annotations

from typing import Annotated

from fastapi import Form, Request
from starlette.responses import Response

from vireid.service.console.forms import go, pages, validated
from vireid.service.console.rendering import rendered
from vireid.service.problems import Problem
from vireid.service.rights import CONSOLE
from vireid.service.routes import galleries as interface
from vireid.service.routes.asked import GalleryName, TheCaller, TheCore
from vireid.service.schemas import GalleryChange, GalleryIn, GalleryOut, PurposeIn

__all__ = ["router"]

router = pages()
_PAGE = f"{CONSOLE}/galleries/{{gallery}}"

Text = Annotated[str, Form()]


@router.get(f"{CONSOLE}/galleries")
def list_galleries(request: Request, core: TheCore, caller: TheCaller) -> Response:
    found = interface.list_galleries(core, caller).items
    return rendered(
        request.scope,
        "galleries.html",
        galleries=[(gallery, _by_modality(gallery)) for gallery in found],
        bundles=sorted(core.settings.bundles),
    )


@router.post(f"{CONSOLE}/galleries")
def create_gallery(
    core: TheCore,
    caller: TheCaller,
    name: Text = "",
    bundle: Text = "",
    restricted: Annotated[bool, Form()] = False,
) -> Response:
    asked = validated(GalleryIn, id=name.strip(), bundle=bundle, restricted=restricted)
    return go(f"{CONSOLE}/galleries/{interface.create_gallery(core, caller, asked).id}")


@router.get(_PAGE)
def show_gallery(request: Request, core: TheCore, gallery: GalleryName) -> Response:
    found = interface.show_gallery(core, gallery)
    return rendered(
        request.scope,
        "gallery.html",
        gallery=found,
        totals=_by_modality(found),
        purposes=interface.list_purposes(core, gallery).items,
    )


@router.post(f"{_PAGE}/retention")
def change_gallery(
    core: TheCore, caller: TheCaller, gallery: GalleryName, pictures: Text = "", searches: Text = ""
) -> Response:
    asked = validated(GalleryChange, retention_days=pictures, search_retention_days=searches)
    interface.change_gallery(core, caller, gallery, asked)
    return go(f"{CONSOLE}/galleries/{gallery}")


@router.post(f"{_PAGE}/purposes")
def add_purpose(core: TheCore, caller: TheCaller, gallery: GalleryName, name: Text = "", basis: Text = "") -> Response:
    interface.add_purpose(core, caller, gallery, validated(PurposeIn, name=name.strip(), basis=basis.strip()))
    return go(f"{CONSOLE}/galleries/{gallery}#purposes")


@router.post(f"{_PAGE}/withdrawals")
def withdraw_purpose(core: TheCore, caller: TheCaller, gallery: GalleryName, purpose: Text = "") -> Response:
    interface.withdraw_purpose(core, caller, gallery, purpose)
    return go(f"{CONSOLE}/galleries/{gallery}#purposes")


@router.get(f"{_PAGE}/deletion")
def ask_for_deletion(request: Request, core: TheCore, gallery: GalleryName) -> Response:
    found = interface.show_gallery(core, gallery)
    count = sum(part.pictures for part in found.counts)
    return rendered(request.scope, "gallery_deletion.html", gallery=found, count=count)


@router.post(f"{_PAGE}/deletion")
def delete_gallery(
    request: Request, core: TheCore, caller: TheCaller, gallery: GalleryName, name: Text = ""
) -> Response:
    if name.strip() != gallery:
        raise Problem("invalid", f"nothing was deleted: the name that was typed is not {gallery!r}")
    receipt = interface.delete_gallery(core, caller, gallery)
    return rendered(request.scope, "receipt.html", receipt=receipt, gallery=None)


def _by_modality(gallery: GalleryOut) -> dict[str, int]:
    totals: dict[str, int] = {}
    for part in gallery.counts:
        totals[str(part.modality)] = totals.get(str(part.modality), 0) + part.pictures
    return totals
