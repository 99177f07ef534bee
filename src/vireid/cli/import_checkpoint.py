"""`vireid import`."""

from pathlib import Path
from typing import Annotated

import typer

from vireid.cli.output import Json, print_json, say


def import_checkpoint(
    file: Annotated[Path, typer.Argument(help="Checkpoint: a file of torch.save.")],
    paper: Annotated[str, typer.Option("--as", help="Whose code wrote it: agw, caj, deen or pmt.")],
    out: Annotated[Path | None, typer.Option(help="Bundle to write.")] = None,
    start: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the ResNet alone, as start weights (.safetensors).")
    ] = None,
    kind: Annotated[
        str | None, typer.Option(help="What it was trained on: sysu, regdb, llcm (default: told by its classifier).")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of that data set: says who was trained on.")] = None,
    protocol: Annotated[
        str | None, typer.Option(help="Whose training split was used; RegDB needs it, as split1-v2i.")
    ] = None,
    height: Annotated[int, typer.Option(min=1, help="Height of the pictures it was trained with.")] = 288,
    width: Annotated[int, typer.Option(min=1, help="Their width.")] = 144,
    as_json: Json = False,
) -> None:
    """Take over a model that others released; nothing in the file is run, and every weight in it is accounted for.

    Example: vireid import sysu_agw_p4_n8_lr_0.1_seed_0_best.t --as agw --out models/agw-released
    """
    from vireid.data import open_dataset
    from vireid.errors import UsageError
    from vireid.training.importing.released import import_bundle, import_start

    if (out is None) == (start is None):
        raise UsageError("say what to write: --out FOLDER for a bundle, or --start FILE for start weights")
    if data is not None and kind is None:
        raise UsageError(f"say what lies in {data}: --kind sysu, --kind regdb, --kind llcm or --kind manifest")
    if start is not None:
        report = import_start(file, start, paper=paper)
        written = {"start": str(start)}
        todo = f"start weights: {start}; use them with start={start}"
    elif out is not None:
        dataset = open_dataset(kind, data) if data is not None and kind is not None else None
        bundle, report = import_bundle(
            file, out, paper=paper, kind=kind, data=dataset, protocol=protocol, size=(height, width)
        )
        written = {"bundle": str(bundle.path), "digest": bundle.digest}
        todo = f"imported; test it with: vireid evaluate {out} --data FOLDER"
    if as_json:
        print_json({**written, "report": report.to_json()})
        return
    for line in report.lines():
        typer.echo(line)
    say(todo)
