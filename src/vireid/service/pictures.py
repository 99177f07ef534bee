"""Picture bytes from outside: checked and decoded within limits, kept in files that are named by their content."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vireid.data.images import FORMATS, read_image
from vireid.files import new_file

__all__ = ["MEDIA_TYPES", "Decoded", "Pictures", "decode"]

_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "BMP": ".bmp", "WEBP": ".webp", "TIFF": ".tif"}
MEDIA_TYPES = {
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".bmp": "image/bmp",
    ".webp": "image/webp",
    ".tif": "image/tiff",
}


@dataclass(frozen=True)
class Decoded:
    """A picture that could be read. id: SHA-256 of its bytes. pixels: (H, W, 3) uint8."""

    id: str
    suffix: str
    data: bytes
    pixels: NDArray[np.uint8]


def decode(data: bytes, *, max_pixels: int) -> Decoded:
    """Decode a picture; call it from a thread, it takes its time.

    Raises:
        ImageError: the bytes are no picture, damaged, or of more than `max_pixels`.
    """
    pixels = read_image(data, max_pixels=max_pixels)
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        suffix = _SUFFIXES[str(image.format)]
    return Decoded(hashlib.sha256(data).hexdigest(), suffix, data, pixels)


class Pictures:
    """The files of all galleries, below one folder. No part of a path ever comes from a request: ids are hashes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, gallery: str, image: str, suffix: str) -> Path:
        return self.folder / gallery / "pictures" / image[:2] / f"{image}{suffix}"

    def write(self, gallery: str, picture: Decoded) -> Path:
        """Keep a picture; it is on the disk on return. Returns where."""
        path = self.path(gallery, picture.id, picture.suffix)
        if not path.is_file():
            with new_file(path) as temporary:
                temporary.write_bytes(picture.data)
        return path

    def delete(self, gallery: str, image: str, suffix: str) -> None:
        self.path(gallery, image, suffix).unlink(missing_ok=True)
