"""Attention to channels, read in bands of the body, and to positions, read at several scales.

The channel and spatial gates of Woo et al., "CBAM: Convolutional Block Attention Module", ECCV 2018, in the form of
MCF's PA-CBAM: the channel gate pools every one of K bands of rows by itself, and the spatial gate looks through windows
of 1, 3 and 7 positions.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from vireid.errors import UsageError

__all__ = ["PartAttention"]

_WINDOWS = (1, 3, 7)


class PartAttention(nn.Module):
    """Gates maps (N, C, h, w) by channel and then by position; returns the maps and the channel gates (N, C).

    Channel gate: sigmoid(MLP(means) + MLP(maxima)) of the K bands. `concat`: the MLP reads all bands, K*C -> C/r -> C,
    without biases. `shared`: one C -> C/r -> C MLP reads each band, and the answers are added.
    Spatial gate: mean and maximum over channels, convolutions of three windows, a 1x1 convolution, a sigmoid.

    residual: `layerscale` adds what the gates change times a learnt number that starts at 0, so that the module begins
    as the identity; literal gates (`none`) begin at about a quarter of the maps and ruin start weights.
    """

    def __init__(
        self,
        channels: int,
        *,
        parts: int,
        reduction: int = 16,
        mlp: Literal["concat", "shared"] = "concat",
        residual: Literal["layerscale", "none"] = "layerscale",
    ) -> None:
        super().__init__()
        hidden = channels // reduction
        if parts < 1 or hidden < 1:
            raise UsageError(f"{parts} parts and {channels} channels reduced {reduction}-fold leave nothing to gate")
        self.parts, self.mlp = parts, mlp
        self.squeeze = nn.Linear(channels * (parts if mlp == "concat" else 1), hidden, bias=False)
        self.excite = nn.Linear(hidden, channels, bias=False)
        self.windows = nn.ModuleList(nn.Conv2d(2, 1, k, padding=k // 2) for k in _WINDOWS)
        self.combine = nn.Conv2d(len(_WINDOWS), 1, 1)
        self.scale = nn.Parameter(torch.zeros(())) if residual == "layerscale" else None

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Raises: UsageError: the number of bands does not divide the height."""
        gates = self.channel_gates(maps)
        gated = maps * gates.to(maps.dtype)[:, :, None, None]
        gated = gated * self.position_gates(gated)
        return (gated if self.scale is None else maps + self.scale * (gated - maps)), gates

    def channel_gates(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C) in (0, 1)."""
        means, maxima = self.pooled(maps)
        return torch.sigmoid((self._read(means) + self._read(maxima)).float())

    def pooled(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Means and maxima (N, K, C) of the bands, from top to bottom."""
        count, channels, height, _ = maps.shape
        if height % self.parts:
            raise UsageError(f"maps of {height} rows do not divide into {self.parts} bands; take other pictures")
        bands = maps.reshape(count, channels, self.parts, -1)
        return bands.mean(dim=3).transpose(1, 2), bands.amax(dim=3).transpose(1, 2)

    def position_gates(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, 1, h, w) in (0, 1)."""
        seen = torch.cat([maps.mean(dim=1, keepdim=True), maps.amax(dim=1, keepdim=True)], dim=1)
        return torch.sigmoid(self.combine(torch.cat([window(seen) for window in self.windows], dim=1)))

    def _read(self, bands: Tensor) -> Tensor:
        read: Tensor = bands.flatten(1) if self.mlp == "concat" else bands
        answer: Tensor = self.excite(torch.relu(self.squeeze(read)))
        return answer if self.mlp == "concat" else answer.sum(dim=1)
