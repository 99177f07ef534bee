"""Runs in processes of their own: killed without warning, and two as one."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vireid.training.run import Run

pytestmark = pytest.mark.slow
Overrides = Callable[..., list[str]]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def command(out: Path, overrides: list[str], *more: str, recipe: str = "agw-demo") -> list[str]:
    return [
        sys.executable,
        "-m",
        "vireid",
        "train",
        recipe,
        *overrides,
        "--out",
        str(out),
        "--device",
        "cpu",
        *more,
    ]


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(Run(out).bundle_folder / "weights.safetensors")


def test_kill_9_in_mid_epoch_and_resume_ends_with_the_same_bits(small: Overrides, tmp_path: Path) -> None:
    overrides = small("steps_per_epoch=40", "checkpoint_every=3", "phases.train.epochs=1")
    subprocess.run(command(tmp_path / "whole", overrides), check=True, env=ENVIRONMENT, capture_output=True)
    out = tmp_path / "killed"
    process = subprocess.Popen(command(out, overrides), env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(Run(out).records()) < 11 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    steps = len(Run(out).records())
    assert process.returncode == -signal.SIGKILL
    assert 11 <= steps < 40, "killed while a step was in flight"
    subprocess.run(command(out, overrides, "--resume"), check=True, env=ENVIRONMENT, capture_output=True)
    expected, found = weights(tmp_path / "whole"), weights(out)
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert [r["loss"] for r in Run(out).records()] == [r["loss"] for r in Run(tmp_path / "whole").records()]


@pytest.mark.parametrize(
    ("recipe", "changes"),
    [
        ("agw-demo", ["triplet=weighted"]),
        ("cal-demo", ["tsaa.width=32", "drm.kept=4", "kd.match=identity"]),
    ],
)
def test_two_processes_train_as_one(recipe: str, changes: list[str], small: Overrides, tmp_path: Path) -> None:
    # A small rate, all channels and three steps: tiny networks amplify rounding soon (another number of threads does
    # the same).
    # Of CAL, what chooses (the best positions, the best matching) is left out: rounding may choose otherwise.
    overrides = small(
        "architecture=resnet10t",
        "start=none",
        "phases.train.optimiser.kind=sgd",
        "phases.train.optimiser.rate=0.001",
        "phases.train.epochs=1",
        *changes,
    )
    subprocess.run(
        command(tmp_path / "one", overrides, recipe=recipe), check=True, env=ENVIRONMENT, capture_output=True
    )
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    two = command(tmp_path / "two", overrides, recipe=recipe)[1:]
    subprocess.run([*launcher, *two], check=True, env=ENVIRONMENT, capture_output=True)
    one, both = ([record["loss"] for record in Run(tmp_path / name).records()] for name in ("one", "two"))
    assert both == pytest.approx(one, rel=1e-5)
    for name, value in weights(tmp_path / "one").items():
        torch.testing.assert_close(weights(tmp_path / "two")[name], value, atol=1e-5, rtol=1e-5, msg=name)


def test_two_processes_train_both_phases_as_one(tiny_sysu: Path, tmp_path: Path) -> None:
    overrides = [
        f"data.root={tiny_sysu}",
        "image.height=48",
        "image.width=24",
        "augmentation.padding=2",
        "batch.identities=4",
        "steps_per_epoch=3",
        "precision=fp32",
        "workers=0",
    ]
    for phase in ("base", "pair"):
        overrides += [f"phases.{phase}.epochs=1", f"phases.{phase}.schedule.warmup_epochs=0"]
        overrides += [f"phases.{phase}.optimiser.kind=sgd", f"phases.{phase}.optimiser.rate=0.001"]
    one, two = (command(tmp_path / name, overrides, recipe="bit-demo") for name in ("one", "two"))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    for words in (one, [*launcher, *two[1:]]):
        subprocess.run(words, check=True, env=ENVIRONMENT, capture_output=True)
    for name, value in weights(tmp_path / "one").items():
        torch.testing.assert_close(weights(tmp_path / "two")[name], value, atol=1e-5, rtol=1e-5, msg=name)


def test_two_processes_find_the_same_labels_and_train_as_one(tiny_sysu: Path, tmp_path: Path) -> None:
    overrides = [
        f"data.root={tiny_sysu}",
        "image.height=64",
        "image.width=32",
        "augmentation.padding=2",
        "batch.identities=2",
        "steps_per_epoch=3",
        "precision=fp32",
        "workers=0",
        "maal.warmup_epochs=0",
    ]
    for phase in ("within", "across"):
        overrides += [f"phases.{phase}.epochs=1", f"phases.{phase}.schedule.kind=constant"]
        overrides += [f"phases.{phase}.schedule.final=0", f"phases.{phase}.optimiser.kind=sgd"]
        overrides += [f"phases.{phase}.optimiser.rate=1.0e-5"]
    one, two = (command(tmp_path / name, overrides, recipe="mcf-demo") for name in ("one", "two"))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    for words in (one, [*launcher, *two[1:]]):
        subprocess.run(words, check=True, env=ENVIRONMENT, capture_output=True)
    first, second = (Run(tmp_path / name).records() for name in ("one", "two"))
    labels = [[record["labels"] for record in records if "labels" in record] for records in (first, second)]
    assert [each["visible"]["clusters"] for each in labels[0]] == [each["visible"]["clusters"] for each in labels[1]]
    for name, value in weights(tmp_path / "one").items():
        torch.testing.assert_close(weights(tmp_path / "two")[name], value, atol=1e-5, rtol=1e-5, msg=name)
