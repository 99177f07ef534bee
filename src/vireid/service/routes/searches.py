"""Searches, what people say of their results, and marks for training."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, UploadFile
from sqlalchemy import select
from sqlalchemy.orm import Session

from vireid.service.core import Core
from vireid.service.declaration import Declaration, Until
from vireid.service.explaining import Explained
from vireid.service.galleries import Answer, Exchanged
from vireid.service.keys import Caller
from vireid.service.marks import Standing, confirmed_pairs, mark, marks_of, said_by, standing
from vireid.service.pictures import Decoded, decode
from vireid.service.problems import Problem
from vireid.service.routes.asked import (
    After,
    GalleryName,
    HexId,
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
from vireid.service.routes.images import read_uploads
from vireid.service.schemas import (
    WARNING,
    Cameras,
    ExplanationOut,
    HitOut,
    Line,
    MarkIn,
    MarkOut,
    Name,
    Page,
    PairOut,
    PartOut,
    SearchOut,
    SimilarIn,
    TrainingMark,
)
from vireid.service.searching import Asked
from vireid.service.state import ImageRow, Mark, Search
from vireid.types import Embeddings, Modality

__all__ = ["explained", "router"]

_PAIRS = 4  # regions that count together and are told

router = APIRouter(prefix="/v1/galleries/{gallery}", tags=["searches"])
_EXCHANGES = 5  # times that a gallery may get another model while one search waits


@router.post("/searches", status_code=201, summary="Search with one picture or several of one person")
async def search(
    core: TheCore,
    caller: TheCaller,
    gallery: GalleryName,
    picture: Annotated[list[UploadFile], File(description="one person each; repeat it for several pictures of one")],
    modality: Annotated[Modality, Form(description="which camera took them")],
    purpose: Annotated[Name, Form(examples=["missing-person"])],
    case: Annotated[Line, Form(examples=["2026-17"])],
    authorisation: Annotated[Line, Form(examples=["court order 4/26"])],
    authorised_until: Annotated[Until, Form()],
    top: Annotated[int, Form(ge=1)] = 10,
    cameras: Annotated[list[Cameras] | None, Form(description="only pictures of these")] = None,
    modalities: Annotated[list[Modality] | None, Form(description="default: the other one where there is one")] = None,
) -> SearchOut:
    """The uploaded pictures are not kept. Several are taken for one person and searched with together."""
    declaration = Declaration(
        purpose=purpose, case=case, authorisation=authorisation, authorised_until=authorised_until
    )
    asked = Asked(declaration=declaration, modality=str(modality), top=top, filters=_filters(cameras, modalities))
    await asyncio.to_thread(_allowed, core, gallery, asked, caller)
    files = await read_uploads(core, picture)
    loop = asyncio.get_running_loop()
    decoding = [partial(decode, data, max_pixels=core.settings.limits.pixels) for _, data in files]
    decoded = await asyncio.gather(*(loop.run_in_executor(core.decoding, one) for one in decoding))
    return await _answered(core, gallery, decoded, asked, caller)


@router.post("/images/{image}/searches", status_code=201, summary="Search with a picture of the gallery")
async def search_similar(
    core: TheCore, caller: TheCaller, gallery: GalleryName, image: ImageId, said: SimilarIn
) -> SearchOut:
    """As a search with that picture; it is a search for a person, and needs the same declaration."""
    picture = await asyncio.to_thread(read_image, core, gallery, image)
    declaration = Declaration.model_validate(
        said.model_dump(include={"purpose", "case", "authorisation", "authorised_until"})
    )
    asked = Asked(
        declaration=declaration,
        modality=picture.modality,
        top=said.top,
        filters=_filters(said.cameras, said.modalities),
        image=image,
    )
    await asyncio.to_thread(_allowed, core, gallery, asked, caller)
    decoding = partial(_decode_image, core, picture)
    decoded = await asyncio.get_running_loop().run_in_executor(core.decoding, decoding)
    return await _answered(core, gallery, [decoded], asked, caller)


@router.get("/searches", summary="Searches of the gallery, newest first")
def list_searches(core: TheCore, gallery: GalleryName, after: After = None, limit: Limit = 100) -> Page[SearchOut]:
    """Those of all keys, since a second person must see what is to be confirmed. The hits are in each search."""
    with core.database.read() as session:
        gallery_of(session, gallery)
        rows = select(Search).where(Search.gallery == gallery)
        return page(
            session, rows, order=Search.at, id=Search.id, after=after, limit=limit, show=lambda row: _shown(row, [])
        )


@router.get("/searches/{search}", summary="A search with its hits and what was said of them")
def show_search(core: TheCore, caller: TheCaller, gallery: GalleryName, search: HexId) -> SearchOut:
    with core.database.read() as session:
        row = _search_of(session, gallery, search)
        found = session.scalars(
            select(ImageRow).where(
                ImageRow.gallery == gallery, ImageRow.id.in_([result["image"] for result in row.results])
            )
        )
        images = {image.id: image for image in found}
        marks = marks_of(session, row)
    return _shown(row, _hits(row, images, marks, caller))


@router.post("/searches/{search}/marks", status_code=201, summary="Say whether a hit is the same person")
def add_mark(core: TheCore, caller: TheCaller, gallery: GalleryName, search: HexId, asked: MarkIn) -> MarkOut:
    """Confirmed is a hit when two different people, not two keys of one, say `same` and nobody says `different`."""
    with core.ledger.transaction() as (session, record):
        row = _search_of(session, gallery, search)
        result = mark(session, row, asked.image, asked.verdict, by=caller)
        record(
            "mark",
            key=caller.key,
            gallery=gallery,
            search=search,
            image=asked.image,
            verdict=str(asked.verdict),
            holder=caller.holder,
            standing=str(result),
        )
    return MarkOut(image=asked.image, standing=result)


@router.post("/searches/{search}/explanations", summary="What matched in a hit")
async def explain(
    core: TheCore,
    caller: TheCaller,
    gallery: GalleryName,
    search: HexId,
    image: Annotated[str, Form(pattern=r"^[0-9a-f]{64}$", description="a hit of the search")],
    picture: Annotated[
        list[UploadFile] | None,
        File(description="what was searched with, again, since it was not kept; nothing for a picture of the gallery"),
    ] = None,
) -> ExplanationOut:
    """Regions that the score rests on. Only the pictures that were searched with are taken. Needs torch."""
    found = (await explained(core, caller, gallery, search, image, picture or [])).found
    rows, columns = found.candidate.shape
    pairs = [PairOut(query=one, hit=other, weight=weight) for one, other, weight in found.correspondences(_PAIRS)]
    return ExplanationOut(
        score=found.score,
        rows=rows,
        columns=columns,
        query=found.query.tolist(),
        hit=found.candidate.tolist(),
        pairs=pairs,
        parts=[PartOut(name=part.name, weight=part.weight) for part in found.parts],
    )


async def explained(
    core: Core, caller: Caller, gallery: str, search: str, image: str, uploads: list[UploadFile]
) -> Explained:
    """What matched in the hit `image` of a search that was made with `uploads`, or with a picture of the gallery.

    Raises:
        Problem: no such search or hit, other pictures than those searched with, or a model that cannot explain.
    """
    bundle, digest = await asyncio.to_thread(_model, core, gallery)
    made, hit = await asyncio.to_thread(_search_and_hit, core, gallery, search, image)
    await asyncio.to_thread(core.explainer.check, bundle, digest, made)
    loop, pixels = asyncio.get_running_loop(), core.settings.limits.pixels
    decoding = [partial(_decode_image, core, hit)]
    if made.image is not None:
        asked = await asyncio.to_thread(read_image, core, gallery, made.image)
        decoding.append(partial(_decode_image, core, asked))
    elif not uploads:
        raise Problem("invalid", "send the picture that was searched with; the service has not kept it")
    else:
        decoding += [partial(decode, data, max_pixels=pixels) for _, data in await read_uploads(core, uploads)]
    candidate, *queries = await asyncio.gather(*(loop.run_in_executor(core.decoding, one) for one in decoding))
    batcher = await asyncio.to_thread(core.batcher, bundle)
    vectors = await batcher.embed([picture.pixels for picture in queries], Modality(made.modality))
    return await asyncio.to_thread(core.explainer.explain, bundle, made, hit, (queries, candidate), vectors, caller)


@router.get("/training-marks", summary="Decided pairs, to train with")
def training_marks(core: TheCore, caller: TheCaller, gallery: GalleryName) -> Page[TrainingMark]:
    """Pairs of the gallery's pictures that were confirmed or rejected. No role has this right by itself."""
    with core.ledger.transaction() as (session, record):
        gallery_of(session, gallery)
        pairs = confirmed_pairs(session, gallery)
        record("marks.export", key=caller.key, gallery=gallery, pairs=len(pairs))
    marks = [TrainingMark(image=one, other=two, same=state is Standing.CONFIRMED) for one, two, state in pairs]
    return Page(items=marks, next=None)


