"""`vireid serve`."""

from pathlib import Path
from typing import Annotated

import typer

from vireid.cli.output import Device, Json, print_json, say, track


def serve(
    folder: Annotated[Path, typer.Argument(help="Folder of the service; service.yaml in it holds its settings.")],
    bundle: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PATH", help="A model that galleries may use: run folder or bundle."),
    ] = None,
    root: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PATH", help="A folder of pictures that galleries may be filled from."),
    ] = None,
    adopt: Annotated[
        Path | None, typer.Option(help="Gallery of `vireid index` to take over, under its folder's name.")
    ] = None,
    purpose: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=BASIS", help="Admissible purpose of the gallery that is taken over, and its basis."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, help="Port to listen at.")] = 8321,
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM file of the certificate.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of the certificate's key.")] = None,
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="Another server on this machine speaks TLS and passes requests on.")
    ] = False,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Serve person search over HTTP, and its console for browsers. The first start prints an admin key, once.

    Example: vireid serve service --bundle demo=runs/demo
    """
    from vireid.errors import UsageError
    from vireid.service import Core, read_settings
    from vireid.service.adopting import adopt as take_over
    from vireid.service.server import Listening, alone_in
    from vireid.service.server import serve as run

    listening = Listening(host, port, tls_certificate, tls_key, behind_proxy)
    further = {"bundles": _pairs(bundle, "--bundle"), "roots": _pairs(root, "--root")}
    given = {name: value for name, value in further.items() if value} | ({"device": device} if device else {})
    purposes = _pairs(purpose, "--purpose")
    if purposes and adopt is None:
        raise UsageError("--purpose belongs to --adopt; purposes of other galleries are registered over HTTP")
    with alone_in(folder):
        core = Core(read_settings(folder, given))
        if adopt is not None:
            taken = take_over(core, adopt.absolute(), purposes=purposes, track=track)
            say(f"gallery {adopt.name} was there already" if taken is None else f"took over {taken}")
        first = core.first_key()
        if as_json:
            print_json({"address": listening.address, "first_key": first})
        elif first:
            typer.echo(f"first admin key, shown this once: {first}")
        say(f"listening at {listening.address}; the console is {listening.address}/console")
        run(core, listening)


def _pairs(words: list[str] | None, option: str) -> dict[str, str]:
    from vireid.errors import UsageError

    found = {}
    for word in words or []:
        name, equals, value = word.partition("=")
        if not equals or not name or not value:
            raise UsageError(f"{option} {word!r} is not of the form name=value")
        found[name] = value
    return found
