"""Which store a gallery has: its own folder, or the server that its header names."""

from __future__ import annotations

from pathlib import Path

from vireid.gallery.header import Header
from vireid.gallery.lance import LanceStore
from vireid.gallery.milvus import MilvusStore
from vireid.gallery.store import GalleryStore

__all__ = ["open_store"]


def open_store(path: Path, header: Header) -> GalleryStore:
    """The store of the gallery at `path`.

    Raises:
        MissingExtraError: its entries are on a Milvus server, and pymilvus is not installed.
        GalleryError: that server cannot be reached.
    """
    if header.milvus is None:
        return LanceStore(path / header.store)
    return MilvusStore(header.milvus.uri, header.milvus.name, folder=path / header.store)
