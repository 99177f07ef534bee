"""Searches: asked with a reason, answered with a warning, looked at side by side, judged by two people."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, File, Form, Request, UploadFile
from starlette.responses import Response

from vireid.errors import VireidError
from vireid.service.console.forms import chosen_files, end_of_day, go, pages, validated
from vireid.service.console.looks import data_url, drawn
from vireid.service.console.rendering import rendered
from vireid.service.core import Core
from vireid.service.keys import Caller
from vireid.service.marks import Verdict
from vireid.service.problems import Problem, problem_of
from vireid.service.rights import CONSOLE
from vireid.service.routes import galleries, images
from vireid.service.routes import searches as interface
from vireid.service.routes.asked import After, GalleryName, HexId, ImageId, TheCaller, TheCore, read_gallery
from vireid.service.schemas import WARNING, ImageOut, MarkIn, SearchOut, SimilarIn
from vireid.types import Modality

__all__ = ["router"]

router = pages()
_PAGE = f"{CONSOLE}/galleries/{{gallery}}"
_AT_ONCE = 50

Text = Annotated[str, Form()]
Texts = Annotated[list[str] | None, Form()]


def _typed(
    modality: Text = "",
    purpose: Text = "",
    case: Text = "",
    authorisation: Text = "",
    until: Text = "",
    top: Text = "10",
    cameras: Texts = None,
    modalities: Texts = None,
) -> dict[str, Any]:
    """The form as it was filled in, to be shown again if something in it is wrong."""
    single = {
        "modality": modality,
        "purpose": purpose,
        "case": case.strip(),
        "authorisation": authorisation.strip(),
        "until": until,
        "top": top,
    }
    return single | {"cameras": cameras or [], "modalities": modalities or []}


Typed = Annotated[dict[str, Any], Depends(_typed)]


@router.get(f"{_PAGE}/search")
def ask(request: Request, core: TheCore, gallery: GalleryName) -> Response:
    return _form(request, core, gallery)


@router.post(f"{_PAGE}/searches")
async def search(
    request: Request,
    core: TheCore,
    caller: TheCaller,
    gallery: GalleryName,
    typed: Typed,
    picture: Annotated[list[UploadFile] | None, File()] = None,
) -> Response:
    try:
        files = chosen_files(picture or [])
        kind, said = _kind(typed["modality"]), _said(typed)
        found = await interface.search(
            core, caller, gallery, files, kind, **_members(said), cameras=said.cameras, modalities=said.modalities
        )
    except (Problem, VireidError) as error:
        return await asyncio.to_thread(_again, request, core, gallery, typed, error)
    queries = [await _kept_by_the_browser(core, upload) for upload in files]
    return await asyncio.to_thread(_results, request, core, found, queries, 201)


@router.get(f"{_PAGE}/images/{{image}}/searches")
def ask_similar(request: Request, core: TheCore, gallery: GalleryName, image: ImageId) -> Response:
    return _form(request, core, gallery, image=images.show_image(core, gallery, image))


@router.post(f"{_PAGE}/images/{{image}}/searches")
async def search_similar(
    request: Request,
    core: TheCore,
    caller: TheCaller,
    gallery: GalleryName,
    image: ImageId,
    typed: Typed,
) -> Response:
    row = await asyncio.to_thread(images.show_image, core, gallery, image)
    try:
        found = await interface.search_similar(core, caller, gallery, image, _said(typed))
    except (Problem, VireidError) as error:
        return await asyncio.to_thread(_again, request, core, gallery, typed, error, row)
    return go(f"{CONSOLE}/galleries/{gallery}/searches/{found.id}")


@router.get(f"{_PAGE}/searches")
def list_searches(request: Request, core: TheCore, gallery: GalleryName, after: After = None) -> Response:
    row = read_gallery(core, gallery)
    found = interface.list_searches(core, gallery, after, _AT_ONCE)
    return rendered(request.scope, "searches.html", gallery=row, searches=found)


@router.get(f"{_PAGE}/searches/{{search}}")
def show_search(request: Request, core: TheCore, caller: TheCaller, gallery: GalleryName, search: HexId) -> Response:
    return _results(request, core, interface.show_search(core, caller, gallery, search), [], 200)


@router.get(f"{_PAGE}/searches/{{search}}/hits/{{image}}")
def show_hit(
    request: Request, core: TheCore, caller: TheCaller, gallery: GalleryName, search: HexId, image: ImageId
) -> Response:
    return _side_by_side(request, core, caller, gallery, search, image)


@router.post(f"{_PAGE}/searches/{{search}}/hits/{{image}}")
async def explain_hit(
    request: Request,
    core: TheCore,
    caller: TheCaller,
    gallery: GalleryName,
    search: HexId,
    image: ImageId,
    picture: Annotated[list[UploadFile] | None, File()] = None,
) -> Response:
    """What matched, drawn; the pictures that were searched with come from the browser again."""
    given = [upload for upload in picture or [] if upload.filename or upload.size]
    looked = partial(_side_by_side, request, core, caller, gallery, search, image)
    try:
        found = await interface.explained(core, caller, gallery, search, image, given)
    except (Problem, VireidError) as error:
        return await asyncio.to_thread(looked, problem=_answerable(error))
    row = await asyncio.to_thread(read_gallery, core, gallery)
    drawing = await asyncio.to_thread(drawn, found, shown=not row.restricted)
    return await asyncio.to_thread(looked, drawing=drawing, query="" if row.restricted else data_url(found.query)[0])


@router.post(f"{_PAGE}/searches/{{search}}/marks")
def add_mark(
    core: TheCore,
    caller: TheCaller,
    gallery: GalleryName,
    search: HexId,
    image: Text = "",
    verdict: Text = "",
    side_by_side: Annotated[bool, Form()] = False,
) -> Response:
    asked = validated(MarkIn, image=image, verdict=verdict)
    interface.add_mark(core, caller, gallery, search, asked)
    page = f"{CONSOLE}/galleries/{gallery}/searches/{search}"
    return go(f"{page}/hits/{asked.image}" if side_by_side else f"{page}#hit-{asked.image[:12]}")


def _form(
    request: Request,
    core: Core,
    name: str,
    *,
    typed: dict[str, Any] | None = None,
    problem: Problem | None = None,
    image: ImageOut | None = None,
) -> Response:
    gallery = galleries.show_gallery(core, name)
    return rendered(
        request.scope,
        "search.html",
        status=problem.status if problem else 200,
        headers=problem.headers if problem else None,
        gallery=gallery,
        purposes=galleries.list_purposes(core, name).items,
        cameras=sorted({part.camera for part in gallery.counts if part.camera is not None}),
        typed=typed or _typed(),
        problem=problem,
        image=image,
        most=core.settings.limits.top,
    )


def _again(
    request: Request, core: Core, gallery: str, typed: dict[str, Any], error: Exception, image: ImageOut | None = None
) -> Response:
    """The form once more, as it was filled in, with what is wrong."""
    return _form(request, core, gallery, typed=typed, problem=_answerable(error), image=image)


def _answerable(error: Exception) -> Problem:
    """What the person can do something about; the rest is a page of its own."""
    problem = problem_of(error) if isinstance(error, VireidError) else error
    if not isinstance(problem, Problem) or problem.status >= 500 or problem.code == "not-found":
        raise error
    return problem


def _said(typed: dict[str, Any]) -> SimilarIn:
    until = end_of_day(typed["until"])
    if until is None:
        raise Problem("invalid", "say until which day the authorisation holds")
    values = {name: value for name, value in typed.items() if name not in ("until", "modality")}
    return validated(SimilarIn, **values, authorised_until=until)


def _kind(text: str) -> Modality:
    if text not in set(Modality):
        raise Problem("invalid", "say which kind of camera took the picture: visible or infrared")
    return Modality(text)


def _members(said: SimilarIn) -> dict[str, Any]:
    return said.model_dump(include={"purpose", "case", "authorisation", "authorised_until", "top"})


async def _kept_by_the_browser(core: Core, upload: UploadFile) -> dict[str, Any]:
    await upload.seek(0)
    looking = partial(data_url, await upload.read(), max_pixels=core.settings.limits.pixels)
    url, whole = await asyncio.get_running_loop().run_in_executor(core.decoding, looking)
    return {"url": url, "whole": whole, "name": upload.filename or "picture"}


def _results(request: Request, core: Core, found: SearchOut, queries: list[dict[str, Any]], status: int) -> Response:
    row = read_gallery(core, found.gallery)
    return rendered(
        request.scope, "results.html", status=status, gallery=row, search=found, queries=queries, **_chance(found)
    )


def _side_by_side(
    request: Request,
    core: Core,
    caller: Caller,
    gallery: str,
    search: str,
    image: str,
    *,
    drawing: Any = None,
    problem: Problem | None = None,
    query: str = "",
) -> Response:
    found = interface.show_search(core, caller, gallery, search)
    places = {hit.image: place for place, hit in enumerate(found.hits)}
    if image not in places:
        raise Problem("not-found", "that picture is no result of this search any more")
    place, row = places[image], read_gallery(core, gallery)
    return rendered(
        request.scope,
        "hit.html",
        status=problem.status if problem else 200,
        gallery=row,
        search=found,
        hit=found.hits[place],
        before=found.hits[place - 1] if place else None,
        after=found.hits[place + 1] if place + 1 < len(found.hits) else None,
        explains=core.galleries.explains(row.bundle),
        drawing=drawing,
        problem=problem,
        query=query,
        verdicts=list(Verdict),
        **_chance(found),
    )


def _chance(found: SearchOut) -> dict[str, Any]:
    """What is said of every search, and how many of its hits chance alone is expected to give: None where the model is
    not calibrated.
    """
    return {"warning": WARNING, "by_chance": found.hits[-1].false_matches if found.hits else None}
