"""`vireid study`."""

from pathlib import Path
from typing import Annotated

import typer

from vireid.cli.output import Json, print_json, print_table, say, track


def study(
    file: Annotated[Path, typer.Argument(help="Study file (YAML).")],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the study; a stopped one goes on in it (default: runs/study-NAME).")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Runs at a time, each with its share of the cores (one, or one a device).")
    ] = None,
    devices: Annotated[
        str | None, typer.Option(metavar="DEVICE,...", help="Devices to spread the runs over: cuda:0,cuda:1.")
    ] = None,
    dry: Annotated[
        bool, typer.Option("--dry-run", "--list", help="Show all runs and how far they are, start none.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Conduct a registered study: every row with every seed on all data, and the contrasts that were decided before.

    The file is registered before the first run, and a changed file is refused afterwards. Runs that are done are not
    repeated, stopped and failed ones go on.

    Example: vireid study studies/agw-caj.yaml --workers 2
    """
    from vireid.study.conduct import conduct, outline
    from vireid.study.execution import workers_for
    from vireid.study.page import CONTRAST_COLUMNS, contrast_rows
    from vireid.study.plan import load_study

    folder = out or Path("runs") / f"study-{load_study(file).name}"
    if dry:
        planned = outline(file, folder)
        if as_json:
            print_json({"out": str(folder), "runs": [vars(run) for run in planned]})
            return
        states = [run.state for run in planned]
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        print_table(("run", "state"), [(run.name, run.state) for run in planned], title=f"{folder}: {counts}")
        return
    chosen = workers_for(workers, [name for name in (devices or "").split(",") if name])
    results = conduct(file, folder, workers=chosen, track=track, say=say)
    if as_json:
        print_json(results.to_json())
    elif results.contrasts:
        print_table(CONTRAST_COLUMNS, contrast_rows(results), title=results.runs.study.question.strip())
    failed = [entry["run"] for entry in results.journal if entry["state"] == "failed"]
    say(f"look at {folder / 'study.md'}")
    if failed:
        say(f"{len(failed)} runs failed: {', '.join(failed)}; the same command tries them again")
        raise typer.Exit(1)
