"""How a problem is told: to programs as problem details, to people as a page."""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import Scope

from vireid.service.console.problem_pages import problem_page
from vireid.service.problems import Problem, problem_response
from vireid.service.rights import CONSOLE

__all__ = ["answer", "in_console"]


def in_console(path: str) -> bool:
    """Whether a path is one of the console's."""
    return path == CONSOLE or path.startswith(f"{CONSOLE}/")


def answer(problem: Problem, scope: Scope) -> Response:
    """The problem, as whoever asked can read it."""
    if in_console(scope["path"]):
        return problem_page(problem, scope)
    return problem_response(problem, request=scope["state"]["request"])
