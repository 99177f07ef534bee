"""Is one key searching for one person again and again? That is following somebody, whatever the cases are called."""

from __future__ import annotations

import secrets
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from vireid.service.settings import Alarms
from vireid.service.state import Alarm, Search

__all__ = ["raise_alarm"]


def raise_alarm(session: Session, search: Search, settings: Alarms) -> Alarm | None:
    """The alarm that this search raises, if any: it is the n-th of its key for one person within the time.

    Two searches are for one person if the cosine of their vectors reaches the limit or their first hit is the same
    picture: vectors of one person's visible and infrared pictures may lie further apart than a model's first hits.
    Searches of another model are never compared. One alarm stands for a whole row of searches; the next comes after as
    many again.
    """
    since = search.at - timedelta(hours=settings.hours)
    before = session.scalars(
        select(Search)
        .where(Search.key == search.key, Search.at > since, Search.id != search.id)
        .order_by(Search.at, Search.id)
    )
    same = [one.id for one in before if _one_person(one, search, settings.similarity)]
    told = session.scalars(select(Alarm).where(Alarm.key == search.key, Alarm.at > since))
    known = {name for alarm in told for name in alarm.searches}
    row = [name for name in same if name not in known] + [search.id]
    if len(row) < settings.searches:
        return None
    alarm = Alarm(id=secrets.token_hex(8), gallery=search.gallery, key=search.key, at=search.at, searches=row)
    session.add(alarm)
    return alarm


def _one_person(one: Search, other: Search, similarity: float) -> bool:
    if one.model != other.model:
        return False
    hits = [search.results[0]["image"] for search in (one, other) if search.results]
    if len(hits) == 2 and hits[0] == hits[1]:
        return True
    vectors = [_vector(search) for search in (one, other)]
    return vectors[0].shape == vectors[1].shape and float(vectors[0] @ vectors[1]) >= similarity


def _vector(search: Search) -> NDArray[np.float32]:
    return np.frombuffer(search.vector, dtype=np.float32)
