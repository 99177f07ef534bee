"""An export: a bundle whose network is written as ONNX graphs. It is opened, embeds and scores without torch.

    bundle.json                    the header of the bundle that it was made from, byte for byte
    export.json                    precision, operator set, and the SHA-256 of every file below
    visible.onnx, infrared.onnx    pictures of one modality to embeddings
    pairs.onnx                     tokens of pictures and pairs of them to logits, where a network scores pairs
    weights.bin                    what the graphs share
    parity.json                    how far its answers are from the bundle's; not part of the hash

Whoever takes a bundle takes this folder in its place.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from pydantic import Field

from vireid.errors import BundleError, RecipeError
from vireid.files import file_digest
from vireid.matching import Matcher, PairNetworkMatcher, create_matcher, is_registered
from vireid.methods.bundle import EXPORT, HEADER, Bundle
from vireid.options import Options, parse
from vireid.types import Modality

if TYPE_CHECKING:
    from vireid.methods.encoder import Encoder

__all__ = ["EXPORT", "PAIRS", "PARITY", "WEIGHTS", "ExportHeader", "ExportedBundle", "graph_file"]

PAIRS, PARITY, WEIGHTS = "pairs.onnx", "parity.json", "weights.bin"


def graph_file(modality: Modality) -> str:
    """Name of the graph that embeds pictures of a modality."""
    return f"{modality}.onnx"


class ExportHeader(Options):
    """Contents of `export.json`."""

    format: int = Field(1, ge=1, le=1)
    bundle: str = Field(description="hash of the bundle that was exported")
    precision: Literal["fp32", "int8"] = Field(
        description="fp32 answers as the bundle does; int8 is a model of its own, whose loss parity.json states"
    )
    opset: int = Field(ge=1, description="ONNX operator set of the graphs")
    outputs: tuple[str, ...] = Field(description="embedding arrays in the order of the graphs' outputs; vector first")
    files: dict[str, str] = Field(description="SHA-256 of every graph, and of the weights beside them")
    vireid: str
    torch: str


@dataclass(frozen=True)
class ExportedBundle(Bundle):
    """An export on disk, checked when opened."""

    export: ExportHeader

    @classmethod
    def of_folder(cls, source: Bundle) -> ExportedBundle:
        """The export that lies where `source`'s header was read.

        Raises:
            BundleError: a file is missing, or is not the one that was exported.
        """
        folder = source.path
        try:
            text = (folder / EXPORT).read_text(encoding="utf-8")
            export = parse(ExportHeader, json.loads(text), where=str(folder / EXPORT))
        except (json.JSONDecodeError, UnicodeDecodeError, RecipeError) as error:
            raise BundleError(f"{folder / EXPORT} is damaged or of another version: {error}") from None
        expected = {HEADER: export.bundle, **export.files}
        needed = {graph_file(modality) for modality in Modality}
        if not is_registered(source.header.matcher):
            needed |= {PAIRS}
        if unnamed := sorted(needed - set(expected)):
            raise BundleError(f"{folder / EXPORT} names no {', '.join(unnamed)}; export the bundle again")
        for name, digest in expected.items():
            if not (folder / name).is_file():
                raise BundleError(f"{folder / name} is missing; copy the whole export again")
            if file_digest(folder / name) != digest:
                raise BundleError(f"{folder / name} is not the file that was exported; copy the whole export again")
        return cls(folder, source.header, export)

    @cached_property
    def digest(self) -> str:
        """The model's hash: of the bundle where the export answers as that does, and its own where it does not."""
        return self.export.bundle if self.export.precision == "fp32" else file_digest(self.path / EXPORT)

    def device(self, name: str | None = None) -> str:
        """The device meant: `cpu`, or `cuda` where ONNX Runtime has it, which None prefers.

        Raises:
            UsageError: another name, or a device that ONNX Runtime does not have.
        """
        from vireid.methods.onnx_encoder import choose_provider

        return choose_provider(name)

    def encoder(self, *, device: str | None = None) -> Encoder:
        """What embeds pictures with this model, by ONNX Runtime.

        Raises:
            UsageError: there is no such device.
        """
        from vireid.methods.onnx_encoder import OnnxEncoder

        return OnnxEncoder(self, device=self.device(device))

    def matcher(self, *, device: str | None = None) -> Matcher:
        """How this model's embeddings are scored: in NumPy, or by ONNX Runtime where a network scores pairs."""
        if is_registered(self.header.matcher):
            return create_matcher(self.header.matcher)
        if self.header.matcher != PairNetworkMatcher.name:
            raise BundleError(f"{self.path} names matcher {self.header.matcher!r}, which exports do not hold")
        from vireid.methods.onnx_encoder import OnnxPairMatcher

        return OnnxPairMatcher(self.path / PAIRS, device=device or "cpu")

    def method(self) -> NoReturn:
        """Refused: graphs can neither be trained nor explained.

        Raises:
            BundleError: always.
        """
        raise BundleError(
            f"{self.path} is an export, which has no network to open; use the bundle that it was made from"
        )

    def parity(self) -> dict[str, Any]:
        """How far its answers were from the bundle's when it was made."""
        found: dict[str, Any] = json.loads((self.path / PARITY).read_text(encoding="utf-8"))
        return found
