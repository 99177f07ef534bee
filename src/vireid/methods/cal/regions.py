"""Part queries of a picture: mined regions (the paper's DRM), and the two things its ablation puts in their place."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vireid.methods.cal.options import RegionOptions
from vireid.networks.parts import reorder_rows

__all__ = [
    "LearntVectors",
    "MinedRegions",
    "PartQueries",
    "Regions",
    "Stripes",
    "kept_positions",
    "part_queries",
]

_SCALES = (3, 5)  # windows of the coarser maps
_ROUNDING = 1e-9


class Regions(NamedTuple):
    """queries: (N, parts, C). masks: (N, parts, positions) weights of the positions they are made of, if mined."""

    queries: Tensor
    masks: Tensor | None = None


class PartQueries(nn.Module, ABC):
    """Feature maps (N, C, h, w) -> `Regions`; query k is made by prototype k."""

    @abstractmethod
    def forward(self, maps: Tensor) -> Regions: ...

    def reorder(self, order: Tensor) -> bool:  # noqa: ARG002 - hook
        """Make the part that was number order[u] number u; False where parts have a place of their own."""
        return False


class MinedRegions(PartQueries):
    """Discriminative region mining (section 3.2 of the paper).

    A 1x1 convolution over the map and its maxima in windows of 3 and 5 scores every position for every part; softmax
    over the positions, of which a part keeps its best. Its query is their weighted mean.

    Coarse maps have windows that do not overlap and are brought back to size by repetition. A 1x1 convolution and
    repetition commute, so scores are upsampled and not features.
    """

    def __init__(self, channels: int, parts: int, *, kept: float) -> None:
        super().__init__()
        self.kept = kept
        # No bias: softmax over positions does not see it.
        self.scorer = nn.Conv2d((1 + len(_SCALES)) * channels, parts, 1, bias=False)

    def forward(self, maps: Tensor) -> Regions:
        spread = self.scores(maps).flatten(2).float().softmax(dim=2)
        best = spread.topk(kept_positions(spread.shape[2], spread.shape[1], self.kept), dim=2)
        masks = torch.zeros_like(spread).scatter(2, best.indices, best.values)
        weights = masks / masks.sum(dim=2, keepdim=True)
        return Regions(torch.bmm(weights.to(maps.dtype), maps.flatten(2).transpose(1, 2)), masks)

    def scores(self, maps: Tensor) -> Tensor:
        """(N, parts, h, w), before softmax."""
        fine, *coarse = self.scorer.weight.chunk(1 + len(_SCALES), dim=1)
        scores = F.conv2d(maps, fine)
        for window, weight in zip(_SCALES, coarse, strict=True):
            pooled = F.max_pool2d(maps, window, stride=window, ceil_mode=True)
            scores = scores + F.interpolate(F.conv2d(pooled, weight), size=maps.shape[2:], mode="nearest")
        return scores

    def reorder(self, order: Tensor) -> bool:
        reorder_rows(self.scorer.weight, order)
        return True


class LearntVectors(PartQueries):
    """Queries that are parameters, the same for every picture (ablation)."""

    def __init__(self, channels: int, parts: int) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(parts, channels))

    def forward(self, maps: Tensor) -> Regions:
        return Regions(self.vectors.to(maps.dtype).expand(maps.shape[0], -1, -1))

    def reorder(self, order: Tensor) -> bool:
        reorder_rows(self.vectors, order)
        return True


class Stripes(PartQueries):
    """Queries that are means of horizontal stripes of equal height (ablation)."""

    def __init__(self, parts: int) -> None:
        super().__init__()
        self.parts = parts

    def forward(self, maps: Tensor) -> Regions:
        return Regions(F.adaptive_avg_pool2d(maps, (self.parts, 1)).flatten(2).transpose(1, 2))


def part_queries(options: RegionOptions, channels: int) -> PartQueries:
    """The part queries that the options name."""
    if options.kind == "stripes":
        return Stripes(options.parts)
    if options.kind == "vectors":
        return LearntVectors(channels, options.parts)
    return MinedRegions(channels, options.parts, kept=options.kept)


def kept_positions(positions: int, parts: int, kept: float) -> int:
    """Positions that a part keeps: kept * positions / parts, rounded up, but not for what rounding added to it."""
    return min(positions, math.ceil(kept * positions / parts - _ROUNDING))
