"""What tests share: small rendered data sets, made once per test session."""

import os
from pathlib import Path

import pytest
from filelock import FileLock

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two test processes share two cores


def _synthesize(factory: pytest.TempPathFactory, layout: str) -> Path:
    from vireid.data.synthetic import synthesize

    shared = factory.getbasetemp().parent if os.environ.get("PYTEST_XDIST_WORKER") else factory.getbasetemp()
    root = shared / f"tiny-{layout}"
    with FileLock(f"{root}.lock"):
        synthesize(root, layout=layout, preset="tiny", seed=0, workers=1)
    return root


@pytest.fixture(scope="session")
def tiny_sysu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _synthesize(tmp_path_factory, "sysu")


@pytest.fixture(scope="session")
def tiny_regdb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _synthesize(tmp_path_factory, "regdb")


@pytest.fixture(scope="session")
def tiny_llcm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _synthesize(tmp_path_factory, "llcm")
