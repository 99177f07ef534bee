"""What tests share: small rendered data sets, made once per test session."""

import os
from pathlib import Path

import pytest
from filelock import FileLock

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two test processes share two cores


SMALL_RUN = [
    "architecture=resnet10t",
    "image.height=48",
    "image.width=24",
    "augmentation.padding=2",
    "batch.identities=4",
    "batch.visible=2",
    "batch.infrared=2",
    "phases.train.epochs=1",
    "phases.train.schedule.warmup_epochs=0",
    "steps_per_epoch=3",
    "precision=fp32",
    "workers=0",
]


@pytest.fixture(scope="session")
def small_run() -> list[str]:
    """Overrides that make agw-demo a run of three tiny steps."""
    return list(SMALL_RUN)


def _shared(factory: pytest.TempPathFactory, name: str) -> Path:
    """A folder that all test processes of a session share."""
    return (factory.getbasetemp().parent if os.environ.get("PYTEST_XDIST_WORKER") else factory.getbasetemp()) / name


def _synthesize(factory: pytest.TempPathFactory, layout: str) -> Path:
    from vireid.data.synthetic import synthesize

    root = _shared(factory, f"tiny-{layout}")
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


@pytest.fixture(scope="session")
def tiny_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a demo of a few steps on the tiny preset; start weights are given, so none are pretrained."""
    import torch
    from typer.testing import CliRunner

    from vireid.cli.app import app
    from vireid.networks.two_stream import TwoStreamResNet
    from vireid.networks.weights import save_start
    from vireid.types import Modality

    out = _shared(tmp_path_factory, "demo")
    with FileLock(f"{out}.lock"):
        if not (out / "report.html").exists():
            torch.manual_seed(0)
            start = TwoStreamResNet("resnet10t").start_state(Modality.VISIBLE)
            save_start(out / "start.safetensors", start, architecture="resnet10t")
            changes = [word for change in SMALL_RUN for word in ("--set", change)]
            changes += ["--set", f"start={out / 'start.safetensors'}"]
            words = ["demo", "--out", str(out), "--preset", "tiny", "--workers", "1", *changes]
            found = CliRunner().invoke(app, words)
            assert found.exit_code == 0, f"{found.output}\n{found.exception!r}"
    return out
