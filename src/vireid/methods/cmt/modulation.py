"""Instance-level alignment: what a query does to the pictures it is compared with, and the loss that teaches it."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from vireid.losses import margin_triplet
from vireid.matching import Matcher, modulated_distances
from vireid.types import Embeddings

__all__ = ["Modulation", "modulation_loss"]

_SMALLEST = 1e-6  # squared distance below which fp32 products cannot tell a value, nor a direction, from rounding


class Modulation(nn.Module):
    """Scale and shift of channels, generated from a picture's part features; at the start scale 1 and shift 0.

    kind: which of the two are generated; the other keeps its value of the start.
    """

    def __init__(self, channels: int, kind: Literal["none", "scale", "shift", "affine"]) -> None:
        super().__init__()
        self.scale = _generator(channels, 1.0) if kind in ("scale", "affine") else None
        self.shift = _generator(channels, 0.0) if kind in ("shift", "affine") else None

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Part features (N, p, d) -> scale (N, d) and shift (N, d) in at least fp32, from the mean over parts."""
        mean = features.to(torch.promote_types(features.dtype, torch.float32)).mean(dim=1)
        with torch.autocast(features.device.type, enabled=False):  # a rounded scale would change all channels alike
            scale = torch.ones_like(mean) if self.scale is None else self.scale(mean)
            shift = torch.zeros_like(mean) if self.shift is None else self.shift(mean)
        return scale, shift


def modulation_loss(
    features: Tensor,
    scale: Tensor,
    shift: Tensor,
    labels: Tensor,
    infrared: Tensor,
    *,
    margin: float = 0.3,
    candidates: Literal["opposite", "all"] = "opposite",
    mining: Literal["hard", "mean"] = "hard",
    cosines: Matcher | None = None,
) -> Tensor:
    """Triplet loss of every picture with the others as it modulates them; a scalar.

    features: (N, p, d). scale, shift: (N, d), of each picture as the anchor. labels: (N,). infrared: (N,) bool. The
    anchor itself is not modulated. Distances are Euclidean over all parts, from one product, not from differences;
    given the matcher of `cosines` they are those of unit vectors, the root of 2 - 2 cosine.

    Raises:
        UsageError: no picture has both a positive and a negative among its candidates.
    """
    exact = features.to(scale.dtype)
    with torch.autocast(features.device.type, enabled=False):  # the product is a difference of large numbers
        if cosines is None:
            squared = modulated_distances(exact, scale, shift, exact)
        else:
            given = Embeddings(exact.flatten(1), {"parts": exact, "scale": scale, "shift": shift})
            squared = 2 - 2 * cosines.score(given, given)
        distances = squared.clamp(min=_SMALLEST).sqrt()
    if candidates == "opposite":
        compared = infrared[:, None] != infrared
    else:
        compared = ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    same = labels[:, None] == labels
    return margin_triplet(distances, same & compared, ~same & compared, margin=margin, mining=mining)


def _generator(channels: int, start: float) -> nn.Sequential:
    last = nn.Linear(max(1, channels // 4), channels)
    nn.init.zeros_(last.weight)
    nn.init.constant_(last.bias, start)
    return nn.Sequential(nn.Linear(channels, max(1, channels // 4)), nn.ReLU(), last)
