from pathlib import Path

import pytest

from vireid.report.material import Material, open_material


@pytest.fixture(scope="session")
def material(tiny_demo: Path) -> Material:
    """The tiny demo, opened for a page."""
    return open_material(tiny_demo, device="cpu")
