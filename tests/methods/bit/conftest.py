"""Small methods, batches and embeddings."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from vireid.methods import create
from vireid.methods.bit import BIT
from vireid.types import Batch, Clock, DataInfo, Modality, View

DATA = DataInfo(identities=3, image_size=(36, 24), visible_cameras=(1,), infrared_cameras=(3,))
SMALL = {"architecture": "vit_nano_patch12", "dropout": 0.0, "path_dropout": 0.0, "stride": 12}


@pytest.fixture
def small() -> Callable[..., BIT]:
    """Makes a method on six patches; sections are merged into small ones."""

    def make(bci: Any = None, **options: Any) -> BIT:
        torch.manual_seed(0)
        bci = {} if options.get("pairs") is False else {"blocks": 2, "heads": 4, "dropout": 0.0} | (bci or {})
        found = create("bit", data=DATA, **{**SMALL, "bci": bci, **options})
        assert isinstance(found, BIT)
        return found

    return make


@pytest.fixture
def batch() -> Batch:
    """Three people, one visible picture each and two infrared ones."""
    generator = torch.Generator().manual_seed(0)
    labels = {Modality.VISIBLE: torch.arange(3), Modality.INFRARED: torch.arange(3).repeat(2)}
    return {
        str(modality): View(
            modality=modality,
            images=torch.randn(len(known), 3, 36, 24, generator=generator),
            labels=known,
            cameras=torch.ones(len(known), dtype=torch.int64),
            rows=torch.arange(len(known)),
        )
        for modality, known in labels.items()
    }


@pytest.fixture
def clock() -> Callable[[str], Clock]:
    return lambda phase: Clock(phase=phase, epoch=0, epochs=2, batch=0, batches=3, step=0, seed=0)
