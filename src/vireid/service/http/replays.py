"""Idempotency keys: a write that is sent twice, because the answer was lost, is done once and answered twice."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime

import anyio.to_thread
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vireid.service.problems import Problem
from vireid.service.rights import Body
from vireid.service.state import Database, Replay

__all__ = ["Replays"]

_NAME = re.compile(r"[!-~]{1,200}")
_TELLING = ("content-type", "location")


class Replays:
    """Answers that were given to requests with an idempotency key; they are kept for a day. A request whose body did
    not arrive as a whole is forgotten, so that it can be sent again under its key.

    Two requests are the same if method, path and query are, and JSON bodies too. Of other bodies the length is
    compared: a multipart body differs in its boundaries each time it is sent.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._running: set[tuple[str, str]] = set()

    async def answer(
        self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, *, key: str, name: str, body: Body
    ) -> None:
        """Let `app` answer, or say again what it answered.

        Raises:
            Problem: the name belongs to another request, or to one that is still being answered.
        """
        if not _NAME.fullmatch(name):
            raise Problem("invalid", "an idempotency key has 1 to 200 visible ASCII characters")
        text = Headers(scope=scope).get("content-length", "").encode()
        if body is Body.JSON:
            text, receive = await _buffered(receive)
        incoming = _Incoming(receive)
        said = [scope["method"], scope["path"], scope["query_string"].decode("latin-1")]
        request = hashlib.sha256(json.dumps(said).encode() + text).hexdigest()
        before = await anyio.to_thread.run_sync(self._begin, key, name, request)
        if before is not None:
            await _again(before, request)(scope, receive, send)
            return
        try:
            await self._run(app, scope, incoming, send, key=key, name=name)
        finally:
            self._running.discard((key, name))

    async def _run(self, app: ASGIApp, scope: Scope, incoming: _Incoming, send: Send, *, key: str, name: str) -> None:
        try:
            status, messages = await _recorded(app, scope, incoming)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._forget, key, name)
            raise
        try:
            with anyio.CancelScope(shield=True):
                if status < 500 and not incoming.cut:
                    await anyio.to_thread.run_sync(self._keep, key, name, status, _kept(messages))
                else:
                    await anyio.to_thread.run_sync(self._forget, key, name)
        finally:  # what was done is told, also where it could not be kept
            for message in messages:
                await send(message)

    def _begin(self, key: str, name: str, request: str) -> Replay | None:
        new = Replay(key=key, name=name, request=request, status=0, body=b"", at=datetime.now(UTC))
        try:
            with self.database.write() as session:
                found = session.get(Replay, (key, name))
                if found is None or (not found.status and (key, name) not in self._running):
                    session.merge(new)  # also over one whose process or database went away
                    self._running.add((key, name))
                    return None
                return found
        except IntegrityError:  # the other request came a moment earlier
            return new

    def _keep(self, key: str, name: str, status: int, body: bytes) -> None:
        with self.database.write() as session:
            found = session.get(Replay, (key, name))
            if found is not None:
                found.status, found.body = status, body

    def _forget(self, key: str, name: str) -> None:
        with self.database.write() as session:
            session.execute(delete(Replay).where(Replay.key == key, Replay.name == name))


def _again(before: Replay, request: str) -> Response:
    if before.request != request:
        raise Problem("idempotency-key-reused", "use a new one for another request")
    if not before.status:
        raise Problem("in-progress", "ask again in a moment", headers={"Retry-After": "1"})
    headers, body = json.loads(before.body[: before.body.index(b"\n")]), before.body[before.body.index(b"\n") + 1 :]
    return Response(body, before.status, {**headers, "Idempotent-Replay": "true"})


class _Incoming:
    """A body on its way in. cut: its end will never come, so that the answer tells of half a request."""

    def __init__(self, receive: Receive) -> None:
        self.cut = False
        self._receive = receive
        self._whole = False

    async def __call__(self) -> Message:
        try:
            message = await self._receive()
        except BaseException:
            self.cut = not self._whole
            raise
        if message["type"] == "http.request":
            self._whole = not message.get("more_body")
        elif not self._whole:
            self.cut = True
        return message


async def _buffered(receive: Receive) -> tuple[bytes, Receive]:
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    given = False

    async def once() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return body, once


async def _recorded(app: ASGIApp, scope: Scope, receive: Receive) -> tuple[int, list[Message]]:
    """Run `app` and return its status and what it sent: an answer is given once it is kept, so that the same request
    sent right after it finds it.
    """
    messages: list[Message] = []

    async def sending(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, sending)
    return next((message["status"] for message in messages if message["type"] == "http.response.start"), 500), messages


def _kept(messages: Sequence[Message]) -> bytes:
    """In one text, the headers that matter and the body."""
    headers: dict[str, str] = {}
    body = b""
    for message in messages:
        for name, value in message.get("headers", []):
            if name.decode() in _TELLING:
                headers[name.decode()] = value.decode()
        body += message.get("body", b"")
    return json.dumps(headers).encode() + b"\n" + body
