"""`vireid data doctor`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vireid.cli.output import Json, print_json, print_table, print_values, say, track

if TYPE_CHECKING:
    from vireid.data.doctor import Diagnosis


def doctor(
    root: Annotated[Path, typer.Argument(help="Folder of the data set.")],
    layout: Annotated[
        str | None, typer.Option(help="sysu, regdb or llcm, where the folders do not tell (default: they do).")
    ] = None,
    pictures: Annotated[
        bool,
        typer.Option("--pictures/--no-pictures", help="Open every picture, or check names, lists and counts only."),
    ] = True,
    workers: Annotated[int | None, typer.Option(min=1, help="Threads that open pictures (default: all cores).")] = None,
    report: Annotated[Path | None, typer.Option(help="File for the JSON report, outside the data set.")] = None,
    as_json: Json = False,
) -> None:
    """Find what is wrong with a copy of SYSU-MM01, RegDB or LLCM, and which preparation step went wrong.

    Nothing in the data set is changed. Exit code 0: nothing is wrong, or only warnings; 1: errors.

    Example: vireid data doctor data/sysu-demo --report doctor.json
    """
    from vireid.data.doctor import examine
    from vireid.files import write_json

    if report is not None:
        _refuse_inside(report, root)  # before the long look
    diagnosis = examine(root, layout=layout, pictures=pictures, workers=workers, track=track)
    if report is not None:
        _refuse_inside(report, diagnosis.root)
        write_json(report, diagnosis.to_json())
    if as_json:
        print_json(diagnosis.to_json())
    else:
        _show(diagnosis)
    if not diagnosis.healthy:
        raise typer.Exit(1)


def _refuse_inside(report: Path, root: Path) -> None:
    from vireid.errors import UsageError

    if report.resolve().is_relative_to(root.resolve()):
        raise UsageError(f"--report {report} lies in the data set, in which nothing is written; choose another folder")


def _show(diagnosis: "Diagnosis") -> None:
    from vireid.data.doctor import Level

    rows = []
    for check in diagnosis.checks:
        found = [finding for finding in diagnosis.findings if finding.check == check.name]
        rows += [[str(finding.level), finding.code, finding.found, finding.expected] for finding in found]
        rows += [[str(check.level), check.name, check.found, ""]] if not found else []
    print_table(("result", "check", "found", "expected"), rows, title=f"{diagnosis.name} in {diagnosis.root}")
    for finding in diagnosis.findings:
        typer.echo(f"\n{finding.level} {finding.code}")
        print_values({"  probable cause": finding.cause, "  what to do": finding.remedy})
        for example in finding.examples:
            typer.echo(f"    {example}")
    typer.echo("")
    print_values({"fingerprint": diagnosis.fingerprint or "none: the reader refuses this copy"})
    errors, warnings = diagnosis.count(Level.ERROR), diagnosis.count(Level.WARNING)
    say(f"errors: {errors}, warnings: {warnings}" if errors or warnings else "nothing is wrong")
