"""Copies of small rendered sets, to be broken."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from vireid.data.doctor import Finding, examine


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[Path], Path]:
    """Copies a set into a folder of the test's own."""
    return lambda root: Path(shutil.copytree(root, tmp_path / "data" / root.name))


@pytest.fixture
def told() -> Callable[..., dict[str, Finding]]:
    """What the doctor finds in a folder, by code; pictures are opened only if asked for."""

    def find(root: Path, *, pictures: bool = False, layout: str | None = None) -> dict[str, Finding]:
        return {finding.code: finding for finding in examine(root, pictures=pictures, layout=layout).findings}

    return find
