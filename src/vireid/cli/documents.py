"""`vireid documents`."""

from pathlib import Path
from typing import Annotated

import typer

from vireid.cli.output import Json, print_json, say


def documents(
    folder: Annotated[Path, typer.Argument(help="Folder of the service.")],
    out: Annotated[Path, typer.Option(help="Folder to write the drafts to; files of their names are not replaced.")],
    as_json: Json = False,
) -> None:
    """Draft an impact assessment and records of processing, filled with what the service's configuration says.

    Example: vireid documents service --out drafts
    """
    from vireid.errors import UsageError
    from vireid.service import open_state, read_settings
    from vireid.service.documents import DOCUMENTS, drafts

    if not folder.is_dir():
        raise UsageError(f"there is no service at {folder}")
    there = [name for name in DOCUMENTS if (out / name).exists()]
    if there:
        raise UsageError(f"{out / there[0]} is there already and may have been edited; name another folder")
    settings = read_settings(folder)
    database, _ = open_state(settings)
    written = drafts(settings, database)
    database.close()
    out.mkdir(parents=True, exist_ok=True)
    for name, text in written.items():
        (out / name).write_text(text, encoding="utf-8")
    if as_json:
        print_json({name: str(out / name) for name in written})
        return
    for name in written:
        typer.echo(out / name)
    say("drafts: lines that begin with `To fill in` are yours, and the rest wants checking")
