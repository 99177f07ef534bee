"""Tiny sets, rendered once for all tests."""

from pathlib import Path

import pytest

from vireid.data.synthetic import LAYOUTS, synthesize


@pytest.fixture(scope="session")
def tiny_sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folder of the tiny set of every layout, seed 0."""
    root = tmp_path_factory.mktemp("synthetic")
    for layout in LAYOUTS:
        synthesize(root / layout, layout=layout, preset="tiny", seed=0)
    return {layout: root / layout for layout in LAYOUTS}
