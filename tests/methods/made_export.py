"""An export written by hand, without torch: its vectors are the mean colours of pictures, its pairs their products."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from vireid.files import file_digest

SIZE = (16, 8)
CARD = {
    "dataset": "made up",
    "dataset_kind": "sysu",
    "dataset_fingerprint": "0",
    "licence": "none",
    "restricted": False,
    "protocol": "none",
    "identities": [],
    "recipe": "0",
    "seed": 0,
    "vireid": "0",
}


def write_export(folder: Path, *, pairs: bool = False, precision: str = "fp32", opset: int = 20) -> Path:
    """A whole export; with `pairs` one whose network scores pairs."""
    folder.mkdir(parents=True)
    header = {
        "format": 1,
        "method": "agw",
        "options": {},
        "data": {"identities": 2, "image_size": list(SIZE)},
        "matcher": "pair-network" if pairs else "dot",
        "preprocessing": {"height": SIZE[0], "width": SIZE[1], "mean": [0.1] * 3, "std": [0.5] * 3},
        "card": CARD,
        "weights_sha256": "0",
    }
    (folder / "bundle.json").write_text(json.dumps(header))
    names = ["vector", "tokens", "visible"] if pairs else ["vector"]
    for modality in ("visible", "infrared"):
        onnx.save_model(_encoder(names, modality == "visible", opset), folder / f"{modality}.onnx")
    files = ["visible.onnx", "infrared.onnx"]
    if pairs:
        onnx.save_model(_pairs(opset), folder / "pairs.onnx")
        files.append("pairs.onnx")
    export = {
        "format": 1,
        "bundle": file_digest(folder / "bundle.json"),
        "precision": precision,
        "opset": opset,
        "outputs": names,
        "files": {name: file_digest(folder / name) for name in files},
        "vireid": "0",
        "torch": "0",
    }
    (folder / "export.json").write_text(json.dumps(export))
    return folder


def _constant(name: str, value: Any) -> Any:
    return numpy_helper.from_array(np.asarray(value), name)


def _model(nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: list[Any], opset: int) -> Any:
    graph = helper.make_graph(nodes, "made", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def _encoder(names: list[str], visible: bool, opset: int) -> Any:
    node, value = helper.make_node, helper.make_tensor_value_info
    nodes = [
        node("ReduceMean", ["images", "positions"], ["mean"], keepdims=0),
        node("LpNormalization", ["mean"], ["vector"], axis=1, p=2),
        node("Unsqueeze", ["mean", "one"], ["long"]),
        node("Cast", ["long"], ["tokens"], to=TensorProto.FLOAT16),
        node("Slice", ["mean", "zero", "one", "one"], ["column"]),
        node("Squeeze", ["column", "one"], ["flat"]),
        node("Equal", ["flat", "flat"], ["always"]),
        node("Identity" if visible else "Not", ["always"], ["visible"]),
    ]
    outputs = {
        "vector": value("vector", TensorProto.FLOAT, ["n", 3]),
        "tokens": value("tokens", TensorProto.FLOAT16, ["n", 1, 3]),
        "visible": value("visible", TensorProto.BOOL, ["n"]),
    }
    constants = [
        _constant("positions", np.array([2, 3])),
        _constant("one", np.array([1])),
        _constant("zero", np.array([0])),
    ]
    images = value("images", TensorProto.FLOAT, ["n", 3, *SIZE])
    return _model(nodes, [images], [outputs[name] for name in names], constants, opset)


def _pairs(opset: int) -> Any:
    node, value = helper.make_node, helper.make_tensor_value_info
    nodes = [
        node("Gather", ["visible", "rows"], ["left"], axis=0),
        node("Gather", ["infrared", "columns"], ["right"], axis=0),
        node("Mul", ["left", "right"], ["product"]),
        node("ReduceSum", ["product", "rest"], ["logits"], keepdims=0),
    ]
    inputs = [
        value("visible", TensorProto.FLOAT, ["v", 1, 3]),
        value("infrared", TensorProto.FLOAT, ["i", 1, 3]),
        value("rows", TensorProto.INT64, ["m"]),
        value("columns", TensorProto.INT64, ["m"]),
    ]
    return _model(
        nodes, inputs, [value("logits", TensorProto.FLOAT, ["m"])], [_constant("rest", np.array([1, 2]))], opset
    )
