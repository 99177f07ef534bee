"""Deletion for good: noted before it begins, finished whatever interrupts it, and attested afterwards."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vireid.gallery.store import Filters, GalleryStore
from vireid.gallery.tombstones import Tombstones

__all__ = ["Receipt", "delete_entries", "finish_deletion"]


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What was deleted, without saying whom.

    time: when the deletion was complete, UTC, ISO 8601. deleted, remaining: numbers of pictures. hashes: keyed hashes
    of the deleted pictures (`deleted.json` of the gallery holds the key), against which a picture can be checked.
    """

    gallery: str
    time: str
    deleted: int
    remaining: int
    hashes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def delete_entries(path: Path, store: GalleryStore, filters: Filters) -> Receipt:
    """Delete what matches from the store of the gallery at `path`; the caller holds the right to write."""
    keys = sorted(store.keys(filters))
    hashes: list[str] = []
    if keys:
        # Noted first: a process that is killed on the way must not leave a picture that can come back.
        tombstones = Tombstones.read(path)
        hashes = tombstones.begin(keys)
        store.delete(keys)
        tombstones.end()
    return Receipt(
        gallery=str(path.absolute()),
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        deleted=len(keys),
        remaining=store.count(),
        hashes=tuple(hashes),
    )


def finish_deletion(path: Path, store: GalleryStore) -> None:
    """Finish a deletion that was begun and not ended; the caller holds the right to write."""
    tombstones = Tombstones.read(path)
    if tombstones.unfinished:
        held = store.keys()
        store.delete([key for key in held if key in tombstones])
        store.compact()
        tombstones.end()
