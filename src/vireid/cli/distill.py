"""`vireid distill`."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from vireid.cli.output import Device, Json, print_json, say, track


def distill(
    teacher: Annotated[Path, typer.Argument(help="Run folder or bundle of the model that is learnt from.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Changes to the recipe agw-distill.")
    ] = None,
    architecture: Annotated[str, typer.Option(help="Any timm ResNet, or ViT with a class token.")] = "resnet10t_half",
    vector: Annotated[float, typer.Option(min=0, help="Weight of the angle between the two vectors.")] = 1.0,
    similarity: Annotated[float, typer.Option(min=0, help="Weight of how pictures of a batch are alike.")] = 1.0,
    temperature: Annotated[
        float, typer.Option(min=1e-3, help="Of likeness: the lower, the more the most alike count.")
    ] = 0.05,
    out: Annotated[Path, typer.Option(help="Run folder to write.")] = Path("runs/student"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Train a small network from a trained model, on pictures without labels: the teacher's, a data set's, or folders.

    Example: vireid distill runs/demo data.kind=folders data.root=crops --out runs/student
    """
    from vireid.errors import UsageError
    from vireid.options import parse
    from vireid.training.distilling import Distillation
    from vireid.training.distilling import distill as run

    changes = list(overrides or [])
    if any(change.partition("=")[0] in {"architecture", "options.architecture"} for change in changes):
        raise UsageError("the architecture is an option of its own: give --architecture NAME")
    settings = {"vector": vector, "similarity": similarity, "temperature": temperature}
    try:
        bundle = run(
            teacher,
            out,
            overrides=[f"architecture={architecture}", *changes],
            settings=parse(Distillation, settings, where="distill"),
            resume=resume,
            device=device,
            track=track,
            say=say,
        )
    except KeyboardInterrupt:
        words = ["vireid", "distill", str(teacher), *changes, "--architecture", architecture, "--out", str(out)]
        words += [word for name, value in settings.items() for word in (f"--{name}", str(value))]
        words += ["--resume", *(["--device", device] if device else [])]
        say(f"stopped; go on from the newest checkpoint with: {shlex.join(words)}")
        raise typer.Exit(130) from None
    if as_json:
        print_json({"run": str(out), "bundle": str(bundle.path), "digest": bundle.digest})
    else:
        say(f"trained a student of {teacher}; test it with: vireid evaluate {out}")
