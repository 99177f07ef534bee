"""Keys: 256 random bits, given out once as `id.secret`, kept as SHA-256 and compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from vireid.errors import UsageError, choose
from vireid.service.rights import RIGHTS, Right, Role
from vireid.service.state import Key

__all__ = ["ALL", "Caller", "authenticate", "caller_of", "issue", "list_keys", "revoke"]

ALL = "*"
_DAYS, _MOST_DAYS = 90, 366
_NO_KEY = hashlib.sha256(b"no key").hexdigest()  # compared with where there is none, so that both take the same time


@dataclass(frozen=True)
class Caller:
    """Who asks: what a key stands for. galleries: names, or `*` for all."""

    key: str
    holder: str
    role: Role
    galleries: tuple[str, ...]
    exports: bool

    def may(self, right: Right | None) -> bool:
        """Whether this key has a right (None: any key has it)."""
        if right is Right.EXPORT_MARKS:
            return self.exports
        return right is None or right in RIGHTS[self.role]

    def reaches(self, gallery: str) -> bool:
        """Whether this key was given that gallery."""
        return ALL in self.galleries or gallery in self.galleries

    @property
    def unbounded(self) -> bool:
        return ALL in self.galleries


def issue(
    session: Session,
    *,
    holder: str,
    role: str,
    galleries: Sequence[str] = (ALL,),
    days: int = _DAYS,
    exports: bool = False,
    by: Caller | None = None,
) -> tuple[Key, str]:
    """Make a key and return it with its text, which is nowhere else and cannot be had again.

    holder: the person who answers for what is done with it; confirmations count people, not keys.
    by: the key that asks for it (None: the command line, whose user owns the files anyway).

    Raises:
        UsageError: no holder, an unknown role, no gallery, more days than a year, an auditor who exports, or more than
            the asking key has itself.
    """
    chosen = Role(choose(role, list(Role), "role"))
    if not holder.strip():
        raise UsageError("a key needs a holder: the name of the person who answers for it")
    if not galleries:
        raise UsageError("a key needs galleries; name them, or * for all")
    if not 1 <= days <= _MOST_DAYS:
        raise UsageError(f"a key lives between 1 and {_MOST_DAYS} days, not {days}")
    if exports and chosen is Role.AUDITOR:
        raise UsageError("an auditor's key cannot export marks; give that right to another key")
    if by is not None and not by.unbounded and any(not by.reaches(gallery) for gallery in galleries):
        raise UsageError(f"this key reaches {', '.join(by.galleries)} and cannot give more")
    if exports and by is not None and not by.exports:
        raise UsageError("this key cannot export marks and cannot give that right; `vireid keys create` can")
    now = datetime.now(UTC)
    secret = secrets.token_urlsafe(32)
    key = Key(
        id=secrets.token_hex(8),
        digest=hashlib.sha256(secret.encode()).hexdigest(),
        holder=holder.strip(),
        role=str(chosen),
        galleries=list(galleries),
        exports=exports,
        created=now,
        expires=now + timedelta(days=days),
        revoked=None,
    )
    session.add(key)
    return key, f"{key.id}.{secret}"


def authenticate(session: Session, text: str) -> Caller | None:
    """The caller that this key (`id.secret`) stands for; None where it is unknown, expired or revoked."""
    name, _, secret = text.partition(".")
    key = session.get(Key, name[:32]) if name.isascii() and name.isalnum() else None
    digest = hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()
    same = hmac.compare_digest(digest, key.digest if key else _NO_KEY)
    return caller_of(session, key.id) if key is not None and same else None


def caller_of(session: Session, name: str) -> Caller | None:
    """The caller that the key of this id stands for; None where it is unknown, expired or revoked."""
    key = session.get(Key, name)
    if key is None or key.revoked is not None or key.expires <= datetime.now(UTC):
        return None
    return Caller(
        key=key.id, holder=key.holder, role=Role(key.role), galleries=tuple(key.galleries), exports=key.exports
    )


def list_keys(session: Session, *, by: Caller | None = None) -> list[Key]:
    """Keys in the order they were made; those that reach beyond the asking key's galleries are left out."""
    keys = session.scalars(select(Key).order_by(Key.created, Key.id))
    return [key for key in keys if by is None or by.unbounded or all(by.reaches(name) for name in key.galleries)]


def revoke(session: Session, name: str, *, by: Caller | None = None) -> Key | None:
    """Revoke a key for good; None where there is none, or none that the asking key may know of."""
    found = next((key for key in list_keys(session, by=by) if key.id == name), None)
    if found is not None and found.revoked is None:
        found.revoked = datetime.now(UTC)
    return found
