"""From pictures to embeddings with a trained method: decoding in threads, the network in batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from vireid.data.ahead import ahead
from vireid.data.images import read_image, resize
from vireid.data.transforms import normalise
from vireid.errors import UsageError
from vireid.methods.base import Method
from vireid.methods.bundle import Bundle, Preprocessing
from vireid.types import Embeddings, Modality, Track, untracked

__all__ = ["Encoder", "TorchEncoder", "embed_files", "open_encoder"]

Picture = NDArray[np.uint8]


class Encoder(Protocol):
    """Embeds pictures of one modality: arrays (H, W, 3) uint8 of any size -> NumPy embeddings."""

    preprocessing: Preprocessing

    def embed(self, pictures: Sequence[Picture], modality: Modality) -> Embeddings[NDArray[Any]]: ...


class TorchEncoder:
    """An `Encoder` that runs a method with torch. bf16 halves the time where the processor has it."""

    def __init__(
        self, method: Method, preprocessing: Preprocessing, *, device: torch.device | str = "cpu", bf16: bool = False
    ) -> None:
        self.method = method
        self.preprocessing = preprocessing
        self.device = torch.device(device)
        self.bf16 = bf16

    @torch.inference_mode()
    def embed(self, pictures: Sequence[Picture], modality: Modality) -> Embeddings[NDArray[Any]]:
        stacked = np.stack([resize(picture, self.preprocessing.size) for picture in pictures])
        images = torch.from_numpy(stacked).permute(0, 3, 1, 2).to(self.device)
        inputs = normalise(images, self.preprocessing.mean, self.preprocessing.std)
        was_training = self.method.training
        self.method.eval()
        try:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                found = self.method.embed(inputs, modality)
        finally:
            self.method.train(was_training)
        return Embeddings.from_arrays({name: value.float().cpu().numpy() for name, value in found.arrays().items()})


def open_encoder(bundle: Bundle, *, device: str | None = None, bf16: bool = False) -> TorchEncoder:
    """The encoder of a bundle, on `device` (default: CUDA where there is one)."""
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    method = bundle.method().to(chosen)
    return TorchEncoder(method, bundle.preprocessing, device=chosen, bf16=bf16)


def embed_files(
    encoder: Encoder,
    paths: Sequence[str],
    modality: Modality,
    *,
    batch_size: int = 64,
    track: Track = untracked,
) -> Embeddings[NDArray[Any]]:
    """Embeddings of picture files, in order.

    Raises:
        ImageError: a file cannot be read; it is named. UsageError: there are no files.
    """

    def read(chunk: Sequence[str]) -> list[Picture]:
        return [resize(read_image(path), encoder.preprocessing.size) for path in chunk]

    if not len(paths):
        raise UsageError("there are no pictures to embed")
    chunks = [paths[start : start + batch_size] for start in range(0, len(paths), batch_size)]
    parts = [
        encoder.embed(pictures, modality)
        for pictures in track(ahead(read, chunks, depth=3), description=f"embedding {modality}", total=len(chunks))
    ]
    names = parts[0].arrays()
    return Embeddings.from_arrays({name: np.concatenate([part.arrays()[name] for part in parts]) for name in names})
