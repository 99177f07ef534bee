"""`vireid verify`."""

from pathlib import Path
from typing import Annotated

import typer

from vireid.cli.output import Device, Json, print_json, print_values, say


def verify(
    first: Annotated[Path, typer.Argument(help="Picture of a person; it is compared as the query.")],
    second: Annotated[Path, typer.Argument(help="Picture of the same person, or of another.")],
    modalities: Annotated[
        tuple[str, str],
        typer.Option(metavar="FIRST SECOND", help="What kind of camera took each: visible or infrared."),
    ],
    bundle: Annotated[Path, typer.Option(help="Run folder or bundle of a calibrated model.")],
    prior: Annotated[
        float | None,
        typer.Option(help="Probability of one person before the pictures were compared; the posterior needs it."),
    ] = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """How strongly two pictures speak for one person or for two.

    Example: vireid verify door.jpg night.png --modalities visible infrared --bundle runs/demo
    """
    from math import exp

    from vireid.gallery import verify as compare

    found = compare(bundle, (first, second), modalities, prior=prior, device=device)
    if as_json:
        print_json(found.to_json())
        return
    low, high = found.interval
    for_what = "one person" if found.llr >= 0 else "two people"
    values = {
        "score": f"{found.score:.4f}",
        "log-likelihood ratio": f"{found.llr:+.2f} ({low:+.2f} to {high:+.2f}, 95 % over people)",
        "that is": f"{exp(abs(found.llr)):.3g} times likelier if they show {for_what}",
        "pairs of two people that reach it": f"{100 * found.false_match_rate:.2g} %",
    }
    if found.posterior is not None:
        values[f"probability of one person, {found.prior:g} before"] = f"{found.posterior:.3g}"
    print_values(values)
    if not found.seen:
        say("the calibration saw no score like this one: the ratio is its line continued, and not to be relied on")
    if found.prior is None:
        say("no probability without a prior: how likely one person was before the pictures were compared (--prior)")
