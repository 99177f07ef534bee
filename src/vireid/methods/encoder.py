"""From pictures to embeddings with a trained method: decoding in threads, the network in batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from vireid.data.ahead import ahead
from vireid.data.images import PictureFiles, PictureSource, resize
from vireid.data.transforms import normalise
from vireid.errors import UsageError, choose
from vireid.matching.arrays import to_numpy
from vireid.methods.base import Method
from vireid.methods.bundle import Bundle, Preprocessing
from vireid.networks.modes import evaluating
from vireid.types import Embeddings, Modality, Track, untracked

__all__ = ["Encoder", "TorchEncoder", "choose_device", "embed_files", "embed_pictures", "open_encoder"]

Picture = NDArray[np.uint8]


class Encoder(Protocol):
    """Embeds pictures of one modality: arrays (H, W, 3) uint8 of any size -> NumPy embeddings.

    digest: the hash of the bundle whose model this is; galleries take no vectors of another one.
    """

    preprocessing: Preprocessing
    digest: str

    def embed(self, pictures: Sequence[Picture], modality: Modality) -> Embeddings[NDArray[Any]]: ...


class TorchEncoder:
    """An `Encoder` that runs a method with torch. bf16 halves the time where the processor has it.

    digest: of the method's bundle; empty for a method in training, which is no bundle yet.
    """

    def __init__(
        self,
        method: Method,
        preprocessing: Preprocessing,
        *,
        digest: str = "",
        device: torch.device | str = "cpu",
        bf16: bool = False,
    ) -> None:
        self.method = method
        self.preprocessing = preprocessing
        self.digest = digest
        self.device = torch.device(device)
        self.bf16 = bf16

    @torch.inference_mode()
    def embed(self, pictures: Sequence[Picture], modality: Modality) -> Embeddings[NDArray[Any]]:
        stacked = np.stack([resize(picture, self.preprocessing.size) for picture in pictures])
        images = torch.from_numpy(stacked).permute(0, 3, 1, 2).to(self.device)
        inputs = normalise(images, self.preprocessing.mean, self.preprocessing.std)
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        with evaluating(self.method), torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            found = self.method.embed(inputs, modality)
        return Embeddings.from_arrays({name: to_numpy(value) for name, value in found.arrays().items()})


def choose_device(name: str | None) -> torch.device:
    """The device called `cpu` or `cuda`; None: CUDA where there is one.

    Raises:
        UsageError: another name, or `cuda` where torch sees no such device.
    """
    available = torch.cuda.is_available()
    chosen = choose(name or ("cuda" if available else "cpu"), ("cpu", "cuda"), "device")
    if chosen == "cuda" and not available:
        raise UsageError("device 'cuda' is not there (torch sees none); use cpu")
    return torch.device(chosen)


def open_encoder(bundle: Bundle, *, device: str | None = None) -> TorchEncoder:
    """The encoder of a bundle, on `device` (`cpu` or `cuda`; default: CUDA where there is one).

    Raises:
        UsageError: there is no such device.
    """
    chosen = choose_device(device)
    method = bundle.method().to(chosen).to(memory_format=torch.channels_last)
    return TorchEncoder(method, bundle.preprocessing, digest=bundle.digest, device=chosen)


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
    source = PictureFiles(paths, encoder.preprocessing.size)
    return embed_pictures(encoder, source, np.arange(len(paths)), modality, batch_size=batch_size, track=track)


def embed_pictures(
    encoder: Encoder,
    source: PictureSource,
    numbers: NDArray[np.int64],
    modality: Modality,
    *,
    batch_size: int = 64,
    track: Track = untracked,
) -> Embeddings[NDArray[Any]]:
    """Embeddings of the pictures that `source` has under `numbers`, in their order.

    Raises:
        ImageError: a picture cannot be read. UsageError: there are no numbers.
    """
    if not len(numbers):
        raise UsageError("there are no pictures to embed")
    chunks = [numbers[start : start + batch_size] for start in range(0, len(numbers), batch_size)]
    parts = [
        encoder.embed(list(pictures), modality)
        for pictures in track(
            ahead(source.read, chunks, depth=3), description=f"embedding {modality}", total=len(chunks)
        )
    ]
    names = parts[0].arrays()
    return Embeddings.from_arrays({name: np.concatenate([part.arrays()[name] for part in parts]) for name in names})
