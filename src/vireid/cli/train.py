"""`vireid train`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from vireid.cli.output import Json, print_json, say, track


def train(
    recipe: Annotated[str, typer.Argument(help="Name of a shipped recipe, or a YAML file.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Changes to the recipe; dots reach in.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Run folder to write.")] = Path("runs/train"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    cpu: Annotated[bool, typer.Option("--cpu", help="Train on the CPU even where there is a CUDA device.")] = False,
    as_json: Json = False,
) -> None:
    """Train a method by a recipe; the run folder holds everything, and a run that was stopped goes on with --resume.

    Example: vireid train agw-sysu data.root=/data/SYSU-MM01 seed=1 --out runs/agw-1
    """
    from vireid.data import open_dataset
    from vireid.errors import UsageError
    from vireid.training.loop import train as run_training
    from vireid.training.recipe import load_recipe
    from vireid.training.run import Run

    loaded = load_recipe(recipe, overrides or [])
    device: Literal["auto", "cpu"] = "cpu" if cpu else "auto"
    if loaded.data.root is None:
        raise UsageError(f"recipe {recipe} needs the data set's folder; add data.root=PATH")
    dataset = open_dataset(loaded.data.kind, loaded.data.root)
    try:
        bundle = run_training(loaded, dataset, Run(out), resume=resume, device=device, track=track, say=say)
    except KeyboardInterrupt:
        words = " ".join(["vireid train", recipe, *(overrides or []), f"--out {out} --resume"])
        say(f"stopped after a complete step; go on with: {words}")
        raise typer.Exit(130) from None
    if as_json:
        print_json({"run": str(out), "bundle": str(bundle.path), "digest": bundle.digest})
    else:
        say(f"trained {bundle.name}; test it with: vireid evaluate {out}")
