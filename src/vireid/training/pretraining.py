"""Stand-in pretraining: a backbone that knows people, for machines that cannot fetch ImageNet weights.

The start is trained on visible pictures of rendered people who share neither identities nor garment families with any
synthetic benchmark, by the same loop and the `agw` method with one modality.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from vireid.data import open_dataset
from vireid.data.synthetic import GENERATOR, synthesize_pretraining
from vireid.errors import UsageError, WeightsError
from vireid.files import alone, cache_folder, new_file
from vireid.methods.agw import AGW
from vireid.networks.backbones import backbone
from vireid.networks.vit import is_vit
from vireid.networks.weights import save_start, start_metadata
from vireid.training.loop import train
from vireid.training.recipe import Recipe, load_recipe
from vireid.training.run import Run
from vireid.types import Modality, Say, Track, silent, untracked

__all__ = ["pretrain"]

RECIPE, VIT_RECIPE = "agw-pretrain", "vit-pretrain"


def pretrain(
    *,
    architecture: str,
    out: Path | None = None,
    overrides: Sequence[str] = (),
    identities: int = 4000,
    images: int = 4,
    seed: int = 0,
    workers: int = 2,
    track: Track = untracked,
    say: Say = silent,
) -> Path:
    """Start weights for `architecture`, from the cache if the same recipe and renderer made them before.

    Returns the .safetensors file: one in `cache_folder()`, or `out`, a copy of it. An interrupted call goes on where
    it stopped; the pictures and the run it does so from are removed when the start is made. Only one process works on
    a start, others wait for it and say so.

    Raises:
        UsageError: unknown architecture; an override that is an argument; `out` holds something else.
    """
    recipe = _recipe(architecture, seed, overrides)
    key = f"{architecture}-{identities}x{images}-seed{seed}-renderer{GENERATOR}-{recipe.digest[:12]}"
    kept = cache_folder() / f"start-{key}.safetensors"
    if out and _holds(out, key):
        return out
    work = cache_folder() / f"pretraining-{key}"
    with alone(work.with_name(f"{work.name}.lock"), "makes these start weights", say):
        if not _holds(kept, key):
            size = recipe.image.size
            synthesize_pretraining(
                work / "data",
                identities=identities,
                images_per_identity=images,
                size=size,
                seed=seed,
                workers=workers,
                track=track,
            )
            save_start(kept, _trained(recipe, work, track, say), architecture=architecture, made_by=key)
        shutil.rmtree(work, ignore_errors=True)
    if out is None:
        return kept
    with new_file(out) as temporary:
        shutil.copyfile(kept, temporary)
    return out


def _recipe(architecture: str, seed: int, overrides: Sequence[str]) -> Recipe:
    """The recipe with the overrides, which may not say otherwise than the arguments."""
    name = VIT_RECIPE if is_vit(architecture) else RECIPE
    arguments = [f"architecture={architecture}", f"seed={seed}"]
    recipe, shipped = load_recipe(name, [*arguments, *overrides]), load_recipe(name)
    if recipe.method != shipped.method:
        raise UsageError(f"recipe {name} trains {shipped.method}, which method={recipe.method} cannot change")
    stated = recipe.resolved()["options"]["architecture"]
    if stated != architecture:
        raise UsageError(f"architecture is an argument of its own: give --architecture {stated}")
    if recipe.seed != seed:
        raise UsageError(f"the seed decides the people too, as an argument of its own: give --seed {recipe.seed}")
    if recipe.data != shipped.data:
        raise UsageError("start weights are learnt from pictures rendered for it: data.* cannot be changed")
    with torch.device("meta"):
        backbone(architecture, image_size=recipe.image.size)  # an unknown name is told now, not after rendering
    return recipe


def _holds(path: Path, key: str) -> bool:
    """Whether `path` is the start of this key; False where there is nothing."""
    if not path.exists():
        return False
    try:
        found = start_metadata(path)
    except WeightsError as error:
        raise UsageError(f"{path} holds something else ({error}); choose another --out or remove it") from None
    if found.get("made_by") == key:
        return True
    made = f"made as {found['made_by']}" if "made_by" in found else "which do not say how they were made"
    raise UsageError(
        f"{path} holds other start weights, for {found.get('architecture', 'an unstated architecture')}, {made} "
        f"(asked for: {key}); choose another --out or remove it"
    )


def _trained(recipe: Recipe, work: Path, track: Track, say: Say) -> dict[str, Tensor]:
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"root": work / "data"})})
    run = Run(work / "run")
    dataset = open_dataset("manifest", work / "data")
    bundle = train(recipe, dataset, run, resume=run.recipe_file.is_file(), track=track, say=say)
    return cast(AGW, bundle.method()).network.start_state(Modality.VISIBLE)
