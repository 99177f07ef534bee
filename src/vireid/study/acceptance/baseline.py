"""Trained baselines: `agw`, CAJ and CAJ without erasing, from the same start, with a look at four fifths of the way."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from safetensors.torch import load_file, save_file

from vireid.data import Dataset
from vireid.errors import UsageError
from vireid.files import new_file
from vireid.methods import method_class
from vireid.methods.base import Method
from vireid.study.acceptance.exceptions import inflation
from vireid.study.acceptance.networks import embedded, encoder_of
from vireid.study.acceptance.retrieval import Retrieval, Vectors, protocol_rows, retrieve
from vireid.training.loop import train
from vireid.training.pictures import TrainingData
from vireid.training.recipe import Recipe, load_recipe
from vireid.training.run import Run
from vireid.types import Say, Track, silent, untracked

__all__ = ["ARMS", "PROTOCOLS", "Fitted", "arm_recipe", "fit", "measure_arm", "measure_cue", "paired_sums"]

RECIPE = "agw-demo"
ARMS: Mapping[str, tuple[str, ...]] = {
    "agw": ("triplet=weighted", "augmentation.channel_exchange=false", "augmentation.erasing=none"),
    "caj": ("triplet=squared", "augmentation.channel_exchange=true", "augmentation.erasing=channel"),
    "caj-no-erasing": ("triplet=squared", "augmentation.channel_exchange=true", "augmentation.erasing=none"),
}
"""What each baseline changes in the recipe; all else is the same for all."""

SCHEDULES: Mapping[str, tuple[str, ...]] = {
    "tiny": ("phases.train.epochs=5", "steps_per_epoch=10", "batch.identities=4"),
    "demo": (),
    "study": ("phases.train.epochs=40", "steps_per_epoch=60"),
    "full": ("phases.train.epochs=40", "steps_per_epoch=200"),
}
"""How long each preset trains."""

PROTOCOLS = ("all-single-agw", "indoor-single-agw", "all-multi-agw", "indoor-multi-agw", "visible-to-visible")
EARLY = 0.8
"""Share of the epochs after which the baseline is looked at, to see what the rest still gains."""

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A trained method, what it was at four fifths of the epochs, and its recipe."""

    recipe: Recipe
    final: Method
    early: Method
    early_epochs: int


def arm_recipe(arm: str, dataset: Dataset, *, preset: str, seed: int, changes: Sequence[str] = ()) -> Recipe:
    """The recipe of a baseline on a set in the layout of SYSU-MM01; `changes` are made to every baseline alike."""
    height, width = _size(dataset)
    data = (f"data.root={dataset.root}", "data.cache=none")  # packed pictures of every cue would stay behind
    size = (f"image.height={height}", f"image.width={width}")
    return load_recipe(RECIPE, [*data, f"seed={seed}", *size, *SCHEDULES[preset], *changes, *ARMS[arm]])


def fit(
    recipe: Recipe,
    dataset: Dataset,
    folder: Path,
    *,
    device: str | None = None,
    track: Track = untracked,
    say: Say = silent,
) -> Fitted:
    """Train into the run folder `folder`; a run that was stopped goes on, a finished one is read.

    Raises:
        UsageError: one epoch only, of which four fifths are not to be had; or the folder holds another run.
    """
    epochs = recipe.phases[0].epochs
    until = int(EARLY * epochs)
    if until < 1:
        raise UsageError(f"phases.train.epochs is {epochs}; convergence is judged from 2 epochs on")
    run, early = Run(folder), folder / "four-fifths.safetensors"
    if not early.is_file():
        found = run.find(recipe, resume=True) if run.recipe_file.is_file() else None
        done = int(found.values["epoch"]) if found else 0
        if done < until:
            stopping = _Until(until - done, recipe.phases[0].name, track)
            with contextlib.suppress(_Reached):
                train(recipe, dataset, run, resume=found is not None, device=device, track=stopping, say=say)
            found = run.find(recipe, resume=True)
        if found is None:
            raise UsageError(f"{folder} holds no checkpoint to go on from; remove it")
        with new_file(early) as temporary:
            save_file(found.part("model"), temporary)
    final = _to_the_end(recipe, dataset, run, device=device, track=track, say=say)
    method = method_class(recipe.method)(recipe.method_options(), TrainingData.of(dataset, recipe).info(recipe))
    method.load_state_dict(load_file(early))
    return Fitted(recipe=recipe, final=final, early=method, early_epochs=until)


