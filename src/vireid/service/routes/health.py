"""Is it alive, is it ready, what are its figures, what does it offer, who am I?"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy import func, select
from starlette.responses import JSONResponse, Response

from vireid.service.routes.asked import TheCaller, TheCore
from vireid.service.schemas import Caller
from vireid.service.state import Alarm, Job

__all__ = ["router"]

router = APIRouter(tags=["service"])


@router.get("/health/live", summary="The process answers")
async def live() -> dict[str, str]:
    return {"status": "alive"}


@router.get("/health/ready", summary="Models are loaded and the database answers")
def ready(core: TheCore) -> Response:
    """503 before the models are loaded, without a database, and while the service is being stopped."""
    database = core.database.answers()
    checks = {"models": core.ready, "database": database, "retention": core.retention.sound}
    return JSONResponse({"ready": all(checks.values()), "checks": checks}, 200 if all(checks.values()) else 503)


@router.get("/metrics", summary="Figures for Prometheus", response_class=Response)
def metrics(core: TheCore) -> Response:
    entry, anchored = core.ledger.unanchored()
    figures = core.metrics
    figures.audit_entries.set(entry)
    figures.audit_anchored.set(anchored)
    figures.retention.set(core.retention.sound)
    with core.database.read() as session:
        figures.alarms.set(session.scalar(select(func.count()).select_from(Alarm)) or 0)
        waiting = session.scalar(select(func.count()).select_from(Job).where(Job.ended.is_(None)))
        figures.jobs.set(waiting or 0)
    return Response(figures.text(), media_type="text/plain; version=0.0.4")


@router.get("/v1/openapi.json", summary="This interface, in OpenAPI", include_in_schema=True)
def openapi(request: Request) -> dict[str, Any]:
    found: dict[str, Any] = request.app.openapi()
    return found


@router.get("/v1/me", summary="What this key is")
def me(caller: TheCaller) -> Caller:
    return Caller.model_validate(caller, from_attributes=True)
