"""The outermost layer: a request gets an id, a line in the log, its place in the figures, and safe headers."""

from __future__ import annotations

import re
import secrets
import time
from typing import TYPE_CHECKING

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vireid.service.http.answers import answer, in_console
from vireid.service.problems import problem_of_machine

if TYPE_CHECKING:
    from vireid.service.metrics import Metrics

__all__ = ["HEADERS", "PAGE_HEADERS", "Envelope"]

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Of every answer; `PAGE_HEADERS` say otherwise for the console."""

PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",  # without a referrer browsers do not say where a form was shown
}

_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_log = structlog.get_logger("vireid.service.requests")


class Envelope:
    """Wraps all of the service. The log names routes, not paths, and neither keys nor query strings."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request = given if _ID.fullmatch(given) else secrets.token_hex(8)
        state = scope.setdefault("state", {})
        state["request"] = request
        status = 0
        fixed = HEADERS | (PAGE_HEADERS if in_console(scope["path"]) else {}) | {"X-Request-ID": request}

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.update({name: value for name, value in fixed.items() if not _chosen(headers, name)})
            await send(message)

        began = time.monotonic()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request=request)
        try:
            await self.app(scope, receive, sending)
        except ClientDisconnect:
            _log.info("request.cut")
        except Exception as error:
            _log.exception("request.failed")
            if status:
                raise  # the answer has begun; the server cuts the connection
            await answer(problem_of_machine(error), scope)(scope, receive, sending)
        finally:
            seconds = time.monotonic() - began
            route = state.get("route", "(none)")
            self.metrics.request(scope["method"], route, status, seconds)
            caller = state.get("caller")
            _log.info(
                "request",
                method=scope["method"],
                route=route,
                status=status,
                milliseconds=round(1000 * seconds, 1),
                key=caller.key if caller else None,
            )


def _chosen(headers: MutableHeaders, name: str) -> bool:
    """Whether an answer may keep what it says itself: files of the console's look do not change and may be kept."""
    return name == "Cache-Control" and "immutable" in headers.get(name, "")
