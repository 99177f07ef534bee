"""Networks that say several things of a picture: one feature for each region, and the gates that chose channels."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from vireid.errors import UsageError
from vireid.networks.part_attention import PartAttention
from vireid.networks.pooling import StripeGeM
from vireid.networks.two_stream import TwoStreamResNet
from vireid.networks.vit import ViT, resized_positions
from vireid.networks.weights import LoadReport, fill

__all__ = ["ConvolutionalStem", "RegionResNet", "RegionViT", "Regions"]

PartAttentionFactory: TypeAlias = Callable[[int], PartAttention]
"""Makes the attention module of a map of so many channels."""

_GRID = "pos_grid"
_TOKEN_STD = 0.02


class Regions(NamedTuple):
    """features: (N, regions, C). gates: (N, C) of each attention module, in order."""

    features: Tensor
    gates: tuple[Tensor, ...]


class RegionResNet(nn.Module):
    """Horizontal stripes of a two-stream ResNet's last maps, generalised-mean pooled; attention acts on these maps."""

    def __init__(
        self, architecture: str, *, regions: int, separate_stages: int = 1, attention: PartAttentionFactory | None
    ) -> None:
        super().__init__()
        self.network = TwoStreamResNet(architecture, separate_stages=separate_stages)
        self.architecture, self.channels = architecture, self.network.channels
        self.attention = nn.ModuleList([attention(self.channels)] if attention else [])
        self.pool = StripeGeM(regions)

    def forward(self, visible: Tensor | None, infrared: Tensor | None) -> Regions:
        """Images (Nv, 3, H, W) and (Ni, 3, H, W), either may be None -> regions of Nv + Ni pictures, visible first."""
        maps = self.network(visible, infrared)
        gates = []
        for module in self.attention:
            maps, gate = module(maps)
            gates.append(gate)
        return Regions(self.pool(maps.clamp(min=0)), tuple(gates))

    def load_start(self, state: Mapping[str, Tensor], *, source: str = "a state") -> LoadReport:
        """As `TwoStreamResNet.load_start`."""
        return self.network.load_start(state, source=source)


