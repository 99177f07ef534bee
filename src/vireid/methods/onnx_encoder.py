"""Embeddings and pair scores by ONNX Runtime: what runs an export. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as failures

from vireid.data.images import resize
from vireid.errors import BundleError, UsageError, choose
from vireid.matching import PairNetworkMatcher
from vireid.matching.arrays import Array, same_kind, to_numpy
from vireid.methods.bundle import Preprocessing
from vireid.methods.exported import ExportedBundle, graph_file
from vireid.types import Embeddings, Modality

__all__ = ["OnnxEncoder", "OnnxPairMatcher", "choose_provider", "inputs_of", "open_session"]

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_ERRORS_ALONE = 3  # of ONNX Runtime's levels of logging
_ELEMENTS = 1 << 20  # token values of one side's pairs that are looked at together
_FAILURES = (
    failures.Fail,
    failures.InvalidArgument,
    failures.InvalidGraph,
    failures.InvalidProtobuf,
    failures.NoModel,
    failures.NoSuchFile,
    failures.NotImplemented,
    failures.RuntimeException,
)


class OnnxEncoder:
    """An `Encoder` of an export. A modality's graph is loaded when its first picture comes."""

    def __init__(self, bundle: ExportedBundle, *, device: str = "cpu") -> None:
        self.preprocessing = bundle.preprocessing
        self.digest = bundle.digest
        self._bundle, self._device = bundle, device
        self._sessions: dict[Modality, onnxruntime.InferenceSession] = {}

    def embed(self, pictures: Sequence[NDArray[np.uint8]], modality: Modality) -> Embeddings[NDArray[Any]]:
        found = self._session(modality).run(None, {"images": inputs_of(pictures, self.preprocessing)})
        return Embeddings.from_arrays(dict(zip(self._bundle.export.outputs, found, strict=True)))

    def _session(self, modality: Modality) -> onnxruntime.InferenceSession:
        if modality not in self._sessions:
            self._sessions[modality] = open_session(self._bundle.path / graph_file(modality), self._device)
        return self._sessions[modality]


class OnnxPairMatcher(PairNetworkMatcher):
    """A pair network as a graph; it is loaded when the first pair comes."""

    def __init__(self, graph: Path, *, device: str = "cpu") -> None:
        self._graph, self._device = graph, device

    def _look(self, query: Embeddings[Any], gallery: Embeddings[Any], modality: Modality) -> Array:
        """Blocks of pairs; what a picture says by itself is computed once a block."""
        asking, asked = _tokens(query), _tokens(gallery)
        pairs = max(1, _ELEMENTS // asked[0].size)
        wide = min(len(asked), pairs)
        high = max(1, pairs // wide)
        found = np.empty((len(asking), len(asked)), np.float32)
        for right in range(0, len(asked), wide):
            for top in range(0, len(asking), high):
                tile = slice(top, top + high), slice(right, right + wide)
                found[tile] = self._tile(asking[tile[0]], asked[tile[1]], modality)
        return same_kind(found, query.vector)

    def _tile(self, query: NDArray[np.float32], gallery: NDArray[np.float32], modality: Modality) -> NDArray[Any]:
        places = [side.ravel() for side in np.indices((len(query), len(gallery)))]
        given = {modality: (query, places[0]), modality.other: (gallery, places[1])}
        (visible, rows), (infrared, columns) = given[Modality.VISIBLE], given[Modality.INFRARED]
        feed = {"visible": visible, "infrared": infrared, "rows": rows, "columns": columns}
        logits: NDArray[Any] = self._session.run(None, feed)[0]
        return logits.reshape(len(query), len(gallery))

    @cached_property
    def _session(self) -> onnxruntime.InferenceSession:
        return open_session(self._graph, choose_provider(self._device))


def choose_provider(name: str | None) -> str:
    """The device called `cpu` or `cuda`; None: CUDA where ONNX Runtime has it.

    Raises:
        UsageError: another name, or `cuda` where this ONNX Runtime has none.
    """
    available = _PROVIDERS["cuda"] in onnxruntime.get_available_providers()
    chosen = choose(name or ("cuda" if available else "cpu"), _PROVIDERS, "device")
    if chosen == "cuda" and not available:
        raise UsageError(
            "device 'cuda' is not there: this ONNX Runtime runs on the CPU alone; install onnxruntime-gpu in its "
            "place, or use cpu"
        )
    return chosen


def open_session(graph: Path, device: str) -> onnxruntime.InferenceSession:
    """A graph, ready to run.

    Raises:
        BundleError: this ONNX Runtime cannot run it. UsageError: the device cannot be had after all.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ALONE
    try:
        session = onnxruntime.InferenceSession(str(graph), options, providers=[_PROVIDERS[device]])
    except _FAILURES as error:
        raise BundleError(
            f"{graph} cannot be run by ONNX Runtime {onnxruntime.__version__} ({error}); install a newer one, or "
            "export the bundle again"
        ) from error
    if session.get_providers()[0] != _PROVIDERS[device]:  # where its libraries are missing it takes the CPU, silently
        raise UsageError(f"device {device!r} cannot be used by ONNX Runtime (its libraries are missing); use cpu")
    return session


def inputs_of(pictures: Sequence[NDArray[np.uint8]], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Pictures (H, W, 3) uint8 of any size -> what the graphs take, (N, 3, height, width) float32.

    The arithmetic of `vireid.data.transforms.normalise`, bit for bit.
    """
    stacked = np.stack([resize(picture, preprocessing.size) for picture in pictures])
    inputs = np.empty((len(stacked), 3, *preprocessing.size), np.float32)
    for channel, (mean, std) in enumerate(zip(preprocessing.mean, preprocessing.std, strict=True)):
        offset, scale = (np.float32(value) * np.float32(255.0) for value in (mean, std))
        np.subtract(stacked[..., channel], offset, out=inputs[:, channel])
        inputs[:, channel] /= scale
    return inputs


def _tokens(side: Embeddings[Any]) -> NDArray[np.float32]:
    return to_numpy(side.fields["tokens"]).astype(np.float32, copy=False)
