"""What every route takes from its request: the service, the caller, names in the path, a page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Path, Query, Request
from sqlalchemy import Select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from vireid.service.core import Core
from vireid.service.keys import Caller
from vireid.service.problems import Problem
from vireid.service.schemas import Page
from vireid.service.settings import NAME
from vireid.service.state import GalleryRow, ImageRow

__all__ = ["After", "GalleryName", "HexId", "ImageId", "Limit", "TheCaller", "TheCore", "gallery_of", "page"]

RowT = TypeVar("RowT")
OutT = TypeVar("OutT")


def _core(request: Request) -> Core:
    core: Core = request.app.state.core
    return core


def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


TheCore = Annotated[Core, Depends(_core)]
TheCaller = Annotated[Caller, Depends(_caller)]
GalleryName = Annotated[str, Path(pattern=NAME, examples=["entrance"])]
ImageId = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]
HexId = Annotated[str, Path(pattern=r"^[0-9a-f]{16,32}$")]
After = Annotated[str | None, Query(pattern=r"^[0-9a-f]{16,64}$", description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=500)]


def gallery_of(session: Session, name: str) -> GalleryRow:
    """The gallery of this name.

    Raises:
        Problem: there is none.
    """
    found = session.get(GalleryRow, name)
    if found is None:
        raise Problem("not-found", f"there is no gallery {name!r}")
    return found


def read_gallery(core: Core, name: str) -> GalleryRow:
    """As `gallery_of`, where nothing else is read."""
    with core.database.read() as session:
        return gallery_of(session, name)


def read_image(core: Core, gallery: str, image: str) -> ImageRow:
    """The picture's row.

    Raises:
        Problem: there is none.
    """
    with core.database.read() as session:
        found = session.get(ImageRow, (gallery, image))
    if found is None:
        raise Problem("not-found", "there is no such picture")
    return found


def read_picture(path: FilePath) -> bytes:
    """The picture's bytes.

    Raises:
        Problem: it is not there.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise Problem("not-found", "the picture has been deleted, or is being added") from None


def page(
    session: Session,
    rows: Select[RowT],
    *,
    order: InstrumentedAttribute[Any],
    id: InstrumentedAttribute[str],  # noqa: A002
    after: str | None,
    limit: int,
    show: Callable[[RowT], OutT],
) -> Page[OutT]:
    """One page of rows, newest first by `order`, ties by `id`, from behind the row whose id is `after`."""
    if after is not None:
        place = session.execute(rows.with_only_columns(order, id).where(id == after)).first()
        if place is None:
            raise Problem("invalid", "`after` is not of this list; begin again without it")
        rows = rows.where(tuple_(order, id) < tuple_(*place))
    found = list(session.scalars(rows.order_by(order.desc(), id.desc()).limit(limit + 1)))
    more = len(found) > limit
    shown = found[:limit]
    return Page(items=[show(row) for row in shown], next=getattr(shown[-1], id.key) if more else None)
