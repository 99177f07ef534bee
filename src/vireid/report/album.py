"""Pictures on the page: small, inside the file, and only where they may be shown."""

from __future__ import annotations

import base64
import io

from PIL import Image

from vireid.data.images import read_image
from vireid.errors import ImageError
from vireid.report.blocks import Picture

__all__ = ["Album"]

_LARGEST = (96, 128)  # width, height of a thumbnail in pixels
_QUALITY = 82


class Album:
    """Thumbnails of picture files, each made once; `shown` says whether these pictures may be shown."""

    def __init__(self, *, shown: bool) -> None:
        self.shown = shown
        self._made: dict[str, Picture] = {}

    def of(self, path: str) -> Picture:
        """The thumbnail, or why there is none."""
        if not self.shown:
            return Picture(problem="not shown")
        if path not in self._made:
            self._made[path] = _thumbnail(path)
        return self._made[path]


def _thumbnail(path: str) -> Picture:
    try:
        image = Image.fromarray(read_image(path))
    except ImageError as error:
        return Picture(problem=str(error).removeprefix(f"{path}: "))
    image.thumbnail(_LARGEST)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY)
    url = "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
    return Picture(url=url, width=image.width, height=image.height)
