from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def small(tiny_sysu: Path, small_run: list[str]) -> Callable[..., list[str]]:
    """Overrides that make agw-demo a run of six tiny steps in two epochs, plus the caller's."""

    def overrides(*more: str) -> list[str]:
        two_epochs = ["phases.train.epochs=2", "phases.train.schedule.warmup_epochs=0.5"]
        return [f"data.root={tiny_sysu}", *small_run, *two_epochs, *more]

    return overrides
