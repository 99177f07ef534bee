"""What went wrong, as a page; where nobody is signed in, the form for that."""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import Scope

from vireid.service.console.rendering import rendered
from vireid.service.problems import CODES, Problem

__all__ = ["problem_page", "sign_in_page"]


def problem_page(problem: Problem, scope: Scope) -> Response:
    """The problem in words, with its code and the request's id, under which the log has it."""
    if problem.code == "no-session":
        goal = scope["path"] if scope["method"] == "GET" else ""
        return sign_in_page(scope, goal=goal, told=problem.detail, status=problem.status)
    return rendered(
        scope,
        "problem.html",
        status=problem.status,
        headers=problem.headers,
        title=CODES[problem.code][1],
        detail=problem.detail,
        code=problem.code,
        request=scope["state"]["request"],
    )


def sign_in_page(scope: Scope, *, goal: str = "", told: str = "", status: int = 200) -> Response:
    """The form for signing in. goal: the page to go on to. told: why it is shown."""
    cookies = scope["app"].state.cookies
    token = cookies.entrance(scope)
    answer = rendered(scope, "sign_in.html", status=status, goal=goal, told=told, entrance=token)
    cookies.keep_entrance(answer, token)
    return answer
