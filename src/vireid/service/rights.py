"""Who may do what: four roles, their rights, and for every route the right it asks for. All of it is here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["OPEN", "RIGHTS", "RULES", "Body", "Right", "Role", "Rule"]


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
