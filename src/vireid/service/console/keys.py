"""Keys: made, listed, revoked, by admins."""

from __future__ import annotations

from typing import Annotated

from fastapi import Form, Request
from starlette.responses import Response

from vireid.service.console.forms import go, pages, validated
from vireid.service.console.rendering import rendered
from vireid.service.problems import Problem
from vireid.service.rights import CONSOLE, Role
from vireid.service.routes import galleries
from vireid.service.routes import keys as interface
from vireid.service.routes.asked import HexId, TheCaller, TheCore
from vireid.service.schemas import KeyIn, KeyOut

__all__ = ["router"]

router = pages()

Text = Annotated[str, Form()]


@router.get(f"{CONSOLE}/keys")
def show_keys(request: Request, core: TheCore, caller: TheCaller) -> Response:
    return rendered(
        request.scope,
        "keys.html",
        keys=interface.show_keys(core, caller).items,
        roles=list(Role),
        galleries=[gallery.id for gallery in galleries.list_galleries(core, caller).items],
    )


@router.post(f"{CONSOLE}/keys")
def make_key(
    request: Request,
    core: TheCore,
    caller: TheCaller,
    holder: Text = "",
    role: Text = "",
    names: Annotated[list[str] | None, Form()] = None,
    days: Text = "",
) -> Response:
    asked = validated(KeyIn, holder=holder.strip(), role=role, galleries=names or [], days=days)
    return rendered(request.scope, "key_made.html", key=interface.make_key(core, caller, asked), status=201)


@router.get(f"{CONSOLE}/keys/{{key}}/revocation")
def ask_for_revocation(request: Request, core: TheCore, caller: TheCaller, key: HexId) -> Response:
    return rendered(request.scope, "key_revocation.html", key=_key_of(core, caller, key))


@router.post(f"{CONSOLE}/keys/{{key}}/revocation")
def revoke_key(core: TheCore, caller: TheCaller, key: HexId) -> Response:
    interface.revoke_key(core, caller, key)
    return go(f"{CONSOLE}/keys")


def _key_of(core: TheCore, caller: TheCaller, name: str) -> KeyOut:
    found = next((key for key in interface.show_keys(core, caller).items if key.id == name), None)
    if found is None:
        raise Problem("not-found", "there is no such key")
    return found
