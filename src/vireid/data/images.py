"""Pictures from files and bytes to arrays."""

import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from vireid.errors import ImageError, UsageError

__all__ = ["FORMATS", "MAX_PIXELS", "SUFFIXES", "PictureFiles", "PictureSource", "read_image", "resize"]

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF")
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
MAX_PIXELS = 50_000_000

_DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")  # grey of more than 8 bits
# What Pillow's decoders are known to raise on damaged data.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    OverflowError,
    ZeroDivisionError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


def read_image(source: Path | str | bytes, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """(H, W, 3) uint8, RGB, upright, writable.

    `source` is a path or the bytes of a file: JPEG, PNG, BMP, WebP or TIFF, the first page where there are several.
    Transparent parts become black, as padding does. The rotation that EXIF states is applied. Grey is repeated over
    the channels; grey of more than 8 bits is stretched linearly from the picture's own darkest to its brightest value,
    because infrared cameras fill only part of the 16 bits (a picture of one value takes its upper 8 bits).

    Raises:
        ImageError: missing, damaged, of another format, or of more than `max_pixels`; names file and reason.
    """
    name = f"<{len(source)} bytes>" if isinstance(source, bytes) else str(source)
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with Image.open(stream, formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise ImageError(
                    f"{name}: {image.width}x{image.height} pixels are more than the {max_pixels:,} allowed; "
                    "scale the picture down"
                )
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            return _rgb(image, name)
    except FileNotFoundError as error:
        raise ImageError(f"{name}: no such file") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{name}: not a readable {', '.join(FORMATS)} picture") from error
    except _DAMAGE as error:
        raise ImageError(f"{name}: cannot be read ({error})") from error


def resize(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """`image` (H, W, 3) uint8 scaled to `size` = (height, width) by Pillow's antialiased bilinear filter.

    Raises:
        UsageError: another shape or type, or a size below one pixel.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise UsageError(f"resize takes (H, W, 3) uint8, not {image.shape} {image.dtype}")
    height, width = size
    if height < 1 or width < 1:
        raise UsageError(f"cannot scale to {height}x{width} pixels (height, width); both must be at least 1")
    if image.shape[:2] == (height, width):
        return image
    return np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


class PictureSource(Protocol):
    """Pictures by number, all of one `size` = (height, width)."""

    @property
    def size(self) -> tuple[int, int]: ...

    def read(self, numbers: Sequence[int] | NDArray[np.int64]) -> NDArray[np.uint8]:
        """(N, H, W, 3) uint8 RGB: the pictures of these numbers, in a new array.

        Raises:
            ImageError: a picture cannot be read.
        """


class PictureFiles:
    """A `PictureSource` that decodes and scales files whenever they are asked for; numbers are places in `paths`."""

    def __init__(self, paths: Sequence[str], size: tuple[int, int]) -> None:
        self.paths = paths
        self.size = size

    def read(self, numbers: Sequence[int] | NDArray[np.int64]) -> NDArray[np.uint8]:
        pictures = np.empty((len(numbers), *self.size, 3), np.uint8)
        for place, number in zip(pictures, numbers, strict=True):
            place[...] = resize(read_image(self.paths[number]), self.size)
        return pictures


def _rgb(image: Image.Image, name: str) -> NDArray[np.uint8]:
    if image.mode in _DEEP_MODES:
        grey = _stretched(np.asarray(image), name)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        colour = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", colour.size, (0, 0, 0, 255)), colour)
    return np.array(image.convert("RGB"))


def _stretched(values: NDArray[np.generic], name: str) -> NDArray[np.uint8]:
    """(H, W) uint8 from grey of any depth."""
    deep = values.astype(np.float64)
    if not np.isfinite(deep).all():
        raise ImageError(f"{name}: holds values that are not finite")
    low, high = deep.min(), deep.max()
    if low == high:
        return np.full(deep.shape, int(np.clip(low, 0, 65535)) >> 8, dtype=np.uint8)
    scaled: NDArray[np.uint8] = np.rint((deep - low) * (255 / (high - low))).astype(np.uint8)
    return scaled
