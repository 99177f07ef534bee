"""The matcher that holds BIT's pair network: vectors find candidates, the network scores them."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from vireid.errors import UsageError
from vireid.matching import Matcher
from vireid.matching.arrays import Array, is_tensor
from vireid.networks.modes import evaluating
from vireid.networks.pair_network import PairNetwork
from vireid.types import Embeddings, Modality, Side

__all__ = ["PairMatcher"]

_ELEMENTS = 1 << 20  # token values of one side's pairs that are looked at together


class PairMatcher(Matcher):
    """The pair network's logit, of pairs of a visible and an infrared picture, whichever is the query.

    vector: (N, C) the backbone's, unit length. fields: `tokens` (N, T, C) patch tokens, `visible` (N,) bool.
    Computed where the network is; ranked by the logit, since its probability would round to ties at 1.
    """

    name = "pair-network"
    exact = False
    fields = ("tokens", "visible")

    def __init__(self, network: PairNetwork) -> None:
        self.network = network

    def lift(self, embeddings: Embeddings[Any], side: Side) -> Array:  # noqa: ARG002
        return embeddings.vector

    def score(self, query: Embeddings[Any], gallery: Embeddings[Any]) -> Array:
        """(Q, G) logits.

        Raises:
            UsageError: a field is missing; pictures of one modality meet; a side holds both.
        """
        if not len(query) or not len(gallery):
            return query.vector[:, :1] @ gallery.vector[:, :1].T
        sides = self._modality(query, "query"), self._modality(gallery, "gallery")
        if sides[0] is sides[1]:
            raise UsageError(
                f"matcher {self.name!r} looks at a visible and an infrared picture together; both sides are {sides[0]}"
            )
        with evaluating(self.network), torch.inference_mode():
            found = self._logits(self._tokens(query), sides[0], self._tokens(gallery))
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

    def _tokens(self, side: Embeddings[Any]) -> Tensor:
        tokens = side.fields["tokens"]
        return tokens if is_tensor(tokens) else torch.from_numpy(np.ascontiguousarray(tokens))

    def _modality(self, side: Embeddings[Any], role: str) -> Modality:
        if lacking := self.lacking(side):
            raise UsageError(f"matcher {self.name!r} needs the embedding fields {', '.join(lacking)} of the {role}")
        visible = side.fields["visible"]
        if bool(visible.all()):
            return Modality.VISIBLE
        if bool(visible.any()):
            raise UsageError(
                f"matcher {self.name!r} takes a {role} of one modality; this one holds both, so filter by modality"
            )
        return Modality.INFRARED
