"""Pages from templates, and the words and numbers in them."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse
from starlette.types import Scope

from vireid.matching.calibration import expected_number
from vireid.service.keys import Caller
from vireid.service.marks import Standing
from vireid.service.rights import CONSOLE, Right

__all__ = ["STATIC", "rendered", "static_file"]

STATIC = {"console.css": "text/css", "console.js": "text/javascript"}

_HASH = re.compile(r"[0-9a-f]{16,64}")
_STANDINGS = {
    Standing.OPEN: "nobody has judged it",
    Standing.SECOND_PERSON_NEEDED: "one person says same: a second person must confirm",
    Standing.CONFIRMED: "confirmed by two people",
    Standing.REJECTED: "judged a different person",
    Standing.DISPUTED: "people disagree",
}


def rendered(
    scope: Scope, template: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any
) -> HTMLResponse:
    """A page, with what all pages know: who is signed in and what he may do."""
    state = scope["state"]
    session = state.get("session")
    signed_in: Caller | None = state["caller"] if session else None
    text = (
        _environment()
        .get_template(template)
        .render(
            home=CONSOLE,
            caller=signed_in,
            token=session.form if session else "",
            may={right.name.lower(): signed_in is not None and signed_in.may(right) for right in Right},
            **values,
        )
    )
    return HTMLResponse(text, status, headers)


@cache
def static_file(name: str) -> tuple[bytes, str]:
    """A file of the console's look, and the hash that its address carries.

    Raises:
        TemplateNotFound: there is no such file.
    """
    loader = _environment().loader
    assert loader is not None
    content = loader.get_source(_environment(), name)[0].encode()
    if name == "console.css":  # on top of what the report looks like
        content = loader.get_source(_environment(), "base.css")[0].encode() + content
    return content, hashlib.sha256(content).hexdigest()[:16]


@cache
def _environment() -> Environment:
    own = [PackageLoader("vireid.service.console", folder) for folder in ("templates", "static")]
    environment = Environment(
        loader=ChoiceLoader([*own, PackageLoader("vireid.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "moment": _moment,
        "day": _day,
        "short": _short,
        "times": _times,
        "expected_number": expected_number,
        "standing": lambda value: _STANDINGS[Standing(value)],
    }
    environment.globals["static"] = _static_address
    return environment


def _static_address(name: str) -> str:
    return f"{CONSOLE}/static/{name}?{static_file(name)[1]}"


def _moment(value: datetime | str) -> str:
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _day(value: datetime) -> str:
    return f"{value.astimezone(UTC):%Y-%m-%d}"


def _short(value: Any) -> Any:
    """The beginning of a hash or an id; anything else as it is."""
    return value[:12] if isinstance(value, str) and _HASH.fullmatch(value) else value


def _times(llr: float) -> str:
    """A natural log-likelihood ratio in words."""
    ratio = math.exp(min(abs(llr), 700.0))
    much = "more than a million" if ratio > 1e6 else f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.1f}"
    return f"{much} times likelier if it is {'one person' if llr >= 0 else 'two people'}"
