"""The matcher that holds BIT's pair network, and that network as an export writes it."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vireid.matching import PairNetworkMatcher
from vireid.matching.arrays import Array, is_tensor
from vireid.networks.modes import evaluating
from vireid.networks.pair_network import PairNetwork
from vireid.types import Embeddings, Modality

__all__ = ["PairMatcher", "PairScorer"]

_ELEMENTS = 1 << 20  # token values of one side's pairs that are looked at together


class PairMatcher(PairNetworkMatcher):
    """Computed where the network is."""

    def __init__(self, network: PairNetwork) -> None:
        self.network = network

    def _look(self, query: Embeddings[Any], gallery: Embeddings[Any], modality: Modality) -> Array:
        with evaluating(self.network), torch.inference_mode():
            found = self._logits(_tokens(query), modality, _tokens(gallery))
        return found.to(query.vector.device) if is_tensor(query.vector) else found.cpu().numpy()

    def _logits(self, query: Tensor, modality: Modality, gallery: Tensor) -> Tensor:
        """Tokens (Q, T, C) and (G, T, C) -> (Q, G). Both are prepared once a block, not once a pair."""
        step = max(1, _ELEMENTS // gallery[0].numel())
        found = torch.empty(len(query), len(gallery), device=self._place.device)
        for right in range(0, len(gallery), step):
            others = self.network.prepare(gallery[right : right + step].to(self._place), modality.other)
            for left in range(0, len(query), step):
                asking = self.network.prepare(query[left : left + step].to(self._place), modality)
                for place in range(len(asking.tokens)):
                    one = asking.rows(torch.full((len(others.tokens),), place, device=self._place.device))
                    pair = (one, others) if modality is Modality.VISIBLE else (others, one)
                    found[left + place, right : right + step] = self.network(*pair).logits
        return found

    @property
    def _place(self) -> Tensor:
        """A tensor of the device and type that the network computes with."""
        return next(self.network.parameters())


class PairScorer(nn.Module):
    """The pair network from tokens to logits, in one call."""

    def __init__(self, network: PairNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, visible: Tensor, infrared: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Tokens (V, T, C) and (I, T, C), and the pictures of M pairs, (M,) and (M,) int64 -> logits (M,)."""
        sides = self.network.prepare(visible, Modality.VISIBLE), self.network.prepare(infrared, Modality.INFRARED)
        logits: Tensor = self.network(sides[0].rows(rows), sides[1].rows(columns)).logits
        return logits


def _tokens(side: Embeddings[Any]) -> Tensor:
    tokens = side.fields["tokens"]
    return tokens if is_tensor(tokens) else torch.from_numpy(np.ascontiguousarray(tokens))
