"""A contact sheet: search results as one HTML file that holds its pictures and asks nobody for anything."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from vireid.data.images import read_image
from vireid.errors import ImageError, UsageError
from vireid.gallery.filters import written
from vireid.gallery.frames import crop, parse_box
from vireid.gallery.results import Hit, SearchResult
from vireid.matching.calibration import expected_number

__all__ = ["contact_sheet_html"]

_LARGEST = (240, 160)  # width, height of a thumbnail in pixels
_QUALITY = 85


def contact_sheet_html(
    results: SearchResult | Sequence[SearchResult],
    *,
    title: str = "Search results",
    identities: Sequence[Any] | None = None,
    show_restricted: bool = False,
) -> str:
    """One self-contained HTML page: every query with its ranked hits.

    Args:
        results: what `Gallery.search` returned, one or several.
        title: heading of the page.
        identities: who the queries show, one each (None: unknown); hits of known identity are then marked right or
            wrong. A picture that is gone or damaged by now is replaced by the reason.
        show_restricted: show the pictures of restricted galleries too. Without it neither hits nor query of such a
            search are shown, only their paths; whoever sets it must be allowed to pass the pictures on.

    Raises:
        UsageError: no results, or another number of identities.
    """
    several = [results] if isinstance(results, SearchResult) else list(results)
    known = [None] * len(several) if identities is None else list(identities)
    if not several:
        raise UsageError("there are no results to show")
    if len(known) != len(several):
        raise UsageError(f"{len(known)} identities for {len(several)} results; give one each")
    thumbnails, hidden = _Thumbnails(), _Hidden()
    root = _common_folder(hit.path for result in several for hit in result.hits)
    shown = [
        _entry(result, one, hidden if result.restricted and not show_restricted else thumbnails, root)
        for result, one in zip(several, known, strict=True)
    ]
    judged = [verdicts for entry in shown if any(verdicts := [hit["verdict"] for hit in entry["hits"]])]
    first = sum(verdicts[0] == "right" for verdicts in judged)
    environment = Environment(
        loader=PackageLoader("vireid.gallery"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["expected_number"] = expected_number
    page = environment.get_template("sheet.html")
    return page.render(title=title, entries=shown, judged=len(judged), first=first, root=root)


@dataclass(frozen=True)
class _Thumbnail:
    """A data URL, or the reason why there is none; width and height in pixels."""

    url: str = ""
    problem: str = ""
    width: int = 0
    height: int = 0


class _Hidden:
    """Stands for pictures that may not be shown."""

    def of(self, picture: Any, box: str | None = None) -> _Thumbnail:  # noqa: ARG002
        return _Thumbnail(problem="restricted: not shown" if picture is not None else "searched with a vector")


class _Thumbnails:
    """Thumbnails of picture files, each made once, since one gallery picture may answer several queries."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str | None], _Thumbnail] = {}

    def of(self, picture: Any, box: str | None = None) -> _Thumbnail:
        """Thumbnail of a path, of bytes or of an array (H, W, 3) uint8, of the part within the box."""
        if not isinstance(picture, str | os.PathLike):
            return _thumbnail(picture, box)
        path = os.fspath(picture)
        if (path, box) not in self._made:
            self._made[path, box] = _thumbnail(path, box)
        return self._made[path, box]


def _thumbnail(picture: Any, box: str | None) -> _Thumbnail:
    if picture is None:
        return _Thumbnail(problem="searched with a vector")
    try:
        pixels = picture if isinstance(picture, np.ndarray) else read_image(picture)
        pixels = crop(pixels, parse_box(box)) if box else pixels
    except ImageError as error:
        name = picture if isinstance(picture, str) else f"<{len(picture)} bytes>"
        return _Thumbnail(problem=str(error).removeprefix(f"{name}: "))
    image = Image.fromarray(pixels)
    image.thumbnail(_LARGEST)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY)
    url = "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
    return _Thumbnail(url=url, width=image.width, height=image.height)


def _entry(result: SearchResult, identity: Any, thumbnails: _Thumbnails | _Hidden, root: str) -> dict[str, Any]:
    return {
        "result": result,
        "query": thumbnails.of(result.picture),
        "query_name": PurePath(result.query).name,
        "identity": None if identity is None else written(identity),
        "hits": [_shown(hit, identity, thumbnails, root) for hit in result.hits],
    }


def _shown(hit: Hit, identity: Any, thumbnails: _Thumbnails | _Hidden, root: str) -> dict[str, Any]:
    verdict = ""
    if identity is not None and hit.identity is not None:
        verdict = "right" if written(hit.identity) == written(identity) else "wrong"
    return {
        "hit": hit,
        "picture": thumbnails.of(hit.path, hit.box),
        "name": os.path.relpath(hit.path, root) if root else hit.path,
        "camera": written(hit.camera),
        "verdict": verdict,
    }


def _common_folder(paths: Iterable[str]) -> str:
    """The folder below which all paths lie; empty where there is none."""
    folders = {os.path.dirname(path) for path in paths}  # noqa: PTH120
    try:
        return os.path.commonpath(folders)
    except ValueError:  # no paths, or on several drives
        return ""
