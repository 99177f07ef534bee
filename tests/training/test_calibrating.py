"""Calibrating on people of a table of pictures, with an encoder that sees colours."""

import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

from vireid.cli import main
from vireid.data import Dataset, open_dataset
from vireid.errors import DataError, LeakError, UsageError
from vireid.matching.calibration import cllr
from vireid.methods.bundle import Bundle, Card, Preprocessing
from vireid.training.calibrating import calibrate
from vireid.types import Embeddings, Modality

PEOPLE, CAMERAS, EACH = 16, {"visible": (1, 2), "infrared": (3, 4)}, 2


class ColourEncoder:
    """Unit vectors of the pixels themselves, about their mean."""

    def __init__(self, digest: str) -> None:
        self.digest = digest
        self.preprocessing = Preprocessing(height=4, width=4)

    def embed(self, pictures: Sequence[NDArray[np.uint8]], modality: Modality) -> Embeddings[NDArray[np.float32]]:
        vectors = np.stack([picture.astype(np.float32).ravel() - 128 for picture in pictures])
        return Embeddings(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Sixteen people, two cameras a modality, two pictures before each: noise about the person's own pattern."""
    root, rng, rows = tmp_path / "own pictures", np.random.default_rng(0), []
    root.mkdir()
    for person in range(PEOPLE):
        pattern = rng.normal(0, 30, (4, 4, 3))
        for modality, cameras in CAMERAS.items():
            for camera in cameras:
                for number in range(EACH):
                    name = f"{person}-{camera}-{number}.png"
                    noisy = 128 + pattern + rng.normal(0, 45, pattern.shape)
                    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(root / name)
                    split = "test" if person < 12 else "train"
                    rows.append((name, person, camera, modality, split))
    pd.DataFrame(rows, columns=["path", "identity", "camera", "modality", "split"]).to_csv(
        root / "manifest.csv", index=False
    )
    return open_dataset("manifest", root)


@pytest.fixture
def make_bundle(tmp_path: Path, card: Card, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bundle]:
    def make(**changes: Any) -> Bundle:
        folder = tmp_path / "model"
        folder.mkdir()
        (folder / "weights.safetensors").write_bytes(b"weights")
        header = {
            "format": 1,
            "method": "agw",
            "options": {},
            "data": {"identities": 2, "image_size": [4, 4]},
            "matcher": "dot",
            "preprocessing": {"height": 4, "width": 4},
            "card": card.model_copy(update=changes).model_dump(mode="json"),
            "weights_sha256": hashlib.sha256(b"weights").hexdigest(),
        }
        (folder / "bundle.json").write_text(json.dumps(header))
        bundle = Bundle.open(folder)
        encoder = ColourEncoder(bundle.digest)
        monkeypatch.setattr(Bundle, "encoder", lambda bundle, *, device=None: encoder)
        return bundle

    return make


def run(bundle: Bundle, dataset: Dataset, tmp_path: Path, **options: Any) -> Any:
    return calibrate(bundle, dataset, folder=tmp_path / "embeddings", resamples=20, device="cpu", **options)


def test_pairs_of_one_place_are_left_out_and_all_others_counted(
    make_bundle: Callable[..., Bundle], dataset: Dataset, tmp_path: Path
) -> None:
    bundle = make_bundle()
    made = run(bundle, dataset, tmp_path, people="all")
    calibration = made.calibration
    assert set(calibration.pairs) == {
        "visible-visible",
        "visible-infrared",
        "infrared-visible",
        "infrared-infrared",
    }
    within, across = calibration.pairs["visible-visible"], calibration.pairs["infrared-visible"]
    # 64 pictures a modality; within one, a picture meets the two of its person before the other camera
    assert (within.genuine_pairs, within.impostor_pairs) == (64 * 2, 64 * 30)
    assert (across.genuine_pairs, across.impostor_pairs) == (64 * 4, 64 * 60)
    for name, found in calibration.pairs.items():
        assert found.slope > 0
        assert found.min_cllr <= found.cllr + 1e-9 < 1
        assert found.cllr == pytest.approx(cllr(made.llr[name].genuine, made.llr[name].impostor))
    assert calibration.identities == tuple(range(PEOPLE))
    assert (calibration.rule, calibration.people, calibration.bundle) == ("same-camera", "all", bundle.digest)
    fewer = run(bundle, dataset, tmp_path, people="test", pictures=1).calibration.pairs["infrared-visible"]
    assert (fewer.genuine_pairs, fewer.identities) == (12 * 2 * 2, 12)


def test_who_was_trained_on_is_refused(make_bundle: Callable[..., Bundle], dataset: Dataset, tmp_path: Path) -> None:
    known = {"dataset": dataset.name, "dataset_kind": "manifest", "dataset_fingerprint": dataset.fingerprint}
    bundle = make_bundle(identities=(12, 13, 14, 15), **known)
    with pytest.raises(LeakError, match="4 of the 16"):
        run(bundle, dataset, tmp_path, people="all")
    assert run(bundle, dataset, tmp_path, people="test").calibration.identities == tuple(range(12))
    with pytest.raises(UsageError, match=r"kept nobody out \(data.held_out\), so say who"):
        run(bundle, dataset, tmp_path)
    with pytest.raises(UsageError, match="kept nobody out"):
        run(bundle, dataset, tmp_path, people="held-out")
    with pytest.raises(UsageError, match="did you mean 'test'"):
        run(bundle, dataset, tmp_path, people="tests")
    with pytest.raises(UsageError, match="no pictures of val"):
        run(bundle, dataset, tmp_path, people="val")


def test_people_held_out_of_the_training_are_the_default(
    make_bundle: Callable[..., Bundle], dataset: Dataset, tmp_path: Path
) -> None:
    known = {"dataset": dataset.name, "dataset_kind": "manifest", "dataset_fingerprint": dataset.fingerprint}
    bundle = make_bundle(identities=tuple(range(12)), held_out=tuple(range(9)), **known)
    assert run(bundle, dataset, tmp_path).calibration.identities == tuple(range(9))
    (dataset.root / "0-1-0.png").rename(dataset.root / "other.png")
    table = pd.read_csv(dataset.root / "manifest.csv").replace("0-1-0.png", "other.png")
    table.to_csv(dataset.root / "manifest.csv", index=False)
    with pytest.raises(UsageError, match="not the data set that the model was trained on, or has changed"):
        run(bundle, open_dataset("manifest", dataset.root), tmp_path)


def test_a_modality_that_is_absent_is_told(
    make_bundle: Callable[..., Bundle], dataset: Dataset, tmp_path: Path
) -> None:
    table = pd.read_csv(dataset.root / "manifest.csv")
    table[table.modality == "visible"].to_csv(dataset.root / "manifest.csv", index=False)
    bundle = make_bundle()
    made = run(bundle, open_dataset("manifest", dataset.root), tmp_path, people="all").calibration
    assert list(made.pairs) == ["visible-visible"]
    assert "infrared and visible, show one person" in made.missing["infrared-visible"]
    table[table.camera == 1].to_csv(dataset.root / "manifest.csv", index=False)
    with pytest.raises(DataError, match="no pair of modalities of own pictures can be calibrated"):
        run(bundle, open_dataset("manifest", dataset.root), tmp_path, people="all")


def test_the_command_keeps_it_and_writes_the_page(
    make_bundle: Callable[..., Bundle],
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    bundle, page = make_bundle(), tmp_path / "page.html"
    digest = bundle.digest
    command = ["vireid", "calibrate", str(bundle.path), "--data", str(dataset.root), "--kind", "manifest"]
    options = ["--identities", "all", "--resamples", "20", "--device", "cpu", "--report", str(page)]

    def call(*more: str) -> str:
        monkeypatch.setattr(sys, "argv", [*command, *options, *more])
        with pytest.raises(SystemExit) as left:
            main()
        assert not left.value.code
        return capsys.readouterr().out

    told = json.loads(call("--json"))
    stored = Bundle.open(bundle.path).calibration()
    assert stored is not None
    assert (told["calibration"], bundle.digest) == (stored.digest, digest)
    rows = told["pairs"]["infrared-visible"]["thresholds"]
    assert [round(row["llr"], 2) for row in rows] == [0, 2.3, 4.61, 6.91, 9.21]
    assert rows[0]["false_matches_in_1000"] == pytest.approx(1000 * rows[0]["false_match_rate"])
    html = page.read_text()
    assert html.count("<svg") == 4 + 4 + 1
    assert "Calibrated on 16 people" in html
    assert "infrared-visible" in call()
