"""Why somebody searches: purpose, case, authorisation and its end. Without these there is no search."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from vireid.service.problems import Problem
from vireid.service.settings import NAME
from vireid.service.state import Purpose

__all__ = ["Declaration", "Until", "admissible", "check_declaration"]

_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
Until = Annotated[AwareDatetime, Field(ge=_FIRST, lt=_LAST, examples=["2026-12-31T23:59:59Z"])]


class Declaration(BaseModel):
    """What a search states before it is answered."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    purpose: str = Field(pattern=NAME, description="a purpose of the gallery's register", examples=["missing-person"])
    case: str = Field(min_length=1, max_length=200, description="the case this search belongs to", examples=["2026-17"])
    authorisation: str = Field(
        min_length=1, max_length=200, description="who allowed it: an order, a decision", examples=["court order 4/26"]
    )
    authorised_until: Until = Field(description="when the authorisation ends; searches after that are refused")

    def told(self) -> dict[str, str]:
        """As the audit keeps it."""
        return {
            "purpose": self.purpose,
            "case": self.case,
            "authorisation": self.authorisation,
            "authorised_until": self.authorised_until.isoformat(),
        }


def admissible(session: Session, gallery: str) -> list[Purpose]:
    """The gallery's purposes that were not withdrawn, by name."""
    wanted = select(Purpose).where(Purpose.gallery == gallery, Purpose.withdrawn.is_(None)).order_by(Purpose.name)
    return list(session.scalars(wanted))


def check_declaration(session: Session, gallery: str, declaration: Declaration) -> None:
    """Refuse a search that may not be.

    Raises:
        Problem: the purpose is not in the register, or the authorisation has ended.
    """
    names = [purpose.name for purpose in admissible(session, gallery)]
    if declaration.purpose not in names:
        allowed = ", ".join(names) or "none so far; an admin registers them"
        raise Problem("purpose-not-admissible", f"purpose {declaration.purpose!r} is not in the register ({allowed})")
    if declaration.authorised_until <= datetime.now(UTC):
        raise Problem("authorisation-expired", f"it ended at {declaration.authorised_until.isoformat()}")
