"""Before a byte of a body is read: is there a key, may it do this here, is it too often, is it too much?"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vireid.service.http.answers import answer, in_console
from vireid.service.http.replays import Replays
from vireid.service.keys import Caller, authenticate, caller_of
from vireid.service.problems import Problem
from vireid.service.rights import OPEN, OPEN_PAGES, PAGES, RULES, SIGN_IN, Body, Rule

if TYPE_CHECKING:
    from vireid.service.core import Core

__all__ = ["Guard"]

_PATHS = [
    (method, path, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)))
    for method, path in (*OPEN, *OPEN_PAGES, *RULES, *PAGES)
]
_THREADS = 8  # of its own, so that slow requests do not keep others from being recognised


class _TooLarge(Exception):  # noqa: N818
    """Ends the reading of a body."""


class Guard:
    """Lets a request pass, with its `Caller` in the scope's state, or answers why not.

    A key opens the interface, a session opens the console, and neither opens the other: what a browser sends by itself
    does nothing but what pages of the console can do, each of whose forms carries a token.
    """

    def __init__(self, app: ASGIApp, *, core: Core) -> None:
        self.app = app
        self.core = core
        limits = core.settings.limits
        self._rates = MovingWindowRateLimiter(MemoryStorage())
        self._of_key = RateLimitItemPerMinute(limits.requests_per_minute)
        self._of_address = RateLimitItemPerMinute(limits.failures_per_minute)
        self._bytes = {
            Body.NOTHING: 0,
            Body.JSON: limits.json_bytes,
            Body.FORM: limits.json_bytes,
            Body.PICTURES: limits.pictures_bytes,
            Body.ARCHIVE: limits.archive_bytes,
        }
        self._replays = Replays(core.database)
        self._threads = anyio.CapacityLimiter(_THREADS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            await self._pass(scope, receive, send)
        except Problem as problem:
            await answer(problem, scope)(scope, receive, send)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, found = _route(scope["method"], scope["path"])
        if (scope["method"], path) in OPEN:
            scope["state"]["route"] = path
            await _limited(self.app, 0, scope, receive, send)
            return
        headers = Headers(scope=scope)
        if in_console(scope["path"]):
            _refuse_strange_forms(scope["method"], headers)
        if (scope["method"], path) in OPEN_PAGES:
            scope["state"]["route"] = path
            counted = self._counting_failures(scope, send) if (scope["method"], path) == ("POST", SIGN_IN) else send
            await _limited(self.app, self._bytes[OPEN_PAGES[scope["method"], str(path)]], scope, receive, counted)
            return
        if in_console(scope["path"]):
            caller = await self._signed_in(scope)
        else:
            caller = await self._recognise(headers, scope)
        scope["state"]["caller"] = caller
        if path is None:
            raise Problem("method-not-allowed" if found else "not-found")
        scope["state"]["route"] = path
        rule = RULES.get((scope["method"], path)) or PAGES[scope["method"], path]
        if not self._rates.hit(self._of_key, "key", caller.key):
            raise Problem("rate-limited", "wait a minute", headers={"Retry-After": "60"})
        _check_rights(rule, caller, found.get("gallery"))
        if self.core.stopping:
            raise Problem("stopping", headers={"Retry-After": "10"})
        app, name = self.app, headers.get("idempotency-key")
        if name is not None:
            if not rule.repeatable:
                raise Problem("invalid", "this request takes no idempotency key")
            app = partial(self._replays.answer, self.app, key=caller.key, name=name, body=rule.body)
        await _limited(app, self._bytes[rule.body], scope, receive, send)

    async def _recognise(self, headers: Headers, scope: Scope) -> Caller:
        """The caller, by `Authorization: Bearer KEY`.

        Raises:
            Problem: no key, one that is not accepted, or too many of those from this address.
        """
        address = self._address(scope)
        scheme, _, text = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not text:
            self._rates.hit(self._of_address, "address", address)
            raise Problem("no-key", "send the header `Authorization: Bearer KEY`")
        caller = await anyio.to_thread.run_sync(self._authenticate, text.strip(), limiter=self._threads)
        if caller is None:
            self._rates.hit(self._of_address, "address", address)
            raise Problem("key-not-accepted")
        return caller

    def _address(self, scope: Scope) -> str:
        """Whence a request comes.

        Raises:
            Problem: too many keys from there were not accepted.
        """
        address = scope["client"][0] if scope.get("client") else "unknown"
        if not self._rates.test(self._of_address, "address", address):
            raise Problem("rate-limited", "too many keys were not accepted", headers={"Retry-After": "60"})
        return str(address)

    def _counting_failures(self, scope: Scope, send: Send) -> Send:
        """Count a key that is not accepted when somebody signs in like one that came with a request."""
        address = self._address(scope)

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 401:
                self._rates.hit(self._of_address, "address", address)
            await send(message)

        return sending

    async def _signed_in(self, scope: Scope) -> Caller:
        """The caller, by the session of his browser, which ends with its key.

        Raises:
            Problem: nobody is signed in.
        """
        token = scope["app"].state.cookies.session(scope)
        session = self.core.sessions.find(token) if token else None
        if session is None:
            raise Problem("no-session", "sign in; a session ends by itself after a while without a request")
        caller = await anyio.to_thread.run_sync(self._holder, session.key, limiter=self._threads)
        if caller is None:
            self.core.sessions.end(token)
            raise Problem("no-session", "the key has expired or was revoked, and its session has ended")
        scope["state"]["session"] = session
        return caller

    def _holder(self, key: str) -> Caller | None:
        with self.core.database.read() as session:
            return caller_of(session, key)

    def _authenticate(self, text: str) -> Caller | None:
        with self.core.database.read() as session:
            return authenticate(session, text)


async def _limited(app: ASGIApp, most: int, scope: Scope, receive: Receive, send: Send) -> None:
    """Pass on to the routes, with a body of at most `most` bytes, whatever its header says."""
    problem = Problem("too-large", f"at most {most} bytes are taken here")
    length = Headers(scope=scope).get("content-length", "0")
    if not length.isdecimal() or int(length) > most:
        raise problem
    read, exceeded, begun = 0, False, False

    async def counting() -> Message:
        nonlocal read, exceeded
        message = await receive()
        read += len(message.get("body", b""))
        if read > most:
            exceeded = True
            raise _TooLarge
        return message

    async def sending(message: Message) -> None:
        nonlocal begun
        if exceeded and not begun:  # what the routes made of a body that was cut is not told
            return
        begun = True
        await send(message)

    try:
        await app(scope, counting, sending)
    except _TooLarge:
        if begun:
            raise
    if exceeded and not begun:
        raise problem


def _refuse_strange_forms(method: str, headers: Headers) -> None:
    """Browsers say where a form was shown; the token in each form is looked at besides."""
    if method == "POST" and headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Problem("form-refused", "it was sent from a page of somebody else's")


def _route(method: str, path: str) -> tuple[str | None, dict[str, str]]:
    """The route's path and parameters; (None, parameters) where only other methods are answered, else (None, {})."""
    others: dict[str, str] = {}
    for answered, template, pattern in _PATHS:
        match = pattern.fullmatch(path)
        if match and answered == method:
            return template, match.groupdict()
        if match:
            others = {**match.groupdict(), "path": template}
    return None, others


def _check_rights(rule: Rule, caller: Caller, gallery: str | None) -> None:
    if not caller.may(rule.right):
        raise Problem("not-allowed", f"a key of role {caller.role} does not have the right {rule.right}")
    if gallery is not None and not caller.reaches(gallery):
        raise Problem("not-found")
