"""Keyed hashes of deleted pictures: enough to refuse them when they come again, too little to know what they were."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vireid.errors import GalleryError
from vireid.files import write_json

__all__ = ["Tombstones"]

_FILE = "deleted.json"
_FORMAT = 1


@dataclass
class Tombstones:
    """HMAC-SHA-256 of the keys of deleted pictures, under a secret of the gallery.

    unfinished: a deletion was begun and not ended, so the store may still hold some of them.
    """

    path: Path
    secret: str
    hashes: set[str]
    unfinished: bool = False

    @classmethod
    def read(cls, path: Path) -> Tombstones:
        """Those of the gallery at `path`; none, with a new secret, where nothing was deleted yet.

        Raises:
            GalleryError: the file is damaged.
        """
        file = path / _FILE
        if not file.exists():
            return cls(path, secrets.token_hex(32), set())
        try:
            held = json.loads(file.read_text(encoding="utf-8"))
            if held["format"] != _FORMAT:
                raise GalleryError(f"{file} is of format {held['format']!r}, known is {_FORMAT}")
            return cls(path, held["secret"], set(held["hashes"]), bool(held["unfinished"]))
        except (ValueError, KeyError, TypeError) as error:
            raise GalleryError(
                f"{file} is damaged ({error!r}); restore it, or remove it to forget what was deleted"
            ) from error

    def __contains__(self, key: str) -> bool:
        return bool(self.hashes) and self.hash(key) in self.hashes

    def hash(self, key: str) -> str:
        """The keyed hash (hex) that stands for a key."""
        return hmac.new(bytes.fromhex(self.secret), key.encode(), hashlib.sha256).hexdigest()

    def begin(self, keys: Iterable[str]) -> list[str]:
        """Note, durably, that these are being deleted; returns their hashes, sorted."""
        hashes = sorted(self.hash(key) for key in keys)
        self.hashes |= set(hashes)
        self.unfinished = True
        self._write()
        return hashes

    def end(self) -> None:
        """Note that the store holds none of them any more."""
        self.unfinished = False
        self._write()

    def lift(self, keys: Iterable[str]) -> None:
        """Forget that these were deleted."""
        lifted = {self.hash(key) for key in keys} & self.hashes if self.hashes else set()
        if lifted:
            self.hashes -= lifted
            self._write()

    def _write(self) -> None:
        write_json(
            self.path / _FILE,
            {
                "format": _FORMAT,
                "secret": self.secret,
                "unfinished": self.unfinished,
                "hashes": sorted(self.hashes),
            },
        )
