"""Signed heads of the chain, outside the database: a file of one JSON line each, only ever appended to."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from vireid.service.audit.chain import BEGINNING, canonical
from vireid.service.secrets import Secrets

__all__ = ["Anchor", "Anchors"]

_TAIL = 4096  # bytes that hold the last line


@dataclass(frozen=True)
class Anchor:
    """A head of the chain at a time: the number and hash of the last entry.

    previous: the signature of the anchor before it. signature: HMAC-SHA-256 of all the rest.
    """

    number: int
    hash: str
    at: str
    previous: str
    signature: str = ""

    def text(self) -> str:
        """What is signed."""
        return canonical([self.number, self.hash, self.at, self.previous])


class Anchors:
    """The file of anchors. `lock` keeps several processes from appending at once."""

    def __init__(self, file: Path, secrets: Secrets) -> None:
        self.file = file
        file.parent.mkdir(parents=True, exist_ok=True)
        self.lock = FileLock(file.with_name(f".{file.name}.lock"))
        self._secrets = secrets

    def append(self, number: int, hash_: str) -> Anchor:
        """Anchor a head; it is on the disk on return."""
        last = self.last()
        bare = Anchor(number, hash_, datetime.now(UTC).isoformat(), last.signature if last else BEGINNING)
        anchor = Anchor(**{**asdict(bare), "signature": self._secrets.signature(bare.text())})
        with self.file.open("ab", buffering=0) as stream:
            size = stream.seek(0, os.SEEK_END)
            line = (json.dumps(asdict(anchor)) + "\n").encode()
            try:
                if stream.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.file))
                os.fsync(stream.fileno())
            except OSError:
                stream.truncate(size)  # half a line would look like tampering
                raise
        return anchor

    def last(self) -> Anchor | None:
        """The newest anchor that can be read."""
        if not self.file.is_file():
            return None
        with self.file.open("rb") as stream:
            stream.seek(max(0, self.file.stat().st_size - _TAIL))
            lines = stream.read().splitlines()
        return next((anchor for anchor in map(_parse, reversed(lines)) if anchor), None)

    def read(self) -> Iterator[Anchor | None]:
        """All anchors, oldest first; None for a line that is none."""
        if self.file.is_file():
            with self.file.open("rb") as stream:
                for line in stream:
                    yield _parse(line)

    def signed(self, anchor: Anchor) -> bool:
        """Whether we signed it."""
        return self._secrets.signature(anchor.text()) == anchor.signature


def _parse(line: bytes) -> Anchor | None:
    try:
        return Anchor(**json.loads(line))
    except (ValueError, TypeError):
        return None
