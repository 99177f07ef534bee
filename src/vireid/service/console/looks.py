"""Pictures inside a page: what the browser sent is shown back to it and kept nowhere else."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

from PIL import Image

from vireid.report.blocks import Picture
from vireid.service.pictures import MEDIA_TYPES, Decoded, decode

if TYPE_CHECKING:
    from markupsafe import Markup

    from vireid.service.explaining import Explained

__all__ = ["data_url", "drawn"]

_WHOLE = 1 << 20  # bytes of a file that is shown back as it came
_SHOWN = frozenset({".jpg", ".png", ".bmp", ".webp"})  # by every browser
_LARGEST = (480, 640)  # width, height of what is shown in place of a larger one
_QUALITY = 85


def data_url(picture: bytes | Decoded, *, max_pixels: int | None = None) -> tuple[str, bool]:
    """A picture as a data URL, and whether that is the whole file or a smaller copy.

    Raises:
        ImageError: bytes that are no picture of at most `max_pixels`.
    """
    decoded = picture if isinstance(picture, Decoded) else decode(picture, max_pixels=max_pixels or 0)
    if len(decoded.data) <= _WHOLE and decoded.suffix in _SHOWN:
        return _url(MEDIA_TYPES[decoded.suffix], decoded.data), True
    copy = Image.fromarray(decoded.pixels)
    copy.thumbnail(_LARGEST)
    stream = io.BytesIO()
    copy.save(stream, "JPEG", quality=_QUALITY)
    return _url("image/jpeg", stream.getvalue()), False


def drawn(explained: Explained, *, shown: bool) -> Markup:
    """Query and hit under the weights of their regions. shown: whether the pictures may be."""
    from vireid.report.sections import explanations

    found = explained.found
    pictures = [
        Picture(url=data_url(one)[0]) if shown else Picture(problem="not shown")
        for one in (explained.query, explained.candidate)
    ]
    told = f"Score {found.score:.3f}."
    if found.parts:
        told += f" Of it, {', '.join(f'{part.weight:+.3f} come from {part.name}' for part in found.parts)}."
    return explanations.drawn(found, pictures, told).svg


def _url(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"
