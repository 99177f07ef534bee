from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from vireid.methods import create
from vireid.methods.base import TrainingPictures, unit
from vireid.methods.mcf import MCF
from vireid.training.recipe import load_recipe
from vireid.types import Batch, Clock, DataInfo, Embeddings, Modality, View

SIZE = (64, 32)
DATA = DataInfo(identities=None, image_size=SIZE, visible_cameras=(1, 2), infrared_cameras=(3, 4))


@pytest.fixture
def build() -> Callable[..., MCF]:
    """The method of mcf-demo, with changes of nested options (`{"vra": {"mu": 2}}`)."""

    def make(changes: dict[str, Any] | None = None, /, recipe: str = "mcf-demo", **flat: Any) -> MCF:
        options = dict(load_recipe(recipe).options)
        for name, values in (changes or {}).items():
            options[name] = {**options[name], **values}
        torch.manual_seed(0)
        method = create("mcf", data=DATA, **(options | flat))
        assert isinstance(method, MCF)
        return method

    return make


@pytest.fixture
def people() -> Callable[..., TrainingPictures]:
    """Pictures of `count` people, 8 each and modality, embedded by who they show; `hide` are noise of their own."""

    def make(
        method: MCF,
        count: int = 5,
        *,
        needed: int = 4,
        seed: int = 0,
        order: Any = None,
        spread: float = 0.25,
        infrared: int | None = None,
    ) -> TrainingPictures:
        width = method.network.channels * method.options.regions
        generator = torch.Generator().manual_seed(seed)
        centres = torch.randn(count, width, generator=generator)
        sides, rows, cameras = {}, {}, {}
        for modality, people in ((Modality.VISIBLE, count), (Modality.INFRARED, infrared or count)):
            repeated = centres[:people].repeat_interleave(8, dim=0)
            drawn = unit(repeated + spread * torch.randn(repeated.shape, generator=generator)).numpy()
            first = 0 if modality is Modality.VISIBLE else 1000
            chosen = np.arange(len(drawn)) if order is None else np.asarray(order)
            sides[modality], rows[modality] = drawn[chosen], first + chosen
            cameras[modality] = np.tile([1, 2] if modality is Modality.VISIBLE else [3, 4], len(drawn) // 2)[chosen]
        return TrainingPictures(
            lambda modality: Embeddings(sides[modality]),
            cameras=cameras,
            rows=rows,
            classes_per_batch=needed,
            labels=None,
        )

    return make


@pytest.fixture
def batch_of() -> Callable[..., Batch]:
    """Two pictures each of the first four classes in every view, of the labels that were found."""

    def make(method: MCF, pictures: TrainingPictures, labels: Any) -> Batch:
        views = {}
        for number, (name, request) in enumerate(method.views().items()):
            own = labels.of[request.modality]
            taken = np.concatenate([np.flatnonzero(own == label)[:2] for label in range(4)])
            generator = torch.Generator().manual_seed(number)
            views[name] = View(
                modality=request.modality,
                images=torch.randn(8, 3, *SIZE, generator=generator),
                labels=torch.from_numpy(own[taken]),
                cameras=torch.from_numpy(pictures.cameras[request.modality][taken]),
                rows=torch.from_numpy(pictures.rows[request.modality][taken]),
            )
        return views

    return make


@pytest.fixture
def clock() -> Callable[..., Clock]:
    def make(phase: str = "across", epoch: int = 0) -> Clock:
        return Clock(phase=phase, epoch=epoch, epochs=50, batch=0, batches=3, step=0, seed=0)

    return make
