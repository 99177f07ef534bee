"""`vireid report`."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from vireid.cli.output import Device, Json, print_json, print_values, say, track


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders or bundles.")],
    protocol: Annotated[str | None, typer.Option(help="Name of a protocol (default: the run's).")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder of the data set (default: where the run was trained).")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write (default: report.html in the first run).")] = None,
    show_restricted: Annotated[
        bool,
        typer.Option("--show-restricted", help="Show pictures of restricted data all the same; mind whom you give it."),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the queries and people that are drawn.")] = 0,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Make one page of a run, or of several side by side: figures, curves, thresholds, answers and why.

    The page is one HTML file that asks nobody for anything. Runs must be tested alike; details are of the first one.

    Example: vireid report runs/demo

    Example: vireid report runs/agw-0 runs/agw-1 runs/caj-0 --out agw-caj.html
    """
    from vireid.report.page import write_report

    command = ["vireid", "report", *map(str, runs)]
    options = {"--protocol": protocol, "--data": data, "--out": out, "--seed": seed or None, "--device": device}
    command += [word for name, value in options.items() if value is not None for word in (name, str(value))]
    target = out or (runs[0] / "report.html" if (runs[0] / "recipe.yaml").is_file() else Path("report.html"))
    found = write_report(
        runs,
        target,
        protocol=protocol,
        data=data,
        show_restricted=show_restricted,
        seed=seed,
        device=device,
        command=shlex.join([*command, *(["--show-restricted"] if show_restricted else [])]),
        track=track,
        say=say,
    )
    if as_json:
        print_json(found)
        return
    for run in found["runs"]:
        result = run["result"]
        print_values({f"{run['name']}, {name}": f"{result[name]:.1f} %" for name in ("rank1", "mAP", "mINP")})
    if not found["pictures_shown"]:
        say("the terms of this data forbid showing its pictures; they are left out")
    say(f"look at {target}")
