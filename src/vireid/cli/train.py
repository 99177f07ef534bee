"""`vireid train`."""

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from vireid.cli.output import Json, print_json, say, track


def train(
    recipe: Annotated[str, typer.Argument(help="Name of a shipped recipe, or a YAML file.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Changes to the recipe; dots reach in.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Run folder to write.")] = Path("runs/train"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    device: Annotated[str | None, typer.Option(help="cpu or cuda (default: CUDA where there is one).")] = None,
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
    from vireid.types import untracked

    loaded = load_recipe(recipe, overrides or [])
    if loaded.data.root is None:
        raise UsageError(f"recipe {recipe} needs the data set's folder; add data.root=PATH")
    dataset = open_dataset(loaded.data.kind, loaded.data.root)
    first = os.environ.get("RANK", "0") == "0"  # torchrun numbers its processes; one of them speaks
    shown = track if first else untracked
    try:
        bundle = run_training(loaded, dataset, Run(out), resume=resume, device=device, track=shown, say=say)
    except KeyboardInterrupt:
        words = ["vireid", "train", recipe, *(overrides or []), "--out", str(out), "--resume"]
        words += ["--device", device] if device else []
        if first and Run(out).recipe_file.is_file():
            say(f"stopped; go on from the newest checkpoint with: {shlex.join(words)}")
        raise typer.Exit(130) from None
    if not first:
        return
    if as_json:
        print_json({"run": str(out), "bundle": str(bundle.path), "digest": bundle.digest})
    else:
        say(f"trained {recipe}; test it with: vireid evaluate {out}")
