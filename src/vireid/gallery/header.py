"""What a gallery says of itself: the model it is bound to, and what was indexed."""

from __future__ import annotations

import json
import secrets
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout
from pydantic import Field

from vireid import __version__
from vireid.errors import GalleryError, RecipeError, UsageError
from vireid.files import write_json
from vireid.methods.bundle import Bundle
from vireid.options import Options, parse

if TYPE_CHECKING:
    from vireid.methods.encoder import Encoder

__all__ = [
    "HEADER",
    "Collection",
    "Header",
    "Source",
    "new_header",
    "read_header",
    "refuse_other_encoder",
    "refuse_other_model",
    "refuse_other_place",
    "write_header",
    "writer",
]

HEADER, _LOCK = "gallery.json", ".lock"


class Source(Options):
    """A folder that was indexed, with what was said of it."""

    folder: str
    modality: str
    camera: int | str | None = None


class Collection(Options):
    """Where the entries lie that are not in the gallery's own folder."""

    uri: str = Field(description="of the Milvus server")
    name: str = Field(description="of the collection there")


class Header(Options):
    """Contents of `gallery.json`."""

    format: int = Field(4, ge=4, le=4)
    method: str
    bundle: str = Field(description="where the bundle lay when the gallery was built")
    digest: str = Field(description="the bundle's hash; no other model may add or search")
    matcher: str
    restricted: bool = Field(False, description="contact sheets leave the pictures out unless told otherwise")
    store: str = Field("store", description="folder, below the gallery's, of what the store keeps")
    milvus: Collection | None = Field(None, description="where the entries lie; None: in the gallery's folder")
    created: str = Field(description="UTC, ISO 8601")
    vireid: str
    sources: tuple[Source, ...] = ()

    def with_source(self, source: Source | None, *, restricted: bool) -> Header:
        """The header that also names `source`, once; a mark as restricted stays."""
        sources = self.sources if source is None or source in self.sources else (*self.sources, source)
        return self.model_copy(update={"sources": sources, "restricted": self.restricted or restricted})


def new_header(bundle: Bundle, *, milvus: str | None = None) -> Header:
    """The header of a gallery for this model, in its folder or on the Milvus server with this address."""
    return Header(
        format=4,
        method=bundle.method_name,
        bundle=str(bundle.path.absolute()),
        digest=bundle.digest,
        matcher=bundle.matcher().name,
        milvus=None if milvus is None else Collection(uri=milvus, name=f"vireid_{secrets.token_hex(8)}"),
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


def refuse_other_encoder(encoder: Encoder, digest: str) -> None:
    """Refuse an encoder that is not of the model with this hash.

    Raises:
        UsageError: names both models.
    """
    if encoder.digest != digest:
        raise UsageError(
            f"the encoder is of model {encoder.digest[:12] or '(none: a method in training)'}, the gallery of model "
            f"{digest[:12]}; their vectors do not compare. Give the encoder of the gallery's bundle"
        )


def refuse_other_place(path: Path, header: Header, milvus: str | None) -> None:
    """Refuse a server that is not the gallery's.

    Raises:
        GalleryError: names where the gallery's entries lie.
    """
    if milvus is not None and (header.milvus is None or header.milvus.uri != milvus):
        place = f"on the Milvus server {header.milvus.uri}" if header.milvus else "in its folder"
        raise GalleryError(f"gallery {path} keeps its entries {place}, not at {milvus}; leave that out, or build anew")


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
