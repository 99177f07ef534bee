"""Galleries and their registers of purposes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from vireid.service.declaration import admissible
from vireid.service.problems import Problem
from vireid.service.routes.asked import GalleryName, TheCaller, TheCore, gallery_of, read_gallery
from vireid.service.schemas import (
    Count,
    GalleryChange,
    GalleryIn,
    GalleryOut,
    JobOut,
    MigrationIn,
    Page,
    PurposeIn,
    PurposeOut,
    Receipt,
)
from vireid.service.settings import NAME
from vireid.service.state import GalleryRow, ImageRow, Purpose

__all__ = ["router"]

router = APIRouter(prefix="/v1/galleries", tags=["galleries"])


@router.get("", summary="The galleries of this key")
def list_galleries(core: TheCore, caller: TheCaller) -> Page[GalleryOut]:
    with core.database.read() as session:
        rows = session.scalars(select(GalleryRow).order_by(GalleryRow.id))
        return Page(items=[_shown(session, row) for row in rows if caller.reaches(row.id)], next=None)


@router.post("", status_code=201, summary="Make a gallery")
def create_gallery(core: TheCore, caller: TheCaller, asked: GalleryIn) -> GalleryOut:
    """Needs a key for all galleries, or for one of this name."""
    if not caller.reaches(asked.id):
        raise Problem("not-allowed", f"this key reaches {', '.join(caller.galleries)}")
    model = core.galleries.model(asked.bundle)
    kept = core.settings.retention
    row = GalleryRow(
        id=asked.id,
        bundle=asked.bundle,
        digest=model.bundle.digest,
        restricted=asked.restricted,
        retention_days=asked.retention_days or kept.images,
        search_retention_days=asked.search_retention_days or kept.searches,
        created=datetime.now(UTC),
    )
    with core.ledger.transaction() as (session, record):
        if session.get(GalleryRow, asked.id) is not None:
            raise Problem("exists", f"there is a gallery {asked.id!r}")
        session.add(row)
        session.flush()
        record(
            "gallery.create",
            key=caller.key,
            gallery=row.id,
            model=row.digest,
            retention_days=row.retention_days,
            search_retention_days=row.search_retention_days,
        )
        return _shown(session, row)


@router.get("/{gallery}", summary="A gallery, with its counts by modality and camera")
def show_gallery(core: TheCore, gallery: GalleryName) -> GalleryOut:
    with core.database.read() as session:
        return _shown(session, gallery_of(session, gallery))


@router.patch("/{gallery}", summary="Change how long things stay")
def change_gallery(core: TheCore, caller: TheCaller, gallery: GalleryName, asked: GalleryChange) -> GalleryOut:
    """What is there already keeps its date, unless the new time ends earlier."""
    with core.ledger.transaction() as (session, record):
        row = gallery_of(session, gallery)
        row.retention_days = asked.retention_days or row.retention_days
        row.search_retention_days = asked.search_retention_days or row.search_retention_days
        core.library.shorten(session, row)
        record("gallery.change", key=caller.key, gallery=row.id, **asked.model_dump(exclude_none=True))
        return _shown(session, row)


@router.delete("/{gallery}", summary="Delete a gallery with everything in it")
def delete_gallery(core: TheCore, caller: TheCaller, gallery: GalleryName) -> Receipt:
    read_gallery(core, gallery)
    return Receipt.model_validate(core.library.drop(gallery, key=caller.key))


@router.post("/{gallery}/migrations", status_code=202, summary="Give a gallery another model")
def migrate_gallery(core: TheCore, caller: TheCaller, gallery: GalleryName, asked: MigrationIn) -> JobOut:
    """All its pictures are embedded anew, in a job. Searches are answered meanwhile, with the old model to the end;
    adding and deleting are refused. The new model is opened before this is answered.
    """
    read_gallery(core, gallery)
    core.galleries.model(asked.bundle)
    return JobOut.model_validate(core.jobs.add(gallery, "migration", {"bundle": asked.bundle}, key=caller.key))


@router.get("/{gallery}/purposes", tags=["purposes"], summary="The register of admissible purposes")
def list_purposes(core: TheCore, gallery: GalleryName) -> Page[PurposeOut]:
    with core.database.read() as session:
        gallery_of(session, gallery)
        return Page(items=[PurposeOut.model_validate(row) for row in admissible(session, gallery)], next=None)


@router.post("/{gallery}/purposes", tags=["purposes"], status_code=201, summary="Register a purpose")
def add_purpose(core: TheCore, caller: TheCaller, gallery: GalleryName, asked: PurposeIn) -> PurposeOut:
    """A name that was withdrawn may be registered again, with a basis of its own."""
    with core.ledger.transaction() as (session, record):
        gallery_of(session, gallery)
        row = session.get(Purpose, (gallery, asked.name))
        if row is not None and row.withdrawn is None:
            raise Problem("exists", f"purpose {asked.name!r} is registered")
        row = session.merge(
            Purpose(gallery=gallery, name=asked.name, basis=asked.basis, created=datetime.now(UTC), withdrawn=None)
        )
        record("purpose.add", key=caller.key, gallery=gallery, purpose=asked.name, basis=asked.basis)
        return PurposeOut.model_validate(row)


@router.delete("/{gallery}/purposes/{purpose}", tags=["purposes"], summary="Withdraw a purpose")
def withdraw_purpose(
    core: TheCore, caller: TheCaller, gallery: GalleryName, purpose: Annotated[str, Path(pattern=NAME)]
) -> PurposeOut:
    with core.ledger.transaction() as (session, record):
        row = session.get(Purpose, (gallery, purpose))
        if row is None or row.withdrawn is not None:
            raise Problem("not-found", f"purpose {purpose!r} is not registered")
        row.withdrawn = datetime.now(UTC)
        record("purpose.withdraw", key=caller.key, gallery=gallery, purpose=purpose)
        return PurposeOut.model_validate(row)


def _shown(session: Session, row: GalleryRow) -> GalleryOut:
    counted = (
        select(ImageRow.modality, ImageRow.camera, func.count())
        .where(ImageRow.gallery == row.id)
        .group_by(ImageRow.modality, ImageRow.camera)
    )
    counts = [Count(modality=modality, camera=camera, pictures=n) for modality, camera, n in session.execute(counted)]
    return GalleryOut(
        id=row.id,
        bundle=row.bundle,
        model=row.digest,
        restricted=row.restricted,
        retention_days=row.retention_days,
        search_retention_days=row.search_retention_days,
        created=row.created,
        counts=sorted(counts, key=lambda count: (count.modality, count.camera or "")),
    )
