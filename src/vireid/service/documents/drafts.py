"""Impact assessment and records of processing as Markdown: what software knows is filled in, the rest is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from vireid import __version__
from vireid.errors import BundleError
from vireid.methods.bundle import Bundle
from vireid.service.declaration import admissible
from vireid.service.settings import Settings
from vireid.service.state import Database, GalleryRow, ImageRow, Key

__all__ = ["DOCUMENTS", "drafts"]

DOCUMENTS: Mapping[str, str] = {
    "impact-assessment.md": "data protection impact assessment (GDPR Art. 35, AI Act Art. 27)",
    "records-of-processing.md": "records of processing activities (GDPR Art. 30)",
}
"""File name -> what it is a draft of. Each has a template of the same name, with `.jinja` behind."""


def drafts(settings: Settings, database: Database) -> dict[str, str]:
    """File name -> Markdown of every document, as the service is configured and filled now."""
    environment = Environment(
        loader=PackageLoader("vireid.service.documents", "."),
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["line"] = _line
    facts = _facts(settings, database)
    return {name: environment.get_template(f"{name}.jinja").render(facts) for name in DOCUMENTS}


def _facts(settings: Settings, database: Database) -> dict[str, Any]:
    now = datetime.now(UTC)
    with database.read() as session:
        galleries = [_gallery(session, row) for row in session.scalars(select(GalleryRow).order_by(GalleryRow.id))]
        in_force = select(Key).where(Key.revoked.is_(None), Key.expires > now).order_by(Key.holder, Key.id)
        keys = list(session.scalars(in_force))
    return {
        "date": now.date().isoformat(),
        "version": __version__,
        "settings": settings,
        "galleries": galleries,
        "models": [_model(name, settings) for name in settings.bundles],
        "roles": sorted(Counter(key.role for key in keys).items()),
        "holders": sorted({key.holder for key in keys}),
        "exporters": sorted({key.holder for key in keys if key.exports}),
    }


def _gallery(session: Session, row: GalleryRow) -> dict[str, Any]:
    counted = (
        select(ImageRow.modality, func.count(), func.count(ImageRow.camera.distinct()))
        .where(ImageRow.gallery == row.id)
        .group_by(ImageRow.modality)
        .order_by(ImageRow.modality)
    )
    return {
        "id": row.id,
        "bundle": row.bundle,
        "restricted": row.restricted,
        "retention_days": row.retention_days,
        "search_retention_days": row.search_retention_days,
        "counts": [{"modality": kind, "pictures": n, "cameras": c} for kind, n, c in session.execute(counted)],
        "purposes": admissible(session, row.id),
    }


def _model(name: str, settings: Settings) -> dict[str, Any]:
    """What the model's card says; a model that cannot be opened is named with why."""
    try:
        bundle = Bundle.open(settings.bundles[name])
        calibrated = bundle.calibration() is not None
    except BundleError as error:
        return {"name": name, "problem": str(error)}
    return {"name": name, "method": bundle.method_name, "card": bundle.card, "calibrated": calibrated, "problem": ""}


def _line(text: object) -> str:
    """What people typed, on one line of a table or list, with no meaning in Markdown."""
    plain = " ".join(str(text).split())
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>|#" else sign for sign in plain)
