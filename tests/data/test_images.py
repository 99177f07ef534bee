import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vireid.data.images import FORMATS, read_image, resize
from vireid.errors import ImageError, UsageError

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (12, 7, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (12, 7), dtype=np.uint8)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_formats(kind: str, tmp_path: Path):
    data = encoded(Image.fromarray(COLOUR), kind, **({"lossless": True} if kind == "WEBP" else {}))
    path = tmp_path / "picture"
    path.write_bytes(data)
    for source in (data, path, str(path)):
        image = read_image(source)
        assert image.dtype == np.uint8
        assert image.flags.writeable
        assert np.array_equal(image, COLOUR)


def test_jpeg():
    smooth = np.repeat(np.linspace(0, 255, 64, dtype=np.uint8)[:, None, None], 32, axis=1).repeat(3, axis=2)
    image = read_image(encoded(Image.fromarray(smooth), "JPEG", quality=95))
    assert image.shape == (64, 32, 3)
    assert np.abs(image.astype(int) - smooth).max() <= 6


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "JPEG"])
def test_grey_is_repeated(kind: str):
    image = read_image(encoded(Image.fromarray(GREY), kind))
    assert image.shape == (12, 7, 3)
    assert (image == image[:, :, :1]).all()
    if kind != "JPEG":
        assert np.array_equal(image[:, :, 0], GREY)


def test_one_bit():
    bits = GREY > 127
    image = read_image(encoded(Image.fromarray(bits), "PNG"))
    assert np.array_equal(image[:, :, 0], bits * np.uint8(255))


def test_palette():
    palette = Image.fromarray(COLOUR).quantize(16)
    assert np.array_equal(read_image(encoded(palette, "PNG")), np.array(palette.convert("RGB")))


def test_transparent_becomes_black():
    alpha = np.zeros((12, 7), dtype=np.uint8)
    alpha[:6] = 255
    rgba = np.dstack([COLOUR, alpha])
    image = read_image(encoded(Image.fromarray(rgba), "PNG"))
    assert np.array_equal(image[:6], COLOUR[:6])
    assert not image[6:].any()
    half = np.dstack([np.full((2, 2, 3), 200, np.uint8), np.full((2, 2), 128, np.uint8)])
    assert np.abs(read_image(encoded(Image.fromarray(half), "PNG")).astype(int) - 100).max() <= 1
    grey_alpha = Image.fromarray(np.dstack([GREY, alpha]), "LA")
    assert not read_image(encoded(grey_alpha, "PNG"))[6:].any()


