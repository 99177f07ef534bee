"""`vireid reproduce`."""

from pathlib import Path
from typing import Annotated

import typer

from vireid.cli.output import Device, Json, print_json, print_table, say, track


def reproduce(
    method: Annotated[str, typer.Argument(help="Published method: agw, caj, ...")],
    data: Annotated[Path, typer.Option(help="Folder of the data set.")],
    kind: Annotated[str, typer.Option(help="sysu, regdb or llcm.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write; a stopped call goes on in it (default: runs/reproduce-METHOD-KIND)."),
    ] = None,
    model: Annotated[
        list[Path] | None,
        typer.Option(help="Bundle or run folder to test in place of training; on RegDB one for each split."),
    ] = None,
    split: Annotated[list[int] | None, typer.Option(help="Split of RegDB, may be repeated (default: all ten).")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change to the shipped recipe; it is listed.")
    ] = None,
    pictures: Annotated[
        bool,
        typer.Option(
            "--pictures/--no-pictures", help="Let the doctor open every picture, or look at names and counts."
        ),
    ] = True,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Reproduce a published method: look at the data, train by the shipped recipe, test, and put both figures together.

    The same command goes on where it was stopped. The result names everything that differs from the publication.

    Example: vireid reproduce agw --data /data/SYSU-MM01 --kind sysu

    Example: vireid reproduce agw --data /data/SYSU-MM01 --kind sysu --model models/agw-released
    """
    from vireid.study.reproduce import reproduce as run
    from vireid.study.reproduction import DEVIATION_COLUMNS

    folder = out or Path("runs") / f"reproduce-{method}-{kind}"
    result = run(
        method,
        kind=kind,
        root=data,
        out=folder,
        models=model or [],
        overrides=overrides or [],
        splits=split or [],
        pictures=pictures,
        device=device,
        track=track,
        say=say,
    )
    if as_json:
        print_json(dict(result.values))
        return
    print_table(result.columns, result.rows(), title=f"{result.values['title']} on {result.values['data']['name']}")
    if result.values["not_compared"]:
        typer.echo(result.values["not_compared"])
    print_table(DEVIATION_COLUMNS, result.deviations(), title="what differs from what was published")
    say(f"look at {folder / 'reproduction.md'}")
