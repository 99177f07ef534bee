"""The matcher that holds BIT's pair network: vectors find candidates, the network scores them."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vireid.errors import UsageError
from vireid.matching import Matcher
from vireid.matching.arrays import Array, is_tensor
from vireid.networks.cross_interaction import Prepared
from vireid.networks.modes import evaluating
from vireid.networks.pair_network import PairNetwork
from vireid.types import Embeddings, Modality, Side

__all__ = ["PairMatcher"]

# Token values of one side's pairs that are looked at together: a CPU's caches hold few, an accelerator wants many.
_ELEMENTS = {"cpu": 1 << 20, "cuda": 1 << 26}


class PairMatcher(Matcher):
    """The pair network's logit, of pairs of a visible and an infrared picture, whichever is the query.

    vector: (N, C) the backbone's, unit length. fields: `tokens` (N, T, C) patch tokens, `visible` (N,) bool, and where
    patches were left out `places` (N, T), which they are. Computed where the network is; ranked by the logit, since
    its probability would round to ties at 1.

    bf16: interact in half the bits; patches are chosen and scored in fp32 all the same. None: where the network is on
    CUDA.
    """

    name = "pair-network"
    exact = False
    mode = "cascade"

    def __init__(self, network: PairNetwork, *, bf16: bool | None = None) -> None:
        self.network = network
        self.bf16 = bf16
        self.fields = ("tokens", "visible", *(("places",) if network.kept is not None else ()))

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
        place = next(self.network.parameters()).device
        bf16 = place.type == "cuda" if self.bf16 is None else self.bf16
        with (
            evaluating(self.network),
            torch.inference_mode(),
            torch.autocast(place.type, torch.bfloat16, enabled=bf16),
        ):
            found = self._logits(query, gallery, sides[0], place)
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


def _tensor(values: Array) -> Tensor:
    found: Tensor = values if is_tensor(values) else torch.from_numpy(np.ascontiguousarray(values))
    return found