class ConvolutionalStem(nn.Module):
    """Three convolutions and a strided one in place of a ViT's patch projection.

    Luo et al., "Self-Supervised Pre-Training for Transformer-Based Person Re-Identification", 2021, section 4.2: half
    of the channels of the first two are normalised by picture (Pan et al., "Two at Once: Enhancing Learning and
    Generalization Capacities via IBN-Net", ECCV 2018). One token for 16 x 16 pixels, as a patch of that size.
    """

    def __init__(self, channels: int, *, width: int = 64, patch: int = 16) -> None:
        super().__init__()
        if patch % 2:
            raise UsageError(f"the convolutional stem halves the picture first; a patch of {patch} pixels is not even")
        first = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        second, third = (nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(2))
        self.convolutions = nn.Sequential(
            *(first, _HalfInstanceNorm(width), nn.ReLU()),
            *(second, _HalfInstanceNorm(width), nn.ReLU()),
            *(third, nn.BatchNorm2d(width), nn.ReLU()),
        )
        self.projection = nn.Conv2d(width, channels, patch // 2, stride=patch // 2)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) -> tokens (N, h * w, C), row by row."""
        tokens: Tensor = self.projection(self.convolutions(images)).flatten(2).transpose(1, 2)
        return tokens


class RegionViT(nn.Module):
    """N class tokens of a ViT, each with its own say about a picture; or stripes of its patch tokens.

    Visible and infrared pictures have a stem of their own, everything else is shared. Attention modules gate the map of
    patch tokens before the blocks in `positions`, so that class tokens read what was gated.

    stem: `patch` is timm's projection, `convolutional` is `ConvolutionalStem`. class_tokens: False takes stripes of
    patch tokens, means of equally many rows. path_dropout: of whole blocks, rising linearly from 0.

    Raises:
        UsageError: the architecture is not known or does not fit; a position that is no block; rows that the stripes do
            not divide.
    """

    def __init__(
        self,
        architecture: str,
        *,
        image_size: tuple[int, int],
        regions: int,
        class_tokens: bool = True,
        stem: str = "patch",
        path_dropout: float = 0.0,
        attention: PartAttentionFactory | None = None,
        positions: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        plain = ViT(architecture, image_size=image_size, path_dropout=path_dropout)
        model: Any = plain.model
        self.architecture, self.channels, self.grid = architecture, plain.channels, plain.grid
        self.image_size = tuple(image_size)
        if not class_tokens and self.grid[0] % regions:
            raise UsageError(f"{self.grid[0]} rows of patches do not divide into {regions} stripes")
        wrong = [place for place in positions if not 0 <= place < len(model.blocks)]
        if wrong:
            raise UsageError(f"attention stands before a block, 0..{len(model.blocks) - 1}, not {wrong[0]}")
        self.stripes = 0 if class_tokens else regions
        patch = int(model.patch_embed.patch_size[0])
        self.visible = ConvolutionalStem(self.channels, patch=patch) if stem == "convolutional" else model.patch_embed
        self.infrared = copy.deepcopy(self.visible)
        self.tokens = nn.Parameter(torch.randn(1, regions if class_tokens else 1, self.channels) * _TOKEN_STD)
        self.positions = nn.Parameter(model.pos_embed.detach()[:, 1:].clone())
        self.blocks: nn.ModuleList = nn.ModuleList(model.blocks)
        self.norm = model.norm
        modules = {str(place): attention(self.channels) for place in positions} if attention else {}
        for module in modules.values():
            if self.grid[0] % module.parts:
                raise UsageError(f"{self.grid[0]} rows of patches do not divide into {module.parts} bands of attention")
        self.attention = nn.ModuleDict(modules)

    def forward(self, visible: Tensor | None, infrared: Tensor | None) -> Regions:
        """Images (Nv, 3, H, W) and (Ni, 3, H, W), either may be None -> regions of Nv + Ni pictures, visible first.

        Raises:
            UsageError: both are None, or a size that the network was not built for.
        """
        given = [(stem, i) for stem, i in ((self.visible, visible), (self.infrared, infrared)) if i is not None]
        if not given:
            raise UsageError("a two-stream network needs visible or infrared images; both are None")
        if sizes := {tuple(images.shape[2:]) for _, images in given} - {self.image_size}:
            raise UsageError(f"this ViT was built for images of {self.image_size}, not {sizes.pop()}")
        patches = torch.cat([stem(images) for stem, images in given]) + self.positions
        states = torch.cat([self.tokens.expand(patches.shape[0], -1, -1).to(patches.dtype), patches], dim=1)
        gates = []
        for place, block in enumerate(self.blocks):
            if str(place) in self.attention:
                states, gate = self._gated(states, self.attention[str(place)])
                gates.append(gate)
            states = block(states)
        states = self.norm(states)
        count = self.tokens.shape[1]
        if not self.stripes:
            return Regions(states[:, :count], tuple(gates))
        rows = states[:, count:].reshape(states.shape[0], self.stripes, -1, self.channels)
        return Regions(rows.mean(dim=2), tuple(gates))

    def load_start(self, state: Mapping[str, Tensor], *, source: str = "a state") -> LoadReport:
        """Fill the network from the state of a timm ViT. Every class token starts at the state's own plus its random
        draw, since equal ones would stay equal; positions are resized bilinearly.

        A convolutional stem takes that of TransReID-SSL's weights (under their keys); a patch projection is skipped.

        Raises:
            WeightsError: the state does not fit.
        """
        state = dict(state)
        grid = state.pop(_GRID, None)
        if {"cls_token", "pos_embed"} <= set(state):
            positions = resized_positions(state.pop("pos_embed"), grid, self.grid, source)
            token = state.pop("cls_token") + positions[:, :1]
            state |= {"tokens": self.tokens.detach() + token, "positions": positions[:, 1:]}
        names = {key: _timm_name(key) for key in self.state_dict() if not key.startswith("attention.")}
        ignored = ["head.weight", "head.bias", "fc.weight", "fc.bias"]
        if isinstance(self.visible, ConvolutionalStem) and "patch_embed.conv.0.weight" not in state:
            names = {key: name for key, name in names.items() if not name.startswith("patch_embed.")}
            ignored += [key for key in state if key.startswith("patch_embed.")]
        return fill(self, names, state, source=source, classifier=ignored)

    def _gated(self, states: Tensor, attention: nn.Module) -> tuple[Tensor, Tensor]:
        count = self.tokens.shape[1]
        patches = states[:, count:].transpose(1, 2).reshape(states.shape[0], self.channels, *self.grid)
        gated, gates = attention(patches)
        return torch.cat([states[:, :count], gated.flatten(2).transpose(1, 2)], dim=1), gates


class _HalfInstanceNorm(nn.Module):
    """Instance normalisation of the first half of the channels, batch normalisation of the others."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = channels // 2
        self.instance = nn.InstanceNorm2d(self.first, affine=True)
        self.batch = nn.BatchNorm2d(channels - self.first)

    def forward(self, maps: Tensor) -> Tensor:
        first, second = maps[:, : self.first], maps[:, self.first :]
        return torch.cat([self.instance(first.contiguous()), self.batch(second.contiguous())], dim=1)


def _timm_name(key: str) -> str:
    """timm's key; those of a convolutional stem are the ones that the weights of its authors have."""
    first, _, rest = key.partition(".")
    if first not in ("visible", "infrared"):
        return key
    for own, theirs in (("convolutions.", "conv."), ("projection.", "proj."), ("instance.", "IN."), ("batch.", "BN.")):
        rest = rest.replace(own, theirs)
    return f"patch_embed.{rest}"
