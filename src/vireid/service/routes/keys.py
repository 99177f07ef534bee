"""Keys: made, listed, revoked. A secret is told once."""

from __future__ import annotations

from fastapi import APIRouter

from vireid.service.keys import issue, list_keys, revoke
from vireid.service.problems import Problem
from vireid.service.routes.asked import HexId, TheCaller, TheCore
from vireid.service.schemas import KeyIn, KeyNew, KeyOut, Page

__all__ = ["router"]

router = APIRouter(prefix="/v1/keys", tags=["keys"])


@router.get("", summary="The keys within this key's galleries")
def show_keys(core: TheCore, caller: TheCaller) -> Page[KeyOut]:
    with core.database.read() as session:
        return Page(items=[KeyOut.model_validate(key) for key in list_keys(session, by=caller)], next=None)


@router.post("", status_code=201, summary="Make a key")
def make_key(core: TheCore, caller: TheCaller, asked: KeyIn) -> KeyNew:
    """A key gives no more galleries than it has. The answer holds the secret, which cannot be had again."""
    with core.ledger.transaction() as (session, record):
        key, text = issue(
            session,
            holder=asked.holder,
            role=asked.role,
            galleries=asked.galleries,
            days=asked.days,
            exports=asked.exports,
            by=caller,
        )
        record(
            "key.issue",
            key=caller.key,
            target_key=key.id,
            role=key.role,
            galleries=key.galleries,
            exports=key.exports,
        )
        return KeyNew(**KeyOut.model_validate(key).model_dump(), secret=text)


@router.delete("/{key}", summary="Revoke a key for good")
def revoke_key(core: TheCore, caller: TheCaller, key: HexId) -> KeyOut:
    """At once: the next request with it is refused. A key does not revoke itself, so that one is left."""
    if key == caller.key:
        raise Problem("own-key", "let another admin key do it, or the command line")
    with core.ledger.transaction() as (session, record):
        found = revoke(session, key, by=caller)
        if found is None:
            raise Problem("not-found", "there is no such key")
        record("key.revoke", key=caller.key, target_key=key)
        return KeyOut.model_validate(found)
