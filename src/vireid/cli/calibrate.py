"""`vireid calibrate`."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vireid.cli.output import Device, Json, print_json, print_table, say, track

if TYPE_CHECKING:
    from vireid.training.calibrating import Calibrated


def calibrate(
    model: Annotated[Path, typer.Argument(help="Run folder or bundle.")],
    data: Annotated[
        Path | None, typer.Option(help="Folder of the data set (default: where the run was trained).")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="sysu, regdb, llcm or manifest (default: the run's).")] = None,
    identities: Annotated[
        str | None,
        typer.Option(help="Who: held-out (default; data.held_out of the training), val, test, or all of other data."),
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help="Protocol whose splits count (default: that of the training).")
    ] = None,
    pictures: Annotated[int, typer.Option(min=1, help="Most pictures of a person before a camera.")] = 4,
    resamples: Annotated[int, typer.Option(min=2, help="Draws of the people, for intervals.")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Of pictures, folds and draws.")] = 0,
    report: Annotated[
        Path | None, typer.Option(help="File for an HTML page with reliability and Tippett plots.")
    ] = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Learn what a model's scores mean, from people it was not trained on, and keep that beside the model.

    Searches then give log-likelihood ratios, rank both modalities together, and tell how many false matches to expect.
    The model's hash stays, so its galleries stay valid.

    Example: vireid calibrate runs/demo --identities test --report runs/demo/calibration.html
    """
    from vireid.data import open_dataset
    from vireid.errors import UsageError
    from vireid.methods.bundle import Bundle
    from vireid.report.calibration import write_calibration_report
    from vireid.training.calibrating import calibrate as make
    from vireid.training.run import Run

    bundle, run = Bundle.open(model), Run(model)
    choice = run.recipe().data if run.recipe_file.is_file() else None
    root = data or (choice.root if choice else None)
    if root is None:
        raise UsageError(f"{model} is a bundle and does not know where its data lies; add --data PATH")
    dataset = open_dataset(kind or bundle.card.dataset_kind, root)
    made = make(
        bundle,
        dataset,
        folder=model / "embeddings" if choice else bundle.path.with_name(f"{bundle.path.name}-embeddings"),
        people=identities,
        protocol=protocol,
        pictures=pictures,
        resamples=resamples,
        seed=seed,
        device=device,
        track=track,
        say=say,
    )
    bundle.attach(made.calibration)
    if report:
        title = f"Calibration of {bundle.method_name} on {dataset.name}"
        write_calibration_report(made, report, title=title, command=shlex.join(["vireid", *sys.argv[1:]]))
    if as_json:
        print_json(_values(made))
        return
    _print_tables(made)
    if report:
        say(f"look at {report}")


def _values(made: "Calibrated") -> dict[str, Any]:
    from vireid.report.calibration import thresholds_of

    values = made.calibration.model_dump(mode="json")
    for name, found in made.calibration.pairs.items():
        pair = values["pairs"][name]
        del pair["tail_scores"], pair["tail_counts"]
        pair["thresholds"] = thresholds_of(found, made.llr[name])
    return {"calibration": made.calibration.digest, **values}


def _print_tables(made: "Calibrated") -> None:
    calibration = made.calibration
    rows = [
        [
            name,
            f"{found.slope:.2f} x score {found.intercept:+.2f}",
            f"{found.cllr:.3f} ({found.cllr_interval[0]:.3f}-{found.cllr_interval[1]:.3f})",
            f"{found.min_cllr:.3f}",
            f"{100 * found.equal_error_rate:.1f}",
        ]
        for name, found in calibration.pairs.items()
    ]
    people = max(found.identities for found in calibration.pairs.values())
    columns = ("query-gallery", "llr", "Cllr, bits", "least", "EER, %")
    print_table(columns, rows, title=f"{people} {calibration.people} people of {calibration.dataset}")
    for name, why in calibration.missing.items():
        say(f"{name} is not calibrated: {why}")
    say("Cllr (0 perfect, 1 says nothing) is of people that the map was not fitted on; its 95 % interval over people")
