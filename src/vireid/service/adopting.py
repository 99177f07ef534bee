"""A gallery that `vireid index` made becomes one of the service: its pictures are copied, nothing is embedded anew."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from sqlalchemy import select

from vireid.errors import ImageError, UsageError
from vireid.service.audit.ledger import COMMAND_LINE
from vireid.service.core import Core
from vireid.service.galleries import Picture
from vireid.service.settings import NAME, Settings
from vireid.service.state import GalleryRow, ImageRow, Purpose
from vireid.types import Track, untracked

__all__ = ["adopt"]

_AT_ONCE = 64


def adopt(
    core: Core, folder: Path, *, purposes: dict[str, str], track: Track = untracked
) -> dict[str, int | str] | None:
    """Take over the gallery in `folder` under its folder's name; None where there is a gallery of that name already.

    purposes: name -> legal basis, the first entries of the gallery's register. Pictures that cannot be read any more
    are left out. What is taken over begins its retention today.

    Raises:
        UsageError: the folder's name is no name for a gallery, or no model of the configuration is the gallery's.
        GalleryError: there is no gallery.
    """
    name = folder.name
    _check_name(name)
    with core.database.read() as session:
        if session.get(GalleryRow, name) is not None:
            return None
    source = core.galleries.look(folder)
    bundle = _bundle_of(core.galleries.digests(), source.digest, core.settings, source.bundle)
    row = GalleryRow(
        id=name,
        bundle=bundle,
        digest=source.digest,
        restricted=source.restricted,
        retention_days=core.settings.retention.images,
        search_retention_days=core.settings.retention.searches,
        created=datetime.now(UTC),
    )
    with core.ledger.transaction() as (session, record):
        session.add(row)
        session.flush()
        for purpose, basis in purposes.items():
            now = datetime.now(UTC)
            session.add(Purpose(gallery=name, name=purpose, basis=basis, created=now, withdrawn=None))
            record("purpose.add", actor=COMMAND_LINE, gallery=name, purpose=purpose, basis=basis)
        record("gallery.adopt", actor=COMMAND_LINE, gallery=name, model=row.digest, pictures=len(source.pictures))
    core.galleries.copy(folder, name)
    report = [line for part in _brought_in(core, row, source.pictures, track) for line in part]
    with core.database.read() as session:
        kept = set(session.scalars(select(ImageRow.id).where(ImageRow.gallery == name)))
    core.galleries.delete(name, [picture.id for picture in source.pictures if picture.id not in kept])
    return {"gallery": name, "pictures": len(kept), "unreadable": len(report) - len(kept)}


def _check_name(name: str) -> None:
    if not re.fullmatch(NAME, name):
        raise UsageError(f"{name!r} is no name for a gallery; rename the folder: lower-case letters, digits, - and _")


def _bundle_of(digests: dict[str, str], digest: str, settings: Settings, was: str) -> str:
    for name in settings.bundles:
        if digests[name] == digest:
            return name
    raise UsageError(f"the gallery's model is not among the service's; add --bundle NAME={was}")


def _brought_in(
    core: Core, row: GalleryRow, pictures: Sequence[Picture], track: Track
) -> Iterator[list[dict[str, Any]]]:
    ordered = sorted(pictures, key=lambda picture: (picture.modality, picture.camera or ""))
    tracked = track(ordered, description=f"taking over {row.id}", total=len(ordered))
    for (modality, camera), some in groupby(tracked, key=lambda picture: (picture.modality, picture.camera)):
        listed = list(some)
        for start in range(0, len(listed), _AT_ONCE):
            files = ((str(one.path), _read(one.path)) for one in listed[start : start + _AT_ONCE])
            yield core.library.add(row, files, modality=modality, camera=camera, key="")


def _read(path: Path) -> bytes | ImageError:
    try:
        return path.read_bytes()
    except OSError as error:
        return ImageError(error.strerror or "cannot be read")
