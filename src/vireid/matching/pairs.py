"""The matcher of networks that look at two pictures together: vectors find candidates, the network scores them."""

from abc import abstractmethod
from typing import Any

from vireid.errors import UsageError
from vireid.matching.arrays import Array
from vireid.matching.base import Matcher
from vireid.types import Embeddings, Modality, Side

__all__ = ["PairNetworkMatcher"]


class PairNetworkMatcher(Matcher):
    """A pair network's logit, of pairs of a visible and an infrared picture, whichever is the query.

    vector: (N, C) the backbone's, unit length. fields: `tokens` (N, T, C) patch tokens, `visible` (N,) bool.
    Ranked by the logit, since its probability would round to ties at 1.
    """

    name = "pair-network"
    exact = False
    mode = "cascade"
    fields: tuple[str, ...] = ("tokens", "visible")

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
        return self._look(query, gallery, sides[0])

    @abstractmethod
    def _look(self, query: Embeddings[Any], gallery: Embeddings[Any], modality: Modality) -> Array:
        """(Q, G) logits, for queries of `modality` and gallery pictures of the other one; neither side is empty."""

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
