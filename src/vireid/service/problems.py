"""What the service answers when something is wrong: RFC 9457 problem details, with codes that stay."""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping

from sqlalchemy.exc import DBAPIError, OperationalError
from starlette.responses import Response

from vireid.errors import BundleError, DataError, GalleryError, ImageError, MissingExtraError, UsageError, VireidError

__all__ = ["CODES", "Problem", "problem_of", "problem_of_machine", "problem_response"]

_FULL = ("No space left on device", "database or disk is full")  # as Lance and SQLite say it

CODES: Mapping[str, tuple[int, str]] = {
    "no-key": (401, "A key is needed"),
    "key-not-accepted": (401, "The key is unknown, expired or revoked"),
    "no-session": (401, "Nobody is signed in"),
    "not-allowed": (403, "This key may not do that"),
    "purpose-not-admissible": (403, "The purpose is not in the gallery's register"),
    "authorisation-expired": (403, "The authorisation has expired"),
    "pictures-restricted": (403, "The pictures of this gallery may not be shown"),
    "form-refused": (403, "The form is not one that this session was shown"),
    "not-found": (404, "There is no such thing, or this key may not know of it"),
    "method-not-allowed": (405, "This path does not answer that method"),
    "exists": (409, "It exists already"),
    "in-progress": (409, "The first request with this idempotency key is still being answered"),
    "migrating": (409, "The gallery is getting another model and takes no changes until that is done"),
    "not-calibrated": (409, "Nobody measured what this model's scores mean for these modalities"),
    "gallery-empty": (409, "The gallery holds no picture"),
    "not-explainable": (409, "What matched cannot be shown"),
    "own-key": (409, "A key does not revoke itself"),
    "too-large": (413, "More bytes than are allowed here"),
    "unreadable-picture": (422, "The picture cannot be read"),
    "unreadable-archive": (422, "The archive cannot be read"),
    "invalid": (422, "A value is missing or not allowed"),
    "idempotency-key-reused": (422, "The idempotency key belongs to another request"),
    "rate-limited": (429, "Too many requests"),
    "quota-exhausted": (429, "The key's searches of a day are used up"),
    "disk-full": (507, "There is no room left on the disk"),
    "internal": (500, "Something went wrong here"),
    "model-refused": (503, "The gallery's model cannot be used"),
    "database-away": (503, "The database does not answer"),
    "stopping": (503, "The service is being stopped"),
}
"""Code -> status and title. Codes keep their meaning for good; docs/service.md lists them."""


class Problem(Exception):  # noqa: N818 (a problem in the words of RFC 9457)
    """Ends a request with one of `CODES`.

    detail: what was wrong with this request, and what to do. headers: of the answer.
    """

    def __init__(self, code: str, detail: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail or CODES[code][1])
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})

    @property
    def status(self) -> int:
        return CODES[self.code][0]


def problem_of(error: VireidError) -> Problem:
    """The one place where errors of vireid become answers. What may name paths of this machine is not repeated."""
    if isinstance(error, ImageError):
        return Problem("unreadable-picture", _without_size(str(error)))
    if isinstance(error, UsageError):
        return Problem("invalid", str(error))
    if isinstance(error, DataError):
        return Problem("unreadable-picture")
    if isinstance(error, GalleryError | BundleError | MissingExtraError):
        return Problem("model-refused", "the log of the service says why")
    return Problem("internal", "the log of the service says why")


def problem_of_machine(error: BaseException) -> Problem:
    """What an error that nobody expected comes to: a full disk and a database that is away pass, the rest is ours."""
    text = str(error)
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or any(sign in text for sign in _FULL):
        return Problem("disk-full", "nothing of this request is kept unless it is there afterwards; ask again later")
    if isinstance(error, DBAPIError) and (error.connection_invalidated or isinstance(error, OperationalError)):
        return Problem("database-away", "ask again in a moment", headers={"Retry-After": "5"})
    return Problem("internal")


def problem_response(problem: Problem, *, request: str) -> Response:
    """The answer, as `application/problem+json`; `request` is the request's id."""
    status, title = CODES[problem.code]
    body = {
        "type": f"urn:vireid:problem:{problem.code}",
        "code": problem.code,
        "title": title,
        "status": status,
        **({"detail": problem.detail} if problem.detail else {}),
        "request": request,
    }
    headers = problem.headers | ({"WWW-Authenticate": "Bearer"} if status == 401 else {})
    return Response(json.dumps(body), status, headers, media_type="application/problem+json")


def _without_size(text: str) -> str:
    """Pictures that came as bytes are named by their number: `<123 bytes>: ...`."""
    return text.split(" bytes>: ", 1)[-1]
