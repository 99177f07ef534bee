"""Who may do what: four roles, their rights, and for every route the right it asks for. All of it is here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["CONSOLE", "OPEN", "OPEN_PAGES", "PAGES", "RIGHTS", "RULES", "SIGN_IN", "Body", "Right", "Role", "Rule"]


class Role(StrEnum):
    """What a key is for. The auditor sees the audit and no picture; nobody else sees the audit."""

    READER = "reader"
    OPERATOR = "operator"
    AUDITOR = "auditor"
    ADMIN = "admin"


class Right(StrEnum):
    """What a route asks for."""

    SEE_GALLERIES = "see-galleries"
    SEE_IMAGES = "see-images"
    SEARCH = "search"
    ADD_IMAGES = "add-images"
    DELETE_IMAGES = "delete-images"
    MANAGE_GALLERIES = "manage-galleries"
    MANAGE_KEYS = "manage-keys"
    SEE_AUDIT = "see-audit"
    SEE_METRICS = "see-metrics"
    EXPORT_MARKS = "export-marks"
    EXPORT_SUBJECTS = "export-subjects"


class Body(StrEnum):
    """What a request may bring; the settings say how many bytes that is."""

    NOTHING = "nothing"
    JSON = "json"
    FORM = "form"
    PICTURES = "pictures"
    ARCHIVE = "archive"


_READER = frozenset({Right.SEE_GALLERIES, Right.SEE_IMAGES, Right.SEARCH})
_OPERATOR = _READER | {Right.ADD_IMAGES, Right.DELETE_IMAGES, Right.SEE_METRICS}

RIGHTS: Mapping[Role, frozenset[Right]] = {
    Role.READER: _READER,
    Role.OPERATOR: _OPERATOR,
    Role.AUDITOR: frozenset({Right.SEE_GALLERIES, Right.SEE_AUDIT, Right.SEE_METRICS}),
    Role.ADMIN: _OPERATOR | {Right.MANAGE_GALLERIES, Right.MANAGE_KEYS, Right.EXPORT_SUBJECTS},
}
"""Export for training is in none of them: it is given to a single key, by name."""


@dataclass(frozen=True)
class Rule:
    """What one route asks for. right: None for any key. repeatable: an idempotency key is accepted."""

    right: Right | None
    body: Body = Body.NOTHING
    repeatable: bool = False


OPEN = frozenset({("GET", "/health/live"), ("GET", "/health/ready")})
"""What answers without a key."""

_GALLERY = "/v1/galleries/{gallery}"

RULES: Mapping[tuple[str, str], Rule] = {
    ("GET", "/metrics"): Rule(Right.SEE_METRICS),
    ("GET", "/v1/openapi.json"): Rule(None),
    ("GET", "/v1/me"): Rule(None),
    ("GET", "/v1/galleries"): Rule(Right.SEE_GALLERIES),
    ("POST", "/v1/galleries"): Rule(Right.MANAGE_GALLERIES, Body.JSON, repeatable=True),
    ("GET", _GALLERY): Rule(Right.SEE_GALLERIES),
    ("PATCH", _GALLERY): Rule(Right.MANAGE_GALLERIES, Body.JSON),
    ("DELETE", _GALLERY): Rule(Right.MANAGE_GALLERIES),
    ("GET", f"{_GALLERY}/purposes"): Rule(Right.SEE_GALLERIES),
    ("POST", f"{_GALLERY}/purposes"): Rule(Right.MANAGE_GALLERIES, Body.JSON, repeatable=True),
    ("DELETE", f"{_GALLERY}/purposes/{{purpose}}"): Rule(Right.MANAGE_GALLERIES),
    ("POST", f"{_GALLERY}/migrations"): Rule(Right.MANAGE_GALLERIES, Body.JSON, repeatable=True),
    ("GET", f"{_GALLERY}/images"): Rule(Right.SEE_IMAGES),
    ("POST", f"{_GALLERY}/images"): Rule(Right.ADD_IMAGES, Body.PICTURES, repeatable=True),
    ("POST", f"{_GALLERY}/archives"): Rule(Right.ADD_IMAGES, Body.ARCHIVE, repeatable=True),
    ("POST", f"{_GALLERY}/imports"): Rule(Right.MANAGE_GALLERIES, Body.JSON, repeatable=True),
    ("GET", f"{_GALLERY}/images/{{image}}"): Rule(Right.SEE_IMAGES),
    ("GET", f"{_GALLERY}/images/{{image}}/picture"): Rule(Right.SEE_IMAGES),
    ("DELETE", f"{_GALLERY}/images/{{image}}"): Rule(Right.DELETE_IMAGES),
    ("POST", f"{_GALLERY}/searches"): Rule(Right.SEARCH, Body.PICTURES),
    ("POST", f"{_GALLERY}/images/{{image}}/searches"): Rule(Right.SEARCH, Body.JSON),
    ("POST", f"{_GALLERY}/verifications"): Rule(Right.SEARCH, Body.PICTURES),
    ("GET", f"{_GALLERY}/searches"): Rule(Right.SEARCH),
    ("GET", f"{_GALLERY}/searches/{{search}}"): Rule(Right.SEARCH),
    ("POST", f"{_GALLERY}/searches/{{search}}/marks"): Rule(Right.SEARCH, Body.JSON, repeatable=True),
    ("POST", f"{_GALLERY}/searches/{{search}}/explanations"): Rule(Right.SEARCH, Body.PICTURES),
    ("GET", f"{_GALLERY}/jobs"): Rule(Right.ADD_IMAGES),
    ("GET", f"{_GALLERY}/jobs/{{job}}"): Rule(Right.ADD_IMAGES),
    ("GET", f"{_GALLERY}/jobs/{{job}}/report"): Rule(Right.ADD_IMAGES),
    ("POST", f"{_GALLERY}/subject-exports"): Rule(Right.EXPORT_SUBJECTS, Body.JSON),
    ("GET", f"{_GALLERY}/training-marks"): Rule(Right.EXPORT_MARKS),
    ("GET", "/v1/keys"): Rule(Right.MANAGE_KEYS),
    ("POST", "/v1/keys"): Rule(Right.MANAGE_KEYS, Body.JSON),
    ("DELETE", "/v1/keys/{key}"): Rule(Right.MANAGE_KEYS),
    ("GET", "/v1/audit"): Rule(Right.SEE_AUDIT),
    ("GET", "/v1/audit/verification"): Rule(Right.SEE_AUDIT),
    ("GET", "/v1/audit/counts"): Rule(Right.SEE_AUDIT),
    ("GET", "/v1/audit/alarms"): Rule(Right.SEE_AUDIT),
}
"""Method and path of every route that needs a key. What is not here is not answered."""


CONSOLE = "/console"
"""Below this, people are recognised by the session of their browser and by nothing else; elsewhere by a key alone."""

SIGN_IN = f"{CONSOLE}/sign-in"

OPEN_PAGES: Mapping[tuple[str, str], Body] = {
    ("GET", "/"): Body.NOTHING,  # leads to the console
    ("GET", SIGN_IN): Body.NOTHING,
    ("POST", SIGN_IN): Body.FORM,
    ("GET", f"{CONSOLE}/static/{{file}}"): Body.NOTHING,
}
"""What of the console answers without a session, and what it may be sent."""


def _like(method: str, path: str, body: Body = Body.NOTHING) -> Rule:
    """A page asks for the right of the route that does the same."""
    return Rule(RULES[method, path].right, body)


_PAGE = f"{CONSOLE}/galleries/{{gallery}}"

PAGES: Mapping[tuple[str, str], Rule] = {
    ("GET", CONSOLE): _like("GET", "/v1/me"),
    ("POST", f"{CONSOLE}/sign-out"): _like("GET", "/v1/me", Body.FORM),
    ("GET", f"{CONSOLE}/galleries"): _like("GET", "/v1/galleries"),
    ("POST", f"{CONSOLE}/galleries"): _like("POST", "/v1/galleries", Body.FORM),
    ("GET", _PAGE): _like("GET", _GALLERY),
    ("POST", f"{_PAGE}/retention"): _like("PATCH", _GALLERY, Body.FORM),
    ("GET", f"{_PAGE}/deletion"): _like("DELETE", _GALLERY),
    ("POST", f"{_PAGE}/deletion"): _like("DELETE", _GALLERY, Body.FORM),
    ("POST", f"{_PAGE}/purposes"): _like("POST", f"{_GALLERY}/purposes", Body.FORM),
    ("POST", f"{_PAGE}/withdrawals"): _like("DELETE", f"{_GALLERY}/purposes/{{purpose}}", Body.FORM),
    ("GET", f"{_PAGE}/images"): _like("GET", f"{_GALLERY}/images"),
    ("POST", f"{_PAGE}/images"): _like("POST", f"{_GALLERY}/images", Body.PICTURES),
    ("POST", f"{_PAGE}/archives"): _like("POST", f"{_GALLERY}/archives", Body.ARCHIVE),
    ("POST", f"{_PAGE}/imports"): _like("POST", f"{_GALLERY}/imports", Body.FORM),
    ("GET", f"{_PAGE}/images/{{image}}"): _like("GET", f"{_GALLERY}/images/{{image}}"),
    ("GET", f"{_PAGE}/images/{{image}}/picture"): _like("GET", f"{_GALLERY}/images/{{image}}/picture"),
    ("GET", f"{_PAGE}/images/{{image}}/deletion"): _like("DELETE", f"{_GALLERY}/images/{{image}}"),
    ("POST", f"{_PAGE}/images/{{image}}/deletion"): _like("DELETE", f"{_GALLERY}/images/{{image}}", Body.FORM),
    ("GET", f"{_PAGE}/images/{{image}}/searches"): _like("POST", f"{_GALLERY}/images/{{image}}/searches"),
    ("POST", f"{_PAGE}/images/{{image}}/searches"): _like("POST", f"{_GALLERY}/images/{{image}}/searches", Body.FORM),
    ("GET", f"{_PAGE}/search"): _like("POST", f"{_GALLERY}/searches"),
    ("GET", f"{_PAGE}/searches"): _like("GET", f"{_GALLERY}/searches"),
    ("POST", f"{_PAGE}/searches"): _like("POST", f"{_GALLERY}/searches", Body.PICTURES),
    ("GET", f"{_PAGE}/searches/{{search}}"): _like("GET", f"{_GALLERY}/searches/{{search}}"),
    ("GET", f"{_PAGE}/searches/{{search}}/hits/{{image}}"): _like("GET", f"{_GALLERY}/searches/{{search}}"),
    ("POST", f"{_PAGE}/searches/{{search}}/marks"): _like("POST", f"{_GALLERY}/searches/{{search}}/marks", Body.FORM),
    ("POST", f"{_PAGE}/searches/{{search}}/hits/{{image}}"): _like(
        "POST", f"{_GALLERY}/searches/{{search}}/explanations", Body.PICTURES
    ),
    ("GET", f"{_PAGE}/jobs"): _like("GET", f"{_GALLERY}/jobs"),
    ("GET", f"{_PAGE}/jobs/{{job}}"): _like("GET", f"{_GALLERY}/jobs/{{job}}"),
    ("GET", f"{CONSOLE}/keys"): _like("GET", "/v1/keys"),
    ("POST", f"{CONSOLE}/keys"): _like("POST", "/v1/keys", Body.FORM),
    ("GET", f"{CONSOLE}/keys/{{key}}/revocation"): _like("DELETE", "/v1/keys/{key}"),
    ("POST", f"{CONSOLE}/keys/{{key}}/revocation"): _like("DELETE", "/v1/keys/{key}", Body.FORM),
    ("GET", f"{CONSOLE}/audit"): _like("GET", "/v1/audit"),
    ("GET", f"{CONSOLE}/audit/verification"): _like("GET", "/v1/audit/verification"),
    ("GET", f"{CONSOLE}/audit/counts"): _like("GET", "/v1/audit/counts"),
    ("GET", f"{CONSOLE}/audit/alarms"): _like("GET", "/v1/audit/alarms"),
}
"""Method and path of every page of the console that needs a session."""
