"""What the auditor sees."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Query, Request
from sqlalchemy import func, select
from starlette.responses import Response

from vireid.service.console.forms import pages
from vireid.service.console.rendering import rendered
from vireid.service.core import Core
from vireid.service.rights import CONSOLE
from vireid.service.routes import audit as interface
from vireid.service.routes.asked import After, TheCaller, TheCore
from vireid.service.state import AuditEntry

__all__ = ["router"]

router = pages()
_AT_ONCE = 50


@router.get(f"{CONSOLE}/audit")
def entries(
    request: Request,
    core: TheCore,
    caller: TheCaller,
    action: Annotated[str, Query(pattern=r"^[a-z.-]{0,40}$")] = "",
    after: Annotated[int | None, Query(ge=0, le=2**31 - 1)] = None,
) -> Response:
    """The newest entries, unless it is said from where."""
    begin = after if after is not None else 0 if action else max(0, _last(core) - _AT_ONCE)
    found = interface.entries(core, caller, None, action or None, begin, _AT_ONCE)
    entry, anchored = core.ledger.unanchored()
    return rendered(
        request.scope,
        "audit.html",
        entries=found,
        action=action,
        before=max(0, begin - _AT_ONCE) if begin and not action else None,
        anchored=entry == anchored,
    )


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


def _last(core: Core) -> int:
    with core.database.read() as session:
        return session.scalar(select(func.max(AuditEntry.number))) or 0
