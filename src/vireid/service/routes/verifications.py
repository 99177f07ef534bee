"""Two pictures compared: how strongly they speak for one person or for two."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

from fastapi import APIRouter, File, Form, UploadFile

from vireid.service.core import Core
from vireid.service.declaration import Declaration, Until
from vireid.service.keys import Caller
from vireid.service.library import existing
from vireid.service.pictures import Decoded, decode
from vireid.service.problems import Problem
from vireid.service.routes.asked import GalleryName, TheCaller, TheCore, read_gallery
from vireid.service.routes.images import read_uploads
from vireid.service.schemas import Line, Name, VerifiedOut
from vireid.types import Modality

__all__ = ["router"]

router = APIRouter(prefix="/v1/galleries/{gallery}", tags=["verifications"])

Prior = Annotated[float | None, Form(gt=0, lt=1, description="probability of one person before the comparison")]


@router.post("/verifications", status_code=201, summary="Compare two pictures")
async def compare(
    core: TheCore,
    caller: TheCaller,
    gallery: GalleryName,
    picture: Annotated[UploadFile, File(description="a picture of one person; it is compared as the query")],
    modality: Annotated[Modality, Form(description="which camera took it")],
    other: Annotated[UploadFile, File(description="a picture of the same person, or of another")],
    other_modality: Annotated[Modality, Form(description="which camera took that")],
    purpose: Annotated[Name, Form(examples=["missing-person"])],
    case: Annotated[Line, Form(examples=["2026-17"])],
    authorisation: Annotated[Line, Form(examples=["court order 4/26"])],
    authorised_until: Annotated[Until, Form()],
    prior: Prior = None,
) -> VerifiedOut:
    """With the gallery's model and register of purposes; the gallery is not searched. Neither picture is kept."""
    declaration = Declaration(
        purpose=purpose, case=case, authorisation=authorisation, authorised_until=authorised_until
    )
    modalities = (modality, other_modality)
    bundle = await asyncio.to_thread(_allowed, core, gallery, declaration, modalities, caller)
    loop = asyncio.get_running_loop()
    decoding = [
        partial(decode, data, max_pixels=core.settings.limits.pixels)
        for _, data in await read_uploads(core, [picture, other])
    ]
    pictures = await asyncio.gather(*(loop.run_in_executor(core.decoding, one) for one in decoding))
    comparing = partial(_compared, core, gallery, bundle, pictures, modalities, prior, declaration, caller)
    return await loop.run_in_executor(core.embedding, comparing)


def _allowed(
    core: Core, gallery: str, declaration: Declaration, modalities: tuple[Modality, Modality], caller: Caller
) -> str:
    """The name of the gallery's model."""
    row = read_gallery(core, gallery)
    core.searcher.check_reason(gallery, declaration, caller, action="verification")
    calibration = core.galleries.model(row.bundle).bundle.calibration()
    if calibration is None:
        raise Problem("not-calibrated", "the operator calibrates a model with `vireid calibrate`")
    if calibration.of(*modalities) is None:
        known = ", ".join(sorted(calibration.pairs)) or "none"
        raise Problem("not-calibrated", f"the model is calibrated for the pairs {known}")
    return row.bundle


def _compared(
    core: Core,
    gallery: str,
    bundle: str,
    pictures: list[Decoded],
    modalities: tuple[Modality, Modality],
    prior: float | None,
    declaration: Declaration,
    caller: Caller,
) -> VerifiedOut:
    pixels = (pictures[0].pixels, pictures[1].pixels)
    sides = (str(modalities[0]), str(modalities[1]))
    found = core.galleries.verify(bundle, pixels, sides, prior=prior)
    now = datetime.now(UTC)
    with core.ledger.transaction() as (session, record):
        existing(session, gallery)
        core.searcher.check_quota(session, caller)  # again: what came together is counted one by one
        record(
            "verification",
            key=caller.key,
            gallery=gallery,
            images=[picture.id for picture in pictures],
            modalities=list(sides),
            llr=found.llr,
            prior=prior,
            **declaration.told(),
        )
    return VerifiedOut.model_validate({"gallery": gallery, "at": now, **found.to_json()})
