"""Graphs on disk: small files, and one that holds the weights of all of them once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

from vireid.files import file_digest
from vireid.methods.exported import WEIGHTS

__all__ = ["save_graphs"]

_SMALL = 1024  # bytes; what is smaller stays in the graph
_ALIGNED = 64


def save_graphs(folder: Path, models: Mapping[str, Any]) -> dict[str, str]:
    """Write ONNX models under their names; returns the SHA-256 of every file. The models are changed by it."""
    places: dict[bytes, int] = {}
    with (folder / WEIGHTS).open("wb") as stream:
        for model in models.values():
            for tensor in model.graph.initializer:
                data = tensor.raw_data
                if len(data) < _SMALL:
                    continue
                key = hashlib.sha256(data).digest()
                if key not in places:
                    stream.write(b"\0" * (-stream.tell() % _ALIGNED))
                    places[key] = stream.tell()
                    stream.write(data)
                _refer(tensor, places[key], len(data))
    if not places:
        (folder / WEIGHTS).unlink()
    for name, model in models.items():
        onnx.save_model(model, folder / name)
    return {name: file_digest(folder / name) for name in sorted([*models, *([WEIGHTS] if places else [])])}


def _refer(tensor: Any, offset: int, length: int) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.ClearField("external_data")
    for key, value in (("location", WEIGHTS), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))
