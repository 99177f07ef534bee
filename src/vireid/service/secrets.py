"""Two secrets in files that only the service's user can read: never in the database, never in an answer."""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

from vireid.errors import UsageError

__all__ = ["Secrets"]

_LENGTH = 32


class Secrets:
    """The key that signs heads of the audit, and the one that makes pseudonyms; made when first needed.

    Raises:
        UsageError: a file is there and is no secret of 32 bytes, or cannot be written or read.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._signing = _read_or_make(folder / "audit-signing.key")
        self._pseudonyms = _read_or_make(folder / "pseudonyms.key")

    def signature(self, text: str) -> str:
        """HMAC-SHA-256 (hex) of a text."""
        return hmac.digest(self._signing, text.encode(), hashlib.sha256).hex()

    def pseudonym(self, kind: str, name: str) -> str:
        """What stands for a key, a person or a picture in the audit: the same for the same, and not to be undone
        without the secret.
        """
        return hmac.digest(self._pseudonyms, f"{kind}:{name}".encode(), hashlib.sha256).hex()[:32]


def _read_or_make(file: Path) -> bytes:
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        secret = file.read_bytes()
        if len(secret) != _LENGTH:
            raise UsageError(f"{file} is no secret of {_LENGTH} bytes; restore it from the backup") from None
        return secret
    with os.fdopen(handle, "wb") as stream:
        secret = os.urandom(_LENGTH)
        stream.write(secret)
        stream.flush()
        os.fsync(stream.fileno())
    return secret
