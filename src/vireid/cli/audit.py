"""`vireid audit`."""

from pathlib import Path
from typing import Annotated

import typer

from vireid.cli.output import Json, print_json, say

app = typer.Typer(name="audit", help="The audit of a service.", no_args_is_help=True)

_SHOWN = 20


@app.command("verify")
def verify(
    folder: Annotated[Path, typer.Argument(help="Folder of the service.")],
    anchors: Annotated[
        Path | None, typer.Option(help="Copy of the signed heads that was kept elsewhere (default: the service's own).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check the whole audit: edited entries, a cut end, an older database, a rewritten chain. Exit code 1 if any.

    Example: vireid audit verify service --anchors /media/elsewhere/anchors.jsonl
    """
    from vireid.errors import UsageError
    from vireid.service import open_state, read_settings
    from vireid.service.audit import Anchors
    from vireid.service.audit import verify as check

    if not folder.is_dir():
        raise UsageError(f"there is no service in {folder}; `vireid serve` makes one")
    if anchors is not None and not anchors.is_file():
        raise UsageError(f"{anchors} does not exist; give the file that the anchors were copied to")
    database, ledger = open_state(read_settings(folder))
    used = Anchors(anchors, ledger.secrets) if anchors else ledger.anchors
    found = check(database, used, copied=anchors is not None)
    database.close()
    if as_json:
        findings = [vars(finding) for finding in found.findings]
        gaps = [vars(gap) for gap in found.gaps]
        told = {"sound": found.sound, "entries": found.entries, "anchors": found.anchors}
        print_json({**told, "findings": findings, "gaps": gaps})
    else:
        for finding in found.findings[:_SHOWN]:
            typer.echo(f"{finding.kind}: {finding.text}")
        if len(found.findings) > _SHOWN:
            typer.echo(f"and {len(found.findings) - _SHOWN} more")
        for gap in found.gaps[:_SHOWN]:
            say(f"gap: {gap.text}; the service was killed, or somebody cut the anchors")
        say(f"{found.entries} entries, {found.anchors} anchors: {'sound' if found.sound else 'NOT SOUND'}")
    if not found.sound:
        raise typer.Exit(1)