def measure_arm(
    fitted: Fitted, dataset: Dataset, *, device: str | None = None, track: Track = untracked
) -> dict[str, Any]:
    """Figures of all protocols, of the default one before the last fifth, and sums by identity, as JSON values."""
    protocols = {name: dataset.protocol(name) for name in PROTOCOLS}
    vectors = vectors_of(fitted.final, fitted.recipe, dataset, device=device, track=track)
    found = {name: retrieve(protocol, vectors.score) for name, protocol in protocols.items()}
    early = vectors_of(fitted.early, fitted.recipe, dataset, protocols=PROTOCOLS[:1], device=device, track=track)
    return {
        "protocols": {name: {"rank1": f.rank1, "mAP": f.mAP, "mINP": f.mINP} for name, f in found.items()},
        "early": {"epochs": fitted.early_epochs, "mAP": retrieve(protocols[PROTOCOLS[0]], early.score).mAP},
        "epochs": fitted.recipe.phases[0].epochs,
        "sums": paired_sums(found[PROTOCOLS[0]]),
        "location": inflation(dataset, vectors.score, by="the trained baseline").to_json(),
    }


def measure_cue(
    recipe: Recipe,
    dataset: Dataset,
    folder: Path,
    *,
    device: str | None = None,
    track: Track = untracked,
    say: Say = silent,
) -> Retrieval:
    """What a network learns from pictures that show one cue, and what chance would give."""
    method = _to_the_end(recipe, dataset, Run(folder), device=device, track=track, say=say)
    vectors = vectors_of(method, recipe, dataset, protocols=PROTOCOLS[:1], device=device, track=track)
    return retrieve(dataset.protocol(PROTOCOLS[0]), vectors.score, chance=True)


def vectors_of(
    method: Method,
    recipe: Recipe,
    dataset: Dataset,
    *,
    protocols: Iterable[str] = PROTOCOLS,
    device: str | None = None,
    track: Track = untracked,
) -> Vectors:
    """Unit vectors of all pictures that these protocols compare."""
    rows = protocol_rows(*(dataset.protocol(name) for name in protocols))
    return embedded(encoder_of(method, recipe.image, device=device), dataset, rows, track=track)


def paired_sums(found: Retrieval) -> dict[str, Any]:
    """Per trial and identity: the sum of average precisions in percent, and over how many queries."""
    people = np.unique(np.concatenate(found.people))
    total, count = np.zeros((2, len(found.people), len(people)))
    for trial, (who, precision) in enumerate(zip(found.people, found.ap, strict=True)):
        place = np.searchsorted(people, who)
        total[trial] = np.bincount(place, weights=precision, minlength=len(people))
        count[trial] = np.bincount(place, minlength=len(people))
    return {"identities": people.tolist(), "total": total.round(4).tolist(), "count": count.tolist()}


def _to_the_end(recipe: Recipe, dataset: Dataset, run: Run, *, device: str | None, track: Track, say: Say) -> Method:
    bundle = train(recipe, dataset, run, resume=run.recipe_file.is_file(), device=device, track=track, say=say)
    return bundle.method()


class _Reached(Exception):  # noqa: N818 - not an error: the first part of the training is done
    """The epochs asked for are trained."""


class _Until:
    """A `Track` that ends training, with the checkpoint of the last whole epoch, before the one after `epochs`."""

    def __init__(self, epochs: int, phase: str, track: Track) -> None:
        self._left, self._phase, self._track = epochs, phase, track

    def __call__(self, items: Iterable[ItemT], /, *, description: str, total: int | None = None) -> Iterator[ItemT]:
        if description.startswith(f"{self._phase} "):
            if self._left == 0:
                raise _Reached
            self._left -= 1
        return self._track(items, description=description, total=total)


def _size(dataset: Dataset) -> tuple[int, int]:
    from PIL import Image

    with Image.open(dataset.images["path"].iloc[0]) as picture:
        return picture.height, picture.width
