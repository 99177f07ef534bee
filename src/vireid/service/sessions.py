"""Who is signed in to the console: in memory alone, so that a restart signs everybody out."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from vireid.service import settings

__all__ = ["Session", "Sessions"]

_MOST = 1000  # of all keys
_MOST_OF_A_KEY = 20


@dataclass
class Session:
    """One browser of one key. form: the token that each of its forms carries. seen: when it last asked."""

    key: str
    begun: datetime
    seen: datetime
    form: str = field(default_factory=lambda: secrets.token_urlsafe(32))


class Sessions:
    """Sessions by the SHA-256 of the token that the browser holds. now: the clock."""

    def __init__(self, limits: settings.Sessions, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._idle = timedelta(minutes=limits.idle_minutes)
        self._life = timedelta(hours=limits.hours)
        self._now = now
        self._turn = threading.Lock()
        self._sessions: dict[str, Session] = {}

    def begin(self, key: str) -> str:
        """Begin a session of this key (its id) and return the token. Where there are too many, the oldest ends."""
        token, now = secrets.token_urlsafe(32), self._now()
        with self._turn:
            self._forget_ended(now)
            own = [name for name, session in self._sessions.items() if session.key == key]
            if len(own) >= _MOST_OF_A_KEY:
                del self._sessions[own[0]]
            elif len(self._sessions) >= _MOST:
                del self._sessions[next(iter(self._sessions))]
            self._sessions[_digest(token)] = Session(key, now, now)
        return token

    def find(self, token: str) -> Session | None:
        """The session of a token, which is thereby seen; None where there is none, or it has ended."""
        now = self._now()
        with self._turn:
            self._forget_ended(now)
            found = self._sessions.get(_digest(token))
            if found is not None:
                found.seen = now
            return found

    def end(self, token: str) -> None:
        with self._turn:
            self._sessions.pop(_digest(token), None)

    def _forget_ended(self, now: datetime) -> None:
        ended = [
            name
            for name, session in self._sessions.items()
            if now >= session.begun + self._life or now >= session.seen + self._idle
        ]
        for name in ended:
            del self._sessions[name]


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()