def test_transparent_palette_colour_becomes_black():
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.putpixel((1, 0), 1)
    image = read_image(encoded(palette, "PNG", transparency=1))
    assert image.tolist() == [[[255, 0, 0], [0, 0, 0]]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_stretched(kind: str):
    # A 14-bit thermal camera that sees a narrow range of temperatures.
    deep = np.linspace(7000, 8530, 12 * 7).reshape(12, 7).astype(np.uint16)
    image = read_image(encoded(Image.fromarray(deep), kind))
    assert (image.min(), image.max()) == (0, 255)
    expected = np.rint((deep - 7000.0) * 255 / 1530)
    assert np.array_equal(image, np.repeat(expected[:, :, None], 3, axis=2))


def test_full_sixteen_bits_and_one_value():
    deep = np.array([[0, 257 * 100, 65535]], dtype=np.uint16)
    assert read_image(encoded(Image.fromarray(deep), "PNG"))[0, :, 0].tolist() == [0, 100, 255]
    flat = np.full((3, 3), 0x4321, dtype=np.uint16)
    assert set(read_image(encoded(Image.fromarray(flat), "PNG")).ravel().tolist()) == {0x43}


def test_float_tiff():
    values = np.array([[-1.0, 0.0, 3.0]], dtype=np.float32)
    assert read_image(encoded(Image.fromarray(values), "TIFF"))[0, :, 0].tolist() == [0, 64, 255]
    values[0, 0] = np.nan
    with pytest.raises(ImageError, match="values that are not finite"):
        read_image(encoded(Image.fromarray(values), "TIFF"))


def test_cmyk():
    image = read_image(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"))
    assert image[0, 0, 0] > 200
    assert image[0, 0, 1] < 60


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation(kind: str, orientation: int):
    upright = np.zeros((24, 16, 3), dtype=np.uint8)
    upright[:8, :8] = 255  # a mark in the upper left corner
    undo = {
        1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1), 6: lambda a: np.rot90(a), 7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(undo[orientation](upright)))
    options = {"quality": 95} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    image = read_image(encoded(stored, kind, exif=exif, **options))
    assert image.shape == upright.shape
    assert np.abs(image.astype(int) - upright).max() < 40


def test_first_page(tmp_path: Path):
    pages = [Image.fromarray(COLOUR), Image.fromarray(255 - COLOUR)]
    pages[0].save(tmp_path / "pages.tiff", save_all=True, append_images=pages[1:])
    assert np.array_equal(read_image(tmp_path / "pages.tiff"), COLOUR)


@pytest.mark.parametrize("kind", ["GIF", "PPM", "ICO", "PDF"])
def test_other_formats_are_refused(kind: str):
    with pytest.raises(ImageError, match="not a readable JPEG, PNG, BMP, WEBP, TIFF picture"):
        read_image(encoded(Image.fromarray(COLOUR), kind))


@pytest.mark.parametrize("kind", FORMATS)
def test_truncated(kind: str, tmp_path: Path):
    large = RNG.integers(0, 256, (80, 60, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(large), kind)
    path = tmp_path / f"half.{kind.lower()}"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match=f"{path}: (cannot be read|not a readable)"):
        read_image(path)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.filterwarnings("ignore")
def test_damage_is_an_image_error_or_a_picture(kind: str):
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {} if kind == "BMP" else {"exif": exif}
    data = encoded(Image.fromarray(COLOUR), kind, **options)
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(300):
        damaged = bytearray(data)
        for place in rng.integers(0, min(len(data), 200), size=3):
            damaged[place] = rng.integers(256)
        try:
            image = read_image(bytes(damaged), max_pixels=1_000_000)
        except ImageError:
            refused += 1
        else:
            assert image.ndim == 3
            assert image.shape[2] == 3
    assert refused > 0


@pytest.mark.parametrize("data", [b"", b"hello", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"])
def test_no_picture(data: bytes):
    with pytest.raises(ImageError, match=f"<{len(data)} bytes>"):
        read_image(data)


def test_missing_file_and_folder(tmp_path: Path):
    with pytest.raises(ImageError, match=r"gone\.jpg: no such file"):
        read_image(tmp_path / "gone.jpg")
    with pytest.raises(ImageError, match="cannot be read"):
        read_image(tmp_path)


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims width x height pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("size", [(8000, 7000), (10_000, 10_000), (60_000, 60_000)])
def test_bombs_are_refused_before_they_are_unpacked(size: tuple[int, int]):
    with pytest.raises(ImageError, match=r"bytes>: .*pixels"):
        read_image(bomb(*size))


@pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")
def test_bomb_warnings_may_be_errors():
    with pytest.raises(ImageError, match="could be decompression bomb"):
        read_image(bomb(10_000, 10_000))


def test_limit_of_pixels():
    data = encoded(Image.fromarray(COLOUR), "PNG")
    assert read_image(data, max_pixels=84).shape == (12, 7, 3)
    with pytest.raises(ImageError, match="7x12 pixels are more than the 83 allowed"):
        read_image(data, max_pixels=83)


def test_resize():
    scaled = resize(COLOUR, (24, 21))
    assert scaled.shape == (24, 21, 3)
    assert scaled.dtype == np.uint8
    assert scaled.flags.writeable
    expected = Image.fromarray(COLOUR).resize((21, 24), Image.Resampling.BILINEAR)
    assert np.array_equal(scaled, np.asarray(expected))
    assert np.array_equal(resize(COLOUR, (12, 7)), COLOUR)


def test_resize_refuses_what_is_no_picture():
    with pytest.raises(UsageError, match=r"not \(12, 7\) uint8"):
        resize(GREY, (4, 4))
    with pytest.raises(UsageError, match=r"not \(12, 7, 3\) float64"):
        resize(COLOUR.astype(float), (4, 4))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="0x4 pixels"):
        resize(COLOUR, (0, 4))
