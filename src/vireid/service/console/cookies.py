"""The two cookies of the console: who is signed in, and that a form for signing in was shown here."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Scope

__all__ = ["Cookies", "same"]


@dataclass(frozen=True)
class Cookies:
    """No script reads them, and no page of somebody else's sends them. secure: they travel by https alone."""

    secure: bool

    def session(self, scope: Scope) -> str:
        """The token of the session, empty where there is none."""
        return HTTPConnection(scope).cookies.get(self._name("session"), "")

    def keep_session(self, answer: Response, token: str) -> None:
        """Until the browser is closed; the service ends it earlier."""
        self._set(answer, "session", token)
        answer.delete_cookie(self._name("entrance"), secure=self.secure, httponly=True, samesite="strict")

    def drop_session(self, answer: Response) -> None:
        answer.delete_cookie(self._name("session"), secure=self.secure, httponly=True, samesite="strict")

    def entrance(self, scope: Scope) -> str:
        """The token of the form for signing in, a new one where there is none."""
        return HTTPConnection(scope).cookies.get(self._name("entrance"), "") or secrets.token_urlsafe(32)

    def keep_entrance(self, answer: Response, token: str) -> None:
        self._set(answer, "entrance", token)

    def _set(self, answer: Response, name: str, value: str) -> None:
        answer.set_cookie(self._name(name), value, secure=self.secure, httponly=True, samesite="strict")

    def _name(self, name: str) -> str:
        """With https, a name that browsers let nobody else set: neither another port's service nor a page by http."""
        return f"__Host-vireid-{name}" if self.secure else f"vireid-{name}"


def same(one: str, other: str) -> bool:
    """Whether two tokens are one, in constant time; an empty one is none."""
    return bool(one) and hmac.compare_digest(one.encode(errors="replace"), other.encode(errors="replace"))
