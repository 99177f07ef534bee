"""The target-aware style-agnostic adapter: any picture's part queries looked up in any picture's feature map."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["Adapter", "Prepared", "attend", "exact", "instance_statistics", "read"]

_REDUCTION = 16
_EPSILON = 1e-5


class Prepared(NamedTuple):
    """What there is to know of N pictures, to look their parts up elsewhere or others' parts up in them.

    tokens: (N, positions, C) features. keys: (N, positions, width) and queries: (N, parts, width) are compared.
    gates: (N, parts, C) in (0, 1), one where there is no gate.
    """

    tokens: Tensor
    keys: Tensor
    queries: Tensor
    gates: Tensor


class Adapter(nn.Module):
    """TSAA (section 3.3 of the paper), shared by both modalities.

    Positions and queries are normalised per channel with the mean and variance of the map they come from, which takes
    the style of a picture out, and are mapped by two small networks. The gate sees the queries as they are.
    """

    def __init__(self, channels: int, width: int, *, normalise: bool, gate: bool) -> None:
        super().__init__()
        self.normalise = normalise
        self.of_positions, self.of_queries = (_two_layers(channels, width, width) for _ in range(2))
        for layers in (self.of_positions, self.of_queries):
            _keep_variance(layers)
        self.gate = nn.Sequential(_two_layers(channels, max(1, channels // _REDUCTION), channels), nn.Sigmoid())
        if not gate:
            self.gate = nn.Sequential()

    def forward(self, tokens: Tensor, queries: Tensor) -> Prepared:
        """Tokens (N, positions, C) and part queries (N, parts, C) of the same pictures."""
        gates = self.gate(queries) if len(self.gate) else torch.ones_like(queries)
        positions, parts = tokens, queries
        if self.normalise:
            mean, deviation = instance_statistics(tokens)
            positions, parts = ((exact(values) - mean) / deviation for values in (tokens, queries))
        return Prepared(tokens, self.of_positions(positions), self.of_queries(parts), gates)


def instance_statistics(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (N, 1, C) over the positions of tokens (N, positions, C), in at least fp32."""
    variance, mean = torch.var_mean(exact(tokens), dim=1, correction=0, keepdim=True)
    return mean, (variance + _EPSILON).sqrt()


def attend(keys: Tensor, queries: Tensor) -> Tensor:
    """Attention (N, parts, positions) of queries (N, parts, width) over keys (N, positions, width), in fp32."""
    with torch.autocast(keys.device.type, enabled=False):
        scores = torch.bmm(exact(queries), exact(keys).transpose(1, 2))
        return (scores / math.sqrt(keys.shape[2])).softmax(dim=2)


def read(attention: Tensor, tokens: Tensor, gates: Tensor) -> Tensor:
    """Parts (N, parts, C): tokens (N, positions, C) averaged by attention (N, parts, positions), then gated."""
    return torch.bmm(attention.to(tokens.dtype), tokens) * gates


@torch.no_grad()
def _keep_variance(layers: nn.Sequential) -> None:
    """Start so that inputs of variance 1 leave with variance 1: torch's own start makes attention all but even."""
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    for layer, follower in zip(linear, ("relu", "linear"), strict=True):
        nn.init.kaiming_normal_(layer.weight, nonlinearity=follower)  # type: ignore[arg-type]
        nn.init.zeros_(layer.bias)


def exact(values: Tensor) -> Tensor:
    """`values` in at least fp32."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _two_layers(channels: int, inner: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(channels, inner), nn.ReLU(), nn.Linear(inner, out))
