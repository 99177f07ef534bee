"""The matcher that holds BIT's pair network, and that network as an export writes it."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vireid.matching import PairNetworkMatcher
from vireid.matching.arrays import Array, is_tensor
from vireid.networks.cross_interaction import Prepared
from vireid.networks.modes import evaluating
from vireid.networks.pair_network import PairNetwork
from vireid.types import Embeddings, Modality

__all__ = ["PairMatcher", "PairScorer"]

# Token values of one side's pairs that are looked at together: a CPU's caches hold few, an accelerator wants many.
_ELEMENTS = {"cpu": 1 << 20, "cuda": 1 << 26}


class PairMatcher(PairNetworkMatcher):
    """Computed where the network is. Where patches were left out, fields hold `places` (N, T), which the tokens are.

    bf16: interact in half the bits; patches are chosen and scored in fp32 all the same. None: where the network is on
    CUDA.
    """

    def __init__(self, network: PairNetwork, *, bf16: bool | None = None) -> None:
        self.network = network
        self.bf16 = bf16
        self.fields = ("tokens", "visible", *(("places",) if network.kept is not None else ()))

    def _look(self, query: Embeddings[Any], gallery: Embeddings[Any], modality: Modality) -> Array:
        place = next(self.network.parameters()).device
        bf16 = place.type == "cuda" if self.bf16 is None else self.bf16
        with (
            evaluating(self.network),
            torch.inference_mode(),
            torch.autocast(place.type, torch.bfloat16, enabled=bf16),
        ):
            found = self._logits(query, gallery, modality, place)
        return found.to(query.vector.device) if is_tensor(query.vector) else found.cpu().numpy()

    def _logits(
        self, query: Embeddings[Any], gallery: Embeddings[Any], modality: Modality, place: torch.device
    ) -> Tensor:
        """(Q, G), queries of `modality`. Both sides are prepared once a block of pictures, not once a pair."""
        step = max(1, _ELEMENTS[place.type] // math.prod(query.fields["tokens"].shape[1:]))
        found = torch.empty(len(query), len(gallery), device=place)
        for right in range(0, len(gallery), step):
            others = self._prepared(gallery[right : right + step], modality.other, place)
            for left in range(0, len(query), step):
                asking = self._prepared(query[left : left + step], modality, place)
                for number in range(len(asking.tokens)):
                    one = asking.one(number, len(others.tokens))
                    pair = (one, others) if modality is Modality.VISIBLE else (others, one)
                    found[left + number, right : right + step] = self.network(*pair).logits
        return found

    def _prepared(self, side: Embeddings[Any], modality: Modality, place: torch.device) -> Prepared:
        exact = next(self.network.parameters()).dtype
        tokens = _tensor(side.fields["tokens"]).to(place, exact)
        places = _tensor(side.fields["places"]).to(place, torch.int64) if "places" in self.fields else None
        return self.network.prepare(tokens, modality, places)


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


def _tensor(values: Array) -> Tensor:
    found: Tensor = values if is_tensor(values) else torch.from_numpy(np.ascontiguousarray(values))
    return found
