"""A gallery that `vireid index` made becomes one of the service: its pictures are copied, nothing is embedded anew."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from vireid.errors import ImageError, UsageError
from vireid.service.audit.ledger import COMMAND_LINE
from vireid.service.core import Core
from vireid.service.galleries import Picture
from vireid.service.library import new_row
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
    are left out, and may be added later. What is taken over begins its retention today.

    All of it or nothing: rows come last and together, so that an adoption that was cut is no gallery, and what it left
    goes at the next start. It is for a service that is not running yet.

    Raises:
        UsageError: the folder's name is no name for a gallery, or no model of the configuration is the gallery's.
            None of its pictures can be read.
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
    shutil.rmtree(core.galleries.folder / name, ignore_errors=True)  # of an adoption that was cut
    core.galleries.copy(folder, name)
    images = list(_brought_in(core, row, source.pictures, track))
    if source.pictures and not images:
        raise UsageError(
            f"gallery {folder} cannot be taken over: none of its {len(source.pictures)} pictures can be read; "
            "are they where they were?"
        )
    kept = {image.id for image in images}
    core.galleries.leave_out(name, [picture.id for picture in source.pictures if picture.id not in kept])
    with core.ledger.transaction() as (session, record):
        session.add(row)
        session.flush()
        for purpose, basis in purposes.items():
            now = datetime.now(UTC)
            session.add(Purpose(gallery=name, name=purpose, basis=basis, created=now, withdrawn=None))
            record("purpose.add", actor=COMMAND_LINE, gallery=name, purpose=purpose, basis=basis)
        record("gallery.adopt", actor=COMMAND_LINE, gallery=name, model=row.digest, pictures=len(images))
        session.add_all(images)
        for (modality, camera), some in groupby(images, key=_kind):
            names = [image.id for image in some]
            record("images.add", actor=COMMAND_LINE, gallery=name, images=names, modality=modality, camera=camera)
    return {"gallery": name, "pictures": len(kept), "unreadable": len(source.pictures) - len(kept)}


def _check_name(name: str) -> None:
    if not re.fullmatch(NAME, name):
        raise UsageError(f"{name!r} is no name for a gallery; rename the folder: lower-case letters, digits, - and _")


def _bundle_of(digests: dict[str, str], digest: str, settings: Settings, was: str) -> str:
    for name in settings.bundles:
        if digests[name] == digest:
            return name
    raise UsageError(f"the gallery's model is not among the service's; add --bundle NAME={was}")


def _brought_in(core: Core, row: GalleryRow, pictures: Sequence[Picture], track: Track) -> Iterator[ImageRow]:
    """Copies and indexes what can be read; yields the rows, which are not in the database yet, by modality, camera."""
    ordered = sorted(pictures, key=lambda picture: (picture.modality, picture.camera or ""))
    tracked = track(ordered, description=f"taking over {row.id}", total=len(ordered))
    for (modality, camera), some in groupby(tracked, key=_kind):
        listed = list(some)
        for start in range(0, len(listed), _AT_ONCE):
            files = ((str(one.path), _read(one.path)) for one in listed[start : start + _AT_ONCE])
            _, readable = core.library.read(files)
            if readable:
                kept = list(readable.values())
                core.library.keep(row, kept, modality=modality, cameras=dict.fromkeys(readable, camera))
                yield from (new_row(one.id, one.suffix, row, modality, camera, row.created) for one in kept)


def _kind(one: Picture | ImageRow) -> tuple[str, str | None]:
    return one.modality, one.camera


def _read(path: Path) -> bytes | ImageError:
    try:
        return path.read_bytes()
    except OSError as error:
        return ImageError(error.strerror or "cannot be read")
