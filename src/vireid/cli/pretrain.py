"""`vireid pretrain`."""

from pathlib import Path
from typing import Annotated

import typer

from vireid.cli.output import Json, print_json, say, track


def pretrain(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Changes to the recipe agw-pretrain, or vit-pretrain."),
    ] = None,
    architecture: Annotated[str, typer.Option(help="Any timm ResNet, or ViT with a class token.")] = "resnet10t_half",
    out: Annotated[Path | None, typer.Option(help="File to write (default: one in the user's cache).")] = None,
    identities: Annotated[int, typer.Option(min=8, help="Rendered people to learn from.")] = 4000,
    images: Annotated[int, typer.Option(min=2, help="Pictures of each.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Another seed makes other people.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes that render.")] = 2,
    as_json: Json = False,
) -> None:
    """Make start weights from rendered people, for machines that cannot fetch ImageNet's; cached by recipe and seed.

    Example: vireid pretrain --architecture resnet10t_half --out start.safetensors
    """
    from vireid.training.pretraining import pretrain as run

    path = run(
        architecture=architecture,
        out=out,
        overrides=overrides or [],
        identities=identities,
        images=images,
        seed=seed,
        workers=workers,
        track=track,
        say=say,
    )
    if as_json:
        print_json({"start": str(path), "architecture": architecture})
    else:
        say(f"start weights for {architecture}: {path}; use them with start={path}")
