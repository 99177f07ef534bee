"""What tests share: small rendered data sets, made once per test session."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from filelock import FileLock

if TYPE_CHECKING:
    from vireid.evaluation.records import QueryRecords
    from vireid.matching.calibration import Calibration, PairCalibration
    from vireid.methods.bundle import Card

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two test processes share two cores


SMALL_RUN = [
    "architecture=resnet10t_half",
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


@pytest.fixture(scope="session")
def card() -> "Card":
    """What a bundle says of a training that nobody ran."""
    from vireid.methods.bundle import Card

    return Card(
        dataset="test",
        dataset_kind="sysu",
        dataset_fingerprint="0",
        licence="none",
        restricted=False,
        protocol="p",
        identities=(1, 2),
        recipe="0",
        seed=0,
        vireid="0",
    )


@pytest.fixture(scope="session")
def pair() -> "Callable[[float, float], PairCalibration]":
    """Makes a line from scores to log-likelihood ratios."""
    from vireid.matching.calibration import PairCalibration

    def make(slope: float, intercept: float) -> PairCalibration:
        return PairCalibration(
            slope=slope,
            intercept=intercept,
            covariance=(0.01, 0.0, 0.04),
            identities=20,
            genuine_pairs=100,
            impostor_pairs=999,
            cllr=0.5,
            cllr_interval=(0.4, 0.6),
            min_cllr=0.45,
            equal_error_rate=0.1,
            least_score=0.0,
            greatest_score=1.0,
            tail_scores=(0.999, 0.9, 0.0),
            tail_counts=(9, 99, 999),
        )

    return make


@pytest.fixture(scope="session")
def calibration() -> "Callable[..., Calibration]":
    """Makes what a bundle's scores mean, of lines by pair of modalities."""
    from vireid.matching.calibration import Calibration

    def make(bundle: Any, **pairs: Any) -> Calibration:
        return Calibration(
            bundle=bundle.digest,
            matcher="dot",
            pairs={name.replace("_", "-"): found for name, found in pairs.items()},
            missing={"visible-visible": "too few people"},
            dataset="other people",
            dataset_kind="manifest",
            dataset_fingerprint="1",
            people="all",
            identities=(1, 2),
            rule="same-camera",
            pictures=4,
            seed=0,
            vireid="0",
            created="2026-01-01T00:00:00+00:00",
        )

    return make


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
    """The run folder of a demo of a few steps on the tiny preset."""
    from typer.testing import CliRunner

    from vireid.cli.app import app

    out = _shared(tmp_path_factory, "demo")
    with FileLock(f"{out}.lock"):
        if not (out / "report.html").exists():
            changes = [word for change in SMALL_RUN for word in ("--set", change)]
            words = ["demo", "--out", str(out), "--preset", "tiny", "--workers", "1", *changes]
            found = CliRunner().invoke(app, words)
            assert found.exit_code == 0, f"{found.output}\n{found.exception!r}"
    return out


@pytest.fixture(scope="session")
def records_of() -> Callable[..., "QueryRecords"]:
    """Makes the evaluation of a run that nobody trained, from scores in percent per identity."""
    from vireid.evaluation.records import Origin, QueryRecords

    def make(
        ap: Sequence[float], *, seed: int = 0, configuration: str | None = "c", trials: int = 2, **changes: Any
    ) -> QueryRecords:
        """Two queries an identity and trial, whose APs are 5 points around the identity's; rank-1 where above 50 %."""
        people = np.arange(len(ap))
        spread = np.tile(np.repeat(np.asarray(ap) / 100, 2) + np.tile([0.05, -0.05], len(ap)), trials)
        fingerprint = {
            "dataset": "people",
            "kind": "sysu",
            "data": "d",
            "rule": "none",
            "protocol": "all",
            "trials": "2",
        }
        result = {"protocol": "all", "mode": "full", "mAP": 100 * float(spread.mean()), "rank1": 0.0, "mINP": 0.0}
        result |= {key: value for key, value in changes.items() if key in {"protocol", "mode", "rerank", "cascade"}}
        fingerprint |= {key: value for key, value in changes.items() if key in fingerprint}
        return QueryRecords(
            result=result | {"fingerprint": fingerprint},
            origin=Origin(
                bundle=f"{configuration}-{seed}-{fingerprint['protocol']}-{sum(ap):.9f}",
                method=str(changes.get("method", "agw")),
                seed=seed,
                trained_on=str(changes.get("trained_on", "d")),
                configuration=configuration,
            ),
            trial=np.repeat(np.arange(trials), 2 * len(ap)),
            query=np.tile(np.arange(2 * len(ap)), trials),
            identity=np.tile(np.repeat(people, 2), trials),
            ap=spread,
            inp=spread / 2,
            first=np.where(spread > 0.5, 1, 7),
        )

    return make
