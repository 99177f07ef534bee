"""The application: routes, their errors, and the two layers around them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from vireid import __version__
from vireid.errors import VireidError
from vireid.service.console import PAGES
from vireid.service.console.cookies import Cookies
from vireid.service.core import Core
from vireid.service.http import Envelope, Guard
from vireid.service.http.answers import answer
from vireid.service.problems import CODES, Problem, problem_of
from vireid.service.routes import ROUTERS
from vireid.service.schemas import WARNING

__all__ = ["create_app"]

_log = structlog.get_logger("vireid.service")
_BY_STATUS = {404: "not-found", 405: "method-not-allowed", 413: "too-large"}
_PROBLEM = {
    "description": "What is wrong, as problem details (RFC 9457) with a stable `code`",
    "content": {
        "application/problem+json": {
            "schema": {
                "type": "object",
                "required": ["type", "code", "title", "status", "request"],
                "properties": {
                    "type": {"type": "string"},
                    "code": {"type": "string", "enum": sorted(CODES)},
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "detail": {"type": "string"},
                    "request": {"type": "string"},
                },
            },
            "example": {
                "type": "urn:vireid:problem:purpose-not-admissible",
                "code": "purpose-not-admissible",
                "title": CODES["purpose-not-admissible"][1],
                "status": 403,
                "detail": "purpose 'curiosity' is not in the register (missing-person)",
                "request": "5b1f0c7e9a3d2468",
            },
        }
    },
}


def create_app(core: Core, *, tls: bool = False) -> FastAPI:
    """The service over HTTP; `core` starts and stops with it. tls: people reach it by https alone."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(core.start)
        yield
        await asyncio.to_thread(core.stop)

    app = FastAPI(
        title="vireid",
        version=__version__,
        description=f"Person search across visible and infrared cameras. {WARNING}",
        lifespan=lifespan,
        docs_url=None,  # the usual pages load scripts from other machines
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        responses={"4XX": _PROBLEM, "5XX": _PROBLEM},
    )
    app.state.core = core
    app.state.cookies = Cookies(secure=tls)
    for router in ROUTERS:
        app.include_router(router)
    for router in PAGES:
        app.include_router(router)
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(VireidError, _on_vireid_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_middleware(Guard, core=core)
    app.add_middleware(Envelope, metrics=core.metrics)  # added last, so outermost
    return app


def _respond(problem: Problem, request: Request) -> Response:
    return answer(problem, request.scope)


def _on_problem(request: Request, error: Any) -> Response:
    return _respond(error, request)


def _on_vireid_error(request: Request, error: Any) -> Response:
    problem = problem_of(error)
    if problem.status >= 500:
        _log.error("request.refused", code=problem.code, error=str(error))
    return _respond(problem, request)


def _on_invalid(request: Request, error: Any) -> Response:
    """All mistakes at once, each with its place; values are not repeated."""
    told = [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()]
    return _respond(Problem("invalid", "; ".join(told)), request)


def _on_http(request: Request, error: Any) -> Response:
    code = _BY_STATUS.get(error.status_code, "invalid" if error.status_code < 500 else "internal")
    return _respond(Problem(code, str(error.detail) if code == "invalid" else ""), request)