async def _answered(core: Core, gallery: str, pictures: list[Decoded], asked: Asked, caller: Caller) -> SearchOut:
    for _ in range(_EXCHANGES):
        bundle, digest = await asyncio.to_thread(_model, core, gallery)
        batcher = await asyncio.to_thread(core.batcher, bundle)
        queries = await batcher.embed([picture.pixels for picture in pictures], Modality(asked.modality))
        try:
            found, answer, images = await asyncio.to_thread(_answer, core, gallery, queries, asked, caller, digest)
        except Exchanged:
            continue
        return _shown(found, _hits(found, images, {}, caller), answer)
    raise Problem("migrating", "the gallery got another model meanwhile; ask again", headers={"Retry-After": "1"})


def _allowed(core: Core, name: str, asked: Asked, caller: Caller) -> None:
    read_gallery(core, name)
    with core.searcher.unless_deleted(name):
        core.searcher.check(name, asked, caller)


def _model(core: Core, name: str) -> tuple[str, str]:
    """Name and hash of the model that the gallery is searched with now."""
    with core.searcher.unless_deleted(name):
        bundle = core.galleries.bundle_of(name, read_gallery(core, name).bundle)
        return bundle, core.galleries.model(bundle).bundle.digest


def _answer(
    core: Core, gallery: str, queries: Embeddings[Any], asked: Asked, caller: Caller, digest: str
) -> tuple[Search, Answer, dict[str, ImageRow]]:
    with core.searcher.unless_deleted(gallery):
        return core.searcher.answer(gallery, queries, asked, caller, digest=digest)


