"""How two embeddings are compared: the seam between methods, evaluation and galleries."""

from abc import ABC, abstractmethod
from typing import Any

from vireid.errors import UsageError
from vireid.matching.arrays import Array, concatenate, product
from vireid.types import Embeddings, Side

__all__ = ["Dot", "Matcher"]


class Matcher(ABC):
    """Compares query embeddings with gallery embeddings. Higher scores are better.

    name: what bundles call it. exact: whether the order of the lifts' inner products is already the order of `score`.
    fields: embedding fields, beyond `vector`, that a gallery must keep for `score`. mode: how evaluation ranks unless
    it is told otherwise; a cascade where scores of all pairs cost too much.
    """

    name: str
    exact: bool
    mode: str = "full"
    fields: tuple[str, ...] = ()

    def lacking(self, embeddings: Embeddings[Any]) -> list[str]:
        """Names of the fields that `score` needs and the embeddings do not hold."""
        return [name for name in self.fields if name not in embeddings.fields]

    @abstractmethod
    def lift(self, embeddings: Embeddings[Any], side: Side) -> Array:
        """(N, D) vectors whose inner products, query with gallery, an index can search."""

    @abstractmethod
    def score(self, query: Embeddings[Any], gallery: Embeddings[Any]) -> Array:
        """(Q, G) exact scores of a tile. Evaluation asks for tiles of bounded size, never for a whole gallery."""

    def rescore(self, query: Embeddings[Any], gallery: Embeddings[Any], candidates: Array) -> Array:
        """(Q, K) exact scores of every query with its own gallery rows `candidates` (Q, K) int.

        The default asks `score` for one (1, K) tile a query: no pair is computed that was not asked for.
        """
        if len(candidates) != len(query):
            raise UsageError(f"candidates has {len(candidates)} rows for {len(query)} queries; give one row per query")
        if len(query) == 0:
            return self.score(query, gallery[:0]).reshape(0, candidates.shape[1])
        return concatenate([self.score(query[i : i + 1], gallery[candidates[i]]) for i in range(len(query))])


class Dot(Matcher):
    """The inner product of the vectors: cosine similarity, since they have unit length."""

    name = "dot"
    exact = True

    def lift(self, embeddings: Embeddings[Any], side: Side) -> Array:  # noqa: ARG002
        return embeddings.vector

    def score(self, query: Embeddings[Any], gallery: Embeddings[Any]) -> Array:
        return product(query.vector, gallery.vector)
