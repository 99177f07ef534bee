"""What pages take from forms: the token that each carries, and values that are checked as the interface checks them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import Any, TypeVar

from fastapi import APIRouter, Depends, Request, UploadFile
from pydantic import BaseModel, ValidationError
from starlette.responses import HTMLResponse, RedirectResponse

from vireid.service.console.cookies import same
from vireid.service.problems import Problem

__all__ = ["chosen_files", "end_of_day", "go", "pages", "validated"]

ModelT = TypeVar("ModelT", bound=BaseModel)


async def _check_token(request: Request) -> None:
    """Refuse a form that was not shown in this session, whatever page sent it.

    Raises:
        Problem: it carries no token, or another one.
    """
    if request.method == "POST":
        given = (await request.form()).get("token")
        if not isinstance(given, str) or not same(given, request.state.session.form):
            raise Problem("form-refused", "go back, load the page anew and send it again")


def pages() -> APIRouter:
    """A router of pages that need a session; every form that it takes has its token checked."""
    return APIRouter(default_response_class=HTMLResponse, include_in_schema=False, dependencies=[Depends(_check_token)])


def go(path: str) -> RedirectResponse:
    """To another page of the console, after something was done."""
    return RedirectResponse(path, 303)


def validated(model: type[ModelT], **values: Any) -> ModelT:
    """Values of a form as the interface's own model.

    Raises:
        Problem: all that is wrong with them.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        told = [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()]
        raise Problem("invalid", "; ".join(told)) from None


def chosen_files(uploads: Sequence[UploadFile]) -> list[UploadFile]:
    """Files without the empty one that browsers send where none was chosen.

    Raises:
        Problem: there are none.
    """
    chosen = [upload for upload in uploads if upload.filename or upload.size]
    if not chosen:
        raise Problem("invalid", "choose a file first")
    return chosen


def end_of_day(text: str) -> datetime | None:
    """The last second of a day (YYYY-MM-DD) in UTC; None where it is no day."""
    try:
        return datetime.combine(date.fromisoformat(text), time(23, 59, 59), UTC)
    except ValueError:
        return None
