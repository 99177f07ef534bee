"""What the auditor sees."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from vireid.service.console.forms import pages
from vireid.service.console.rendering import rendered
from vireid.service.rights import CONSOLE
from vireid.service.routes import audit as interface
from vireid.service.routes.asked import After, TheCaller, TheCore

__all__ = ["router"]

router = pages()
_AT_ONCE = 50


@router.get(f"{CONSOLE}/audit")
def entries(
    request: Request,
    core: TheCore,
    caller: TheCaller,
    action: Annotated[str, Query(pattern=r"^[a-z.-]{0,40}$")] = "",
    after: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
) -> Response:
    found = interface.entries(core, caller, None, action or None, after, _AT_ONCE, newest_first=True)
    entry, anchored = core.ledger.unanchored()
    return rendered(request.scope, "audit.html", entries=found, action=action, anchored=entry == anchored)


@router.get(f"{CONSOLE}/audit/verification")
def verification(request: Request, core: TheCore) -> Response:
    return rendered(request.scope, "audit_verification.html", found=interface.verification(core))


@router.get(f"{CONSOLE}/audit/counts")
def counts(
    request: Request, core: TheCore, caller: TheCaller, year: Annotated[int | None, Query(ge=2000, le=9999)] = None
) -> Response:
    chosen = year or datetime.now(UTC).year
    return rendered(request.scope, "audit_counts.html", year=chosen, counts=interface.counts(core, caller, chosen))


@router.get(f"{CONSOLE}/audit/alarms")
def alarms(request: Request, core: TheCore, caller: TheCaller, after: After = None) -> Response:
    return rendered(request.scope, "audit_alarms.html", alarms=interface.alarms(core, caller, after))
