"""Same person or not: what people said of a result, and when that counts as confirmed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from vireid.service.keys import Caller
from vireid.service.problems import Problem
from vireid.service.state import ImageRow, Mark, Search

__all__ = ["Standing", "Verdict", "confirmed_pairs", "mark", "marks_of", "said_by", "standing"]

_NEEDED = 2


class Verdict(StrEnum):
    """What one person says."""

    SAME = "same"
    DIFFERENT = "different"


class Standing(StrEnum):
    """What the marks of a result come to: `confirmed` takes two different people, and nobody who disagrees."""

    OPEN = "open"
    SECOND_PERSON_NEEDED = "second-person-needed"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    DISPUTED = "disputed"


def standing(marks: Iterable[Mark]) -> Standing:
    """The standing of one result."""
    people: dict[str, set[str]] = {verdict: set() for verdict in Verdict}
    for one in marks:
        people[one.verdict].add(_person(one.holder))
    same, different = len(people[Verdict.SAME]), len(people[Verdict.DIFFERENT])
    if same and different:
        return Standing.DISPUTED
    if different:
        return Standing.REJECTED
    if same >= _NEEDED:
        return Standing.CONFIRMED
    return Standing.SECOND_PERSON_NEEDED if same else Standing.OPEN


def said_by(caller: Caller, marks: Iterable[Mark]) -> Verdict | None:
    """What the person who holds the key said of one result."""
    own = [Verdict(one.verdict) for one in marks if _person(one.holder) == _person(caller.holder)]
    return own[-1] if own else None


def mark(session: Session, search: Search, image: str, verdict: Verdict, *, by: Caller) -> Standing:
    """Keep what the key's holder says; who says it again changes his mind. Returns the result's standing.

    Raises:
        Problem: the picture is no result of this search.
    """
    if image not in {result["image"] for result in search.results}:
        raise Problem("not-found", "that picture is no result of this search")
    session.merge(Mark(search=search.id, image=image, holder=by.holder, verdict=str(verdict), at=datetime.now(UTC)))
    session.flush()
    return standing(marks_of(session, search).get(image, []))


def marks_of(session: Session, search: Search) -> dict[str, list[Mark]]:
    """The marks of a search by picture."""
    found: dict[str, list[Mark]] = {}
    for one in session.scalars(select(Mark).where(Mark.search == search.id).order_by(Mark.at)):
        found.setdefault(one.image, []).append(one)
    return found


def confirmed_pairs(session: Session, gallery: str) -> list[tuple[str, str, Standing]]:
    """(search's query picture in the gallery, result, standing) of decided results whose both pictures are there.

    Searches with pictures that were uploaded leave no picture behind and give no pair.
    """
    there = set(session.scalars(select(ImageRow.id).where(ImageRow.gallery == gallery)))
    pairs: list[tuple[str, str, Standing]] = []
    for search in session.scalars(select(Search).where(Search.gallery == gallery).order_by(Search.at, Search.id)):
        if search.image not in there:
            continue
        for image, marks in marks_of(session, search).items():
            if image in there and (state := standing(marks)) in (Standing.CONFIRMED, Standing.REJECTED):
                pairs.append((str(search.image), image, state))
    return pairs


def _person(holder: str) -> str:
    """Spelling of a name does not make another person."""
    return " ".join(holder.casefold().split())
