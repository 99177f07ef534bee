"""Pictures on the page: small, inside the file, and only where they may be shown."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
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

    def of_map(self, values: NDArray[np.float64]) -> Picture:
        """A map (h, w) in [0, 1] that was made of a picture, in grey, or why there is none."""
        if not self.shown:
            return Picture(problem="not shown")
        return _inside(Image.fromarray(np.rint(255 * values.clip(0, 1)).astype(np.uint8)), "PNG")


def _thumbnail(path: str) -> Picture:
    try:
        image = Image.fromarray(read_image(path))
    except ImageError as error:
        return Picture(problem=str(error).removeprefix(f"{path}: "))
    return _inside(image, "JPEG", quality=_QUALITY)


def _inside(image: Image.Image, kind: str, **options: int) -> Picture:
    """The picture, made small, as a data URL."""
    image.thumbnail(_LARGEST)
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    url = f"data:image/{kind.lower()};base64," + base64.b64encode(stream.getvalue()).decode("ascii")
    return Picture(url=url, width=image.width, height=image.height)
