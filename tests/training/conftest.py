from collections.abc import Callable
from pathlib import Path

import pytest

SMALL = [
    "architecture=resnet10t",
    "image.height=48",
    "image.width=24",
    "augmentation.padding=2",
    "batch.identities=4",
    "batch.visible=2",
    "batch.infrared=2",
    "phases.train.epochs=2",
    "phases.train.schedule.warmup_epochs=0.5",
    "steps_per_epoch=3",
    "precision=fp32",
    "workers=0",
]


@pytest.fixture
def small(tiny_sysu: Path) -> Callable[..., list[str]]:
    """Overrides that make agw-demo a run of six tiny steps, plus the caller's."""

    def overrides(*more: str) -> list[str]:
        return [f"data.root={tiny_sysu}", *SMALL, *more]

    return overrides
