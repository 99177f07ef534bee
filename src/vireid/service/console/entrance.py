"""In and out: signing in with a key, signing out, and the files of the console's look."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Form, Path, Request
from starlette.responses import RedirectResponse, Response

from vireid.service.console.cookies import same
from vireid.service.console.forms import go, pages
from vireid.service.console.problem_pages import sign_in_page
from vireid.service.console.rendering import STATIC, static_file
from vireid.service.keys import authenticate
from vireid.service.problems import Problem
from vireid.service.rights import CONSOLE, PAGES, SIGN_IN, Right
from vireid.service.routes.asked import TheCaller, TheCore

__all__ = ["router", "signed_in"]

router = APIRouter(include_in_schema=False)
signed_in = pages()


@router.get("/")
def root() -> RedirectResponse:
    return go(CONSOLE)


@router.get(f"{CONSOLE}/static/{{file}}")
def static(file: Annotated[str, Path()]) -> Response:
    if file not in STATIC:
        raise Problem("not-found")
    headers = {"Cache-Control": "private, max-age=31536000, immutable"}  # its address changes with its content
    return Response(static_file(file)[0], headers=headers, media_type=STATIC[file])


@router.get(SIGN_IN)
def show_sign_in(request: Request) -> Response:
    return sign_in_page(request.scope)


@router.post(SIGN_IN)
def sign_in(
    request: Request,
    core: TheCore,
    key: Annotated[str, Form(max_length=200)] = "",
    entrance: Annotated[str, Form(max_length=200)] = "",
    goal: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Begin a session of a key, unless this is not the form that this browser was shown."""
    cookies, scope = request.app.state.cookies, request.scope
    if not same(entrance, cookies.entrance(scope)):
        return sign_in_page(scope, goal=goal, told="This form was old. Try once more; cookies are needed.", status=403)
    if core.stopping:
        raise Problem("stopping", headers={"Retry-After": "10"})
    with core.database.read() as session:
        caller = authenticate(session, key.strip())
    if caller is None:
        return sign_in_page(scope, goal=goal, told="This key is unknown, expired or revoked.", status=401)
    core.sessions.end(cookies.session(scope))  # whoever was signed in here before
    core.ledger.record("session.begin", key=caller.key)
    answer = go(goal if _is_page(goal) else CONSOLE)
    cookies.keep_session(answer, core.sessions.begin(caller.key))
    return answer


@signed_in.get(CONSOLE)
def home(caller: TheCaller) -> RedirectResponse:
    """Where this key's work is: auditors see no picture."""
    return go(f"{CONSOLE}/audit" if caller.may(Right.SEE_AUDIT) else f"{CONSOLE}/galleries")


@signed_in.post(f"{CONSOLE}/sign-out")
def sign_out(request: Request, core: TheCore, caller: TheCaller) -> Response:
    cookies = request.app.state.cookies
    core.sessions.end(cookies.session(request.scope))
    core.ledger.record("session.end", key=caller.key)
    answer = go(SIGN_IN)
    cookies.drop_session(answer)
    answer.headers["Clear-Site-Data"] = '"storage"'  # pictures that the script kept in the browser
    return answer


def _is_page(path: str) -> bool:
    """Whether a path is one of ours: nobody is sent elsewhere."""
    patterns = (re.sub(r"\{\w+\}", "[A-Za-z0-9_-]+", page) for method, page in PAGES if method == "GET")
    return any(re.fullmatch(pattern, path) for pattern in patterns)
