"""A model that needs no torch: a bundle folder whose encoder averages the colours of four stripes."""

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

from vireid.data.images import read_image, resize
from vireid.methods.bundle import Bundle, Preprocessing
from vireid.types import Embeddings, Modality

PREPROCESSING = {"height": 16, "width": 8, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}


class StripeEncoder:
    """Mean colour of four stripes, unit length; stops after `batches` calls if told so."""

    def __init__(self, *, digest: str, batches: int | None = None) -> None:
        self.digest = digest
        self.preprocessing = Preprocessing.model_validate(PREPROCESSING)
        self.batches = batches
        self.embedded = 0

    def embed(self, pictures: Sequence[NDArray[np.uint8]], modality: Modality) -> Embeddings[NDArray[np.float32]]:
        if self.batches is not None:
            if self.batches == 0:
                raise KeyboardInterrupt
            self.batches -= 1
        self.embedded += len(pictures)
        vectors = np.stack([stripes(resize(picture, self.preprocessing.size)) for picture in pictures])
        return Embeddings(vectors, {"plain": vectors[:, :3].copy()})


def stripes(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    vector = np.concatenate([part.mean(axis=(0, 1)) for part in np.array_split(picture.astype(np.float32), 4)]) + 1.0
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def write_bundle(folder: Path, *, seed: int) -> Bundle:
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(b"weights")
    card = {
        "dataset": "made up",
        "dataset_kind": "sysu",
        "dataset_fingerprint": "0",
        "licence": "none",
        "restricted": False,
        "protocol": "none",
        "identities": [],
        "recipe": "0",
        "seed": seed,
        "vireid": "0",
    }
    header = {
        "format": 1,
        "method": "agw",
        "options": {},
        "data": {"identities": 2, "image_size": [16, 8]},
        "matcher": "dot",
        "preprocessing": PREPROCESSING,
        "card": card,
        "weights_sha256": hashlib.sha256(b"weights").hexdigest(),
    }
    (folder / "bundle.json").write_text(json.dumps(header))
    return Bundle.open(folder)


def write_pictures(folder: Path, count: int, *, seed: int = 0, size: tuple[int, int] = (24, 12)) -> list[Path]:
    """Noise pictures NNN.png, each of its own mean colours."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    paths = []
    for number in range(count):
        tone = np.repeat(rng.integers(0, 256, size=(4, 1, 3)), size[0] // 4, axis=0)
        pixels = np.clip(tone + rng.integers(-10, 10, size=(size[0], size[1], 3)), 0, 255).astype(np.uint8)
        paths.append(folder / f"{number:03d}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


@pytest.fixture
def encoder(bundle: Bundle) -> StripeEncoder:
    return StripeEncoder(digest=bundle.digest)


@pytest.fixture
def make_encoder(bundle: Bundle) -> Callable[..., StripeEncoder]:
    return partial(StripeEncoder, digest=bundle.digest)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_bundle(tmp_path / "model", seed=0)


@pytest.fixture
def other_bundle(tmp_path: Path) -> Bundle:
    return write_bundle(tmp_path / "other model", seed=1)


@pytest.fixture
def make_bundle() -> Callable[..., Bundle]:
    return write_bundle


@pytest.fixture
def make_pictures() -> Callable[..., list[Path]]:
    return write_pictures


@pytest.fixture
def mixed(tmp_path: Path, make_pictures: Any) -> pd.DataFrame:
    """Eight visible and four infrared pictures of four people."""
    visible = make_pictures(tmp_path / "visible", 8, seed=1)
    infrared = make_pictures(tmp_path / "infrared", 4, seed=2)
    return pd.DataFrame(
        {
            "path": [str(path) for path in (*visible, *infrared)],
            "modality": ["visible"] * 8 + ["infrared"] * 4,
            "identity": [0, 0, 1, 1, 2, 2, 3, 3, 0, 1, 2, 3],
            "camera": [1, 2] * 4 + [3] * 4,
        }
    )


@pytest.fixture
def reference() -> Callable[[list[Path], Path, Any], list[str]]:
    """The ranking by a plain loop over all pictures."""

    def rank(paths: list[Path], query: Path, encoder: Any) -> list[str]:
        vector = encoder.embed([read_image(query)], "infrared").vector[0]
        scored = []
        for place, path in enumerate(paths):
            pixels = resize(read_image(path), encoder.preprocessing.size)
            scored.append((-float(vector @ encoder.embed([pixels], "visible").vector[0]), place))
        return [str(paths[place]) for _, place in sorted(scored)]

    return rank


@pytest.fixture
def files_below() -> Callable[[Path], dict[str, bytes]]:
    """Every file below a folder with its bytes."""

    def read(folder: Path) -> dict[str, bytes]:
        return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}

    return read
