"""Vectors of pictures by a network: of start weights as they are, of a run's checkpoint, of a finished model."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from vireid.data import Dataset
from vireid.methods import method_class
from vireid.methods.base import Method
from vireid.methods.bundle import Preprocessing
from vireid.methods.encoder import Encoder, TorchEncoder, choose_device, embed_files
from vireid.study.acceptance.retrieval import Vectors
from vireid.training.recipe import Recipe
from vireid.types import DataInfo, Modality, Track, untracked

__all__ = ["embedded", "encoder_of", "untrained"]


def untrained(recipe: Recipe, *, device: str | None = None) -> Encoder:
    """The recipe's network with its start weights and nothing learned since.

    Raises:
        WeightsError: the start cannot be had or does not fit.
    """
    data = DataInfo(identities=2, image_size=recipe.image.size, visible_cameras=(1,), infrared_cameras=(3,))
    method = method_class(recipe.method)(recipe.method_options(), data)
    method.load_start(recipe.start)
    return encoder_of(method, recipe.image, device=device)


def encoder_of(method: Method, image: Preprocessing, *, device: str | None = None) -> Encoder:
    """An encoder in bfloat16, in which the networks were trained."""
    chosen = choose_device(device)
    moved = method.eval().to(chosen).to(memory_format=torch.channels_last)
    return TorchEncoder(moved, image, device=chosen, bf16=True)


def embedded(encoder: Encoder, dataset: Dataset, rows: NDArray[np.int64], *, track: Track = untracked) -> Vectors:
    """Unit vectors of these rows (ascending) of the image table."""
    images = dataset.images.iloc[rows]
    modality = images["modality"].to_numpy()
    parts = {}
    for name in Modality:
        side = np.flatnonzero(modality == str(name))
        if len(side):
            paths = list(images["path"].to_numpy()[side])
            parts[name] = side, embed_files(encoder, paths, name, track=track).vector
    width = next(iter(parts.values()))[1].shape[1]
    values = np.empty((len(rows), width), np.float32)
    for side, vectors in parts.values():
        values[side] = vectors
    return Vectors(rows=rows, values=values)