def _decode_image(core: Core, image: ImageRow) -> Decoded:
    path = core.library.pictures.path(image.gallery, image.id, image.suffix)
    return decode(read_picture(path), max_pixels=core.settings.limits.pixels)


def _search_and_hit(core: Core, gallery: str, search: str, image: str) -> tuple[Search, ImageRow]:
    with core.database.read() as session:
        made = _search_of(session, gallery, search)
    if image not in {result["image"] for result in made.results}:
        raise Problem("not-found", "that picture is no result of this search")
    return made, read_image(core, gallery, image)


def _filters(cameras: list[str] | None, modalities: list[Modality] | None) -> dict[str, list[str]]:
    filters = {"camera": cameras or [], "modality": [str(modality) for modality in modalities or []]}
    return {name: values for name, values in filters.items() if values}


def _search_of(session: Session, gallery: str, name: str) -> Search:
    found = session.get(Search, name)
    if found is None or found.gallery != gallery:
        raise Problem("not-found", "there is no such search, or it has expired")
    return found


def _hits(row: Search, images: dict[str, ImageRow], marks: dict[str, list[Mark]], caller: Caller) -> list[HitOut]:
    return [
        HitOut(
            rank=result["rank"],
            image=result["image"],
            score=result["score"],
            llr=result["llr"],
            modality=Modality(images[result["image"]].modality),
            camera=images[result["image"]].camera,
            added=images[result["image"]].added,
            false_matches=result.get("false_matches"),
            standing=standing(marks.get(result["image"], [])),
            yours=said_by(caller, marks.get(result["image"], [])),
        )
        for result in row.results
        if result["image"] in images
    ]


def _shown(row: Search, hits: list[HitOut], answer: Answer | None = None) -> SearchOut:
    told: dict[str, Any] = {}
    if answer:
        told = {"mode": answer.mode, "searched": list(answer.searched), "note": answer.note}
    if answer and answer.warning:
        told["warning"] = f"{WARNING} {answer.warning[0].upper()}{answer.warning[1:]}."
    return SearchOut.model_validate(
        {
            "id": row.id,
            "gallery": row.gallery,
            "at": row.at,
            "purpose": row.purpose,
            "case": row.case,
            "modality": row.modality,
            "image": row.image,
            "hits": hits,
            **told,
        }
    )
