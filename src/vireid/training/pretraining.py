"""Stand-in pretraining: a backbone that knows people, for machines that cannot fetch ImageNet weights.

The start is trained on visible pictures of rendered people who share neither identities nor garment families with any
synthetic benchmark, by the same loop and the `agw` method with one modality.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from vireid.data import open_dataset
from vireid.data.synthetic import synthesize_pretraining
from vireid.errors import UsageError
from vireid.methods.agw import AGW
from vireid.networks.weights import save_start
from vireid.training.loop import train
from vireid.training.recipe import load_recipe
from vireid.training.run import Run
from vireid.types import Modality, Track, untracked

__all__ = ["cache_folder", "pretrain"]

RECIPE = "agw-pretrain"


def cache_folder() -> Path:
    """Where starts are kept: $VIREID_CACHE, or vireid below the user's cache folder."""
    base = os.environ.get("VIREID_CACHE")
    return Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "vireid"


def pretrain(
    *,
    architecture: str,
    out: Path | None = None,
    overrides: Sequence[str] = (),
    identities: int = 400,
    images: int = 12,
    seed: int = 0,
    workers: int = 2,
    track: Track = untracked,
) -> Path:
    """Start weights for `architecture`, from the cache if the same recipe made them before.

    Returns the .safetensors file: `out`, or one in `cache_folder()` named after the recipe's hash. An interrupted call
    goes on where it stopped.
    """
    recipe = load_recipe(RECIPE, [f"architecture={architecture}", f"seed={seed}", *overrides])
    key = f"{architecture}-{identities}x{images}-{recipe.digest[:12]}"
    path = out or cache_folder() / f"start-{key}.safetensors"
    if path.is_file():
        return path
    work = cache_folder() / f"pretraining-{key}"
    synthesize_pretraining(
        work / "data",
        identities=identities,
        images_per_identity=images,
        size=recipe.image.size,
        seed=seed,
        workers=workers,
        track=track,
    )
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"root": work / "data"})})
    run = Run(work / "run")
    dataset = open_dataset("manifest", work / "data")
    bundle = train(recipe, dataset, run, resume=run.recipe_file.is_file(), track=track)
    method = bundle.method()
    if not isinstance(method, AGW):
        raise UsageError(f"recipe {RECIPE} must train agw, not {bundle.name}")
    save_start(path, method.network.start_state(Modality.VISIBLE), architecture=architecture)
    return path
