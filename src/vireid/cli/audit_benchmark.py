"""`vireid data audit-benchmark`."""

from pathlib import Path
from typing import Annotated

import typer

from vireid.cli.output import Device, Json, print_json, print_table, say, track

_SHOWN = ("item", "wanted", "measured", "verdict")


def audit_benchmark(
    out: Annotated[Path, typer.Option(help="Folder to write; a stopped audit goes on from it.")] = Path("runs/audit"),
    preset: Annotated[str, typer.Option(help="Size of the synthetic data set: tiny, demo, study or full.")] = "demo",
    seeds: Annotated[str, typer.Option(metavar="N[,N...]", help="Seeds of people and of training, with commas.")] = "0",
    part: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Measure this part alone; may be repeated.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change to the recipe of all trained parts, for example start=FILE."
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that render.")] = 2,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Measure whether the synthetic benchmark asks what real data asks: shortcuts, ceiling, baseline, known effects.

    Every finished part is kept, so the same command goes on where it was stopped. Exit code 1 if a measured item is
    not met.

    Example: vireid data audit-benchmark --preset demo --seeds 0 --out runs/audit
    """
    import json

    from vireid.errors import UsageError
    from vireid.study.acceptance.audit import audit
    from vireid.study.acceptance.table import COLUMNS

    try:
        numbers = [int(word) for word in seeds.split(",")]
    except ValueError:
        raise UsageError(f"--seeds is {seeds!r}; give whole numbers with commas, as in --seeds 0,1,2") from None
    table = audit(
        out,
        preset=preset,
        seeds=numbers,
        parts=part or (),
        changes=overrides or (),
        workers=workers,
        device=device,
        track=track,
        say=say,
    )
    if as_json:
        print_json(json.loads((out / "audit.json").read_text(encoding="utf-8")))
    else:
        for title in dict.fromkeys(row.title for row in table.rows):
            shown = [[row.cells()[COLUMNS.index(name)] for name in _SHOWN] for row in table.rows if row.title == title]
            print_table(_SHOWN, shown, title=title)
        say(f"{table.summary()}; each seed's figures and notes are in {out / 'audit.md'}")
    if table.unmet:
        raise typer.Exit(1)
