"""`vireid keys`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from vireid.cli.output import Json, print_json, print_table, say

app = typer.Typer(name="keys", help="Keys of a service: made, listed, revoked.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="Folder of the service.")]


@app.command("create")
def create(
    folder: Folder,
    holder: Annotated[str, typer.Option(help="Name of the person who answers for what is done with it.")],
    role: Annotated[str, typer.Option(help="reader, operator, auditor or admin.")],
    gallery: Annotated[
        list[str] | None, typer.Option(help="Gallery it is for (default: all); may be repeated.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, help="How long it lives.")] = 90,
    exports: Annotated[bool, typer.Option("--exports", help="It may export marks for training.")] = False,
    as_json: Json = False,
) -> None:
    """Make a key; it is printed once and kept nowhere. A running service accepts it at once.

    Example: vireid keys create service --holder 'A. Person' --role reader --gallery entrance
    """
    from vireid.service.audit.ledger import COMMAND_LINE
    from vireid.service.keys import ALL, issue

    database, ledger = _state(folder)
    with ledger.transaction() as (session, record):
        key, text = issue(session, holder=holder, role=role, galleries=gallery or [ALL], days=days, exports=exports)
        told = {"role": key.role, "galleries": key.galleries, "exports": key.exports}
        record("key.issue", actor=COMMAND_LINE, target_key=key.id, **told)
    database.close()
    if as_json:
        print_json({"id": key.id, "key": text, "expires": key.expires.isoformat(), **told})
        return
    typer.echo(text)
    say(f"key {key.id} of {key.holder}, {key.role}, until {key.expires:%Y-%m-%d}; it is not shown again")


@app.command("list")
def show(folder: Folder, as_json: Json = False) -> None:
    """List the keys, without their secrets.

    Example: vireid keys list service
    """
    from vireid.service.keys import list_keys

    database, _ = _state(folder)
    with database.read() as session:
        keys = list_keys(session)
    database.close()
    rows: list[dict[str, Any]] = [
        {
            "id": key.id,
            "holder": key.holder,
            "role": key.role,
            "galleries": key.galleries,
            "exports": key.exports,
            "expires": key.expires.isoformat(timespec="seconds"),
            "revoked": key.revoked.isoformat(timespec="seconds") if key.revoked else None,
        }
        for key in keys
    ]
    if as_json:
        print_json(rows)
        return
    cells = [
        [row["id"], row["holder"], row["role"], ", ".join(row["galleries"]), row["expires"], row["revoked"] or ""]
        for row in rows
    ]
    print_table(("id", "holder", "role", "galleries", "expires", "revoked"), cells)


@app.command("revoke")
def revoke_key(
    folder: Folder, key: Annotated[str, typer.Argument(help="Id of the key.")], as_json: Json = False
) -> None:
    """Revoke a key for good. A running service refuses it at once.

    Example: vireid keys revoke service 1f9a7c02be446d01
    """
    from vireid.errors import UsageError
    from vireid.service.audit.ledger import COMMAND_LINE
    from vireid.service.keys import revoke

    database, ledger = _state(folder)
    with ledger.transaction() as (session, record):
        found = revoke(session, key)
        if found is None:
            raise UsageError(f"there is no key {key!r}; `vireid keys list` shows them")
        record("key.revoke", actor=COMMAND_LINE, target_key=key)
    database.close()
    if as_json:
        print_json({"id": key, "revoked": True})
    else:
        say(f"key {key} is revoked")


def _state(folder: Path) -> Any:
    from vireid.errors import UsageError
    from vireid.service import open_state, read_settings

    if not folder.is_dir():
        raise UsageError(f"there is no service in {folder}; `vireid serve` makes one")
    return open_state(read_settings(folder))
