"""Graphs in 8-bit integers: ranges learnt from training pictures, the loss measured on the test.

Weights keep 7 bits, so that sums of products fit the 16-bit steps of processors without dot-product instructions:
what was measured on one machine holds on another.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from pydantic import Field

from vireid.export.graphs import Graph
from vireid.methods.bundle import Preprocessing
from vireid.methods.onnx_encoder import inputs_of
from vireid.options import Options

__all__ = ["Int8", "quantise"]

_QUANTISED = ["Conv", "Gemm", "MatMul"]
_BATCH = 16


class Int8(Options):
    """How graphs are quantised, and what it may cost."""

    pictures: int = Field(256, ge=1, description="training pictures of each modality that ranges are learnt from")
    most_loss: float = Field(1.0, ge=0.0, description="mAP, in percentage points, that may be lost on the test")


def quantise(graph: Graph, pictures: Sequence[NDArray[np.uint8]], preprocessing: Preprocessing) -> Any:
    """The ONNX model of `graph` with its products in int8, per channel; everything else, and `graph.exact`, stays fp32.

    pictures: (H, W, 3) uint8 of the modality that the graph embeds.
    """
    with tempfile.TemporaryDirectory() as folder, _quiet():
        plain, ready, done = (Path(folder) / f"{name}.onnx" for name in ("plain", "ready", "done"))
        onnx.save_model(graph.model, plain, save_as_external_data=True, location="plain.bin")
        quant_pre_process(plain, ready, skip_symbolic_shape=True, save_as_external_data=True)
        present = {node.name for node in onnx.load(ready, load_external_data=False).graph.node}
        quantize_static(
            ready,
            done,
            _Reader(pictures, preprocessing),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_QUANTISED,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=[name for name in graph.exact if name in present],
        )
        model = onnx.load(done)
    for entry in graph.model.metadata_props:
        if entry.key not in {known.key for known in model.metadata_props}:
            model.metadata_props.add(key=entry.key, value=entry.value)
    return model


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, pictures: Sequence[NDArray[np.uint8]], preprocessing: Preprocessing) -> None:
        starts = range(0, len(pictures), _BATCH)
        self._batches: Iterator[Mapping[str, NDArray[np.float32]]] = (
            {"images": inputs_of(pictures[start : start + _BATCH], preprocessing)} for start in starts
        )

    def get_next(self) -> Mapping[str, NDArray[np.float32]] | None:
        return next(self._batches, None)


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser logs advice on standard error that does not apply here."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
