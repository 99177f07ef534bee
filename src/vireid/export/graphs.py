"""A method's network as ONNX graphs: one for the pictures of each modality, and one for pairs where it scores those."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from vireid import __version__
from vireid.errors import ExportError
from vireid.matching import PairNetworkMatcher, is_registered
from vireid.methods.base import Method
from vireid.methods.bundle import Bundle
from vireid.methods.exported import PAIRS, graph_file
from vireid.types import Modality

__all__ = ["OPSET", "Graph", "Graphs", "trace"]

OPSET = 20
_MOST = 1024  # pictures or pairs in one call, as the tracing has to be told; graphs take more
_SCOPES = "pkg.torch.onnx.name_scopes"


@dataclass(frozen=True)
class Graph:
    """An ONNX model, and the names of its nodes whose arithmetic must stay exact."""

    model: Any
    exact: tuple[str, ...] = ()


@dataclass(frozen=True)
class Graphs:
    """Graphs by the names of their files; `outputs`: the embedding arrays that pictures give, vector first."""

    outputs: tuple[str, ...]
    of: Mapping[str, Graph]


def trace(bundle: Bundle) -> Graphs:
    """The graphs of a bundle's method, in fp32, with any number of pictures.

    Modules that have a method `exportable` are replaced by what it returns.

    Raises:
        ExportError: the method computes something that ONNX has no word for, or fixes the number of pictures; its
            matcher needs the method itself.
    """
    method, replaced = _prepared(bundle.method())
    size = bundle.preprocessing.size
    embedded = {modality: _Embed(method, modality) for modality in Modality}
    pictures = torch.linspace(-2.0, 2.0, 2 * 3 * size[0] * size[1]).view(2, 3, *size)
    found = {
        graph_file(modality): _traced(
            network,
            {"images": pictures},
            shapes={"images": {0: Dim("pictures", min=1, max=_MOST)}},
            outputs=network.outputs(pictures),
            exact=replaced,
            about=_about(bundle, modality=modality),
        )
        for modality, network in embedded.items()
    }
    if not is_registered(bundle.header.matcher):
        found[PAIRS] = _pairs(method, pictures, bundle)
    return Graphs(embedded[Modality.VISIBLE].outputs(pictures), found)


class _Embed(nn.Module):
    """Pictures (N, 3, H, W) of one modality -> the arrays of their embeddings."""

    def __init__(self, method: Method, modality: Modality) -> None:
        super().__init__()
        self.method, self.modality = method, modality

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.method.embed(images, self.modality).arrays().values())

    def outputs(self, images: Tensor) -> tuple[str, ...]:
        """Names of what `forward` returns."""
        with torch.no_grad():
            return tuple(self.method.embed(images, self.modality).arrays())


def _prepared(method: Method) -> tuple[Method, tuple[str, ...]]:
    """A copy whose modules can be traced, and the paths of those that were replaced."""
    method = copy.deepcopy(method).eval().requires_grad_(False)
    replaced = []
    for path, module in list(method.named_modules()):
        if hasattr(module, "exportable"):
            method.set_submodule(path, module.exportable())
            replaced.append(path)
    return method.eval(), tuple(replaced)


def _pairs(method: Method, pictures: Tensor, bundle: Bundle) -> Graph:
    scorer = method.pair_scorer()
    if scorer is None or bundle.header.matcher != PairNetworkMatcher.name:
        raise ExportError(
            f"matcher {bundle.header.matcher!r} computes with the code of method {bundle.method_name!r}, which an "
            "export does not hold; use a matcher of vireid.matching, or a PairNetworkMatcher with Method.pair_scorer"
        )
    with torch.no_grad():
        tokens = method.embed(pictures, Modality.VISIBLE).fields["tokens"].float()
    places = torch.tensor([0, 1, 1])
    given = {"visible": tokens, "infrared": torch.cat([tokens, tokens.flip(0)]), "rows": places, "columns": places + 1}
    pairs = Dim("pairs", min=1, max=_MOST)
    shapes = {"visible": {0: Dim("visible", min=1, max=_MOST)}, "infrared": {0: Dim("infrared", min=1, max=_MOST)}}
    shapes |= {"rows": {0: pairs}, "columns": {0: pairs}}
    return _traced(
        scorer.eval(), given, shapes=shapes, outputs=("logits",), exact=(), about=_about(bundle, modality=None)
    )


def _traced(
    network: nn.Module,
    given: Mapping[str, Tensor],
    *,
    shapes: Mapping[str, Any],
    outputs: Sequence[str],
    exact: Sequence[str],
    about: Mapping[str, str],
) -> Graph:
    try:
        with torch.no_grad(), _quiet():
            program = torch.export.export(network, (), kwargs=dict(given), dynamic_shapes=dict(shapes))
            # The optimiser takes a summand of 1e-12 for zero, which is all that pooling has where maps are zero.
            written = torch.onnx.export(
                program,
                input_names=list(given),
                output_names=list(outputs),
                opset_version=OPSET,
                dynamo=True,
                optimize=False,
                verbose=False,
            )
    except (torch._dynamo.exc.TorchDynamoException, torch.onnx.OnnxExporterError, NotImplementedError) as error:
        raise ExportError(
            f"this method cannot be written as an ONNX graph: {_first_lines(error)}\n(where the number of pictures was "
            "fixed: take images.shape[0] in place of len(images); where an operator is missing: give its module a "
            "method `exportable` that returns one without it)"
        ) from error
    if written is None:  # only where it was told to write a file
        raise ExportError("torch wrote no graph")
    model = written.model_proto
    _name_dimensions(model, shapes)
    kept = tuple(node.name for node in model.graph.node if _within(node, exact))
    _strip(model)
    for key, value in about.items():
        model.metadata_props.add(key=key, value=value)
    return Graph(model, kept)


def _about(bundle: Bundle, *, modality: Modality | None) -> dict[str, str]:
    """What a graph says of itself, so that it can be used without vireid."""
    said = {
        "vireid.version": __version__,
        "vireid.method": bundle.method_name,
        "vireid.bundle": bundle.digest,
        "vireid.matcher": bundle.header.matcher,
        "vireid.trained_on": bundle.card.dataset,
        "vireid.licence": bundle.card.licence,
    }
    if modality is None:
        return said
    preprocessing = {
        **bundle.preprocessing.model_dump(mode="json"),
        "resize": "bilinear, antialiased",
        "values": "(byte / 255 - mean) / std",
        "channels": "RGB",
        "layout": "NCHW",
    }
    return {**said, "vireid.modality": str(modality), "vireid.preprocessing": json.dumps(preprocessing)}


def _within(node: Any, paths: Sequence[str]) -> bool:
    """Whether a node was traced inside one of these modules."""
    scopes = next((entry.value for entry in node.metadata_props if entry.key == _SCOPES), "")
    return any(f"{path}'" in scopes or f"{path}." in scopes for path in paths)


def _strip(model: Any) -> None:
    """Take out what tracing notes of the machine it ran on."""
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for function in model.functions:
        for node in function.node:
            node.ClearField("metadata_props")
            node.ClearField("doc_string")
    model.graph.ClearField("metadata_props")
    model.ClearField("metadata_props")


def _name_dimensions(model: Any, shapes: Mapping[str, Any]) -> None:
    """Give the free dimensions of the inputs, and of what comes of them, the names that they were asked for under."""
    names = {}
    for value in model.graph.input:
        for place, dimension in shapes[value.name].items():
            names[value.type.tensor_type.shape.dim[place].dim_param] = dimension.__name__
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param in names:
                size.dim_param = names[size.dim_param]


def _first_lines(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[-2:])[:600] if lines else type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Tracing's remarks are for those who write exporters; and fused attention cannot be traced."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
