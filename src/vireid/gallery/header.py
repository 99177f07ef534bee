"""What a gallery says of itself: the model it is bound to, and what was indexed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import Field

from vireid import __version__
from vireid.errors import GalleryError, RecipeError
from vireid.files import write_json
from vireid.methods.bundle import Bundle
from vireid.options import Options, parse

__all__ = ["HEADER", "STORE", "Header", "Source", "new_header", "read_header", "refuse_other_model", "writer"]

HEADER, STORE, _LOCK = "gallery.json", "store", ".lock"


class Source(Options):
    """A folder that was indexed, with what was said of it."""

    folder: str
    modality: str
    camera: int | str | None = None


class Header(Options):
    """Contents of `gallery.json`."""

    format: int = Field(1, ge=1, le=1)
    method: str
    bundle: str = Field(description="where the bundle lay when the gallery was built")
    digest: str = Field(description="the bundle's hash; no other model may add or search")
    matcher: str
    height: int = Field(gt=0)
    width: int = Field(gt=0)
    created: str = Field(description="UTC, ISO 8601")
    vireid: str
    sources: tuple[Source, ...] = ()

    def with_source(self, source: Source | None) -> Header:
        """The header that also names `source`, once."""
        if source is None or source in self.sources:
            return self
        return self.model_copy(update={"sources": (*self.sources, source)})


def new_header(bundle: Bundle) -> Header:
    """The header of a gallery for this model."""
    return Header(
        format=1,
        method=bundle.name,
        bundle=str(bundle.path.absolute()),
        digest=bundle.digest,
        matcher=bundle.matcher().name,
        height=bundle.preprocessing.height,
        width=bundle.preprocessing.width,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        vireid=__version__,
    )


def read_header(path: Path) -> Header | None:
    """The header of the gallery at `path`, None where there is nothing yet.

    Raises:
        GalleryError: the header is damaged or of another version, or something else lies there.
    """
    file = path / HEADER
    if file.is_file():
        try:
            return parse(Header, json.loads(file.read_text(encoding="utf-8")), where=str(file))
        except (json.JSONDecodeError, UnicodeDecodeError, RecipeError) as error:
            raise GalleryError(f"{file} is damaged or of another version: {error}") from None
    if path.exists() and (not path.is_dir() or any(entry.name != _LOCK for entry in path.iterdir())):
        raise GalleryError(f"{path} exists and is no gallery (no {HEADER}); name a new folder for the gallery")
    return None


def write_header(path: Path, header: Header) -> None:
    """Write the header of the gallery at `path` by rename."""
    write_json(path / HEADER, header.model_dump(mode="json"))


def refuse_other_model(path: Path, header: Header, bundle: Bundle) -> None:
    """Refuse a model that is not the gallery's.

    Raises:
        GalleryError: names both models and the commands that build a gallery for this one.
    """
    if bundle.digest == header.digest:
        return
    new = path.with_name(f"{path.name}-{bundle.digest[:8]}")
    sources = header.sources or (Source(folder="FOLDER", modality="visible|infrared"),)
    commands = [_index_command(source, bundle, new) for source in sources]
    raise GalleryError(
        f"gallery {path} was built with model {header.digest[:12]} ({header.bundle}) and cannot be used with model "
        f"{bundle.digest[:12]} ({bundle.path}); their vectors do not compare. Build one for this model with:\n  "
        + "\n  ".join(commands)
    )


@contextmanager
def writer(path: Path) -> Iterator[None]:
    """Hold the right to write the gallery at `path`; nothing is left there if no gallery came of it.

    Raises:
        GalleryError: another process holds it, or the folder cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GalleryError(f"{path} cannot be written: {error.strerror}") from error
    lock = FileLock(path / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise GalleryError(
            f"gallery {path} is being written by another process; run again when that has ended"
        ) from None
    try:
        yield
    finally:
        if not (path / HEADER).exists():
            _remove_if_empty(path)
        lock.release()


def _remove_if_empty(path: Path) -> None:
    if {entry.name for entry in path.iterdir()} <= {_LOCK}:
        (path / _LOCK).unlink(missing_ok=True)
        path.rmdir()


def _index_command(source: Source, bundle: Bundle, out: Path) -> str:
    words = ["vireid", "index", source.folder, "--modality", source.modality, "--bundle", str(bundle.path)]
    if source.camera is not None:
        words += ["--camera", str(source.camera)]
    return shlex.join([*words, "--out", str(out)])
