"""Exact target-aware comparison of parts: a gallery picture's feature map is read again with every query's parts.

CAL (ICCV 2023) calls this too expensive for a search and distils it. Per pair of pictures it takes
parts x positions x (width + C) products, for ResNet-50 about 1/3000 of embedding a picture; what it costs is memory,
since a gallery must keep feature maps.
"""

import math
import sys
from typing import Any

import numpy as np

from vireid.errors import UsageError
from vireid.matching.arrays import Array, concatenate, is_tensor
from vireid.matching.base import Matcher
from vireid.types import Embeddings, Side

__all__ = ["TargetAware", "TargetAwareMutual"]

_QUERIES = 64  # pictures whose parts ask at once
_BLOCK = 1 << 21  # elements of parts that were read, held at once
_TINY = 1e-12


class TargetAware(Matcher):
    """Mean cosine of the query's own parts and of what its part queries find in the gallery picture.

    vector: (N, parts * C) unit parts over the root of their number. fields: `tokens` (N, positions, C), `keys`
    (N, positions, width), `queries` (N, parts, width), `gates` (N, parts, C). With a = softmax over positions of
    queries keys^T / sqrt(width), a part is (a tokens) * gates. Computed in the type of `vector`, whatever the fields'.
    Where a query's parts and part queries are the gallery picture's own, the score is the product of the vectors.
    """

    name = "target-aware"
    exact = False
    fields = ("tokens", "keys", "queries", "gates")

    def lift(self, embeddings: Embeddings[Any], side: Side) -> Array:  # noqa: ARG002
        return embeddings.vector

    def score(self, query: Embeddings[Any], gallery: Embeddings[Any]) -> Array:
        """(Q, G) scores in [-1, 1].

        Raises:
            UsageError: a field is missing, or the two sides differ in kind or in their shapes.
        """
        _check(self, query, gallery)
        return _asked(query, gallery)


class TargetAwareMutual(TargetAware):
    """The mean of `TargetAware` in both directions; twice the cost."""

    name = "target-aware-mutual"

    def score(self, query: Embeddings[Any], gallery: Embeddings[Any]) -> Array:
        _check(self, query, gallery)
        return (_asked(query, gallery) + _asked(gallery, query).T) / 2


def _asked(asking: Embeddings[Any], read: Embeddings[Any]) -> Array:
    """(A, R) mean cosines of the parts of `asking` and of what its queries find in the maps of `read`."""
    if not len(asking) or not len(read):
        return asking.vector[:, :1] @ read.vector[:, :1].T
    return concatenate([_strip(asking[i : i + _QUERIES], read) for i in range(0, len(asking), _QUERIES)])


def _strip(asking: Embeddings[Any], read: Embeddings[Any]) -> Array:
    """`_asked` for few asking pictures: every map is multiplied by all their queries at once."""
    vector = asking.vector
    library, (count, parts, channels) = _library(vector), tuple(asking.fields["gates"].shape)
    gates = _like(asking.fields["gates"], vector).reshape(count * parts, channels)
    own = vector.reshape(count * parts, channels) / math.sqrt(parts)  # cosines of unit parts, over their number
    width = asking.fields["queries"].shape[2]
    queries = _like(asking.fields["queries"], vector).reshape(count * parts, width) / math.sqrt(width)
    step = max(1, _BLOCK // (count * parts * channels))
    columns = []
    for start in range(0, len(read), step):
        block = slice(start, start + step)
        keys, tokens = (_like(read.fields[name][block], vector) for name in ("keys", "tokens"))
        found = _attention(library, queries @ keys.swapaxes(1, 2)) @ tokens  # (R, A * parts, C)
        found *= gates
        cosines = library.einsum("rac,ac->ra", found, own)
        cosines /= library.sqrt(library.einsum("rac,rac->ra", found, found)) + _TINY
        columns.append(cosines.reshape(len(keys), count, parts).sum(axis=2))
    return concatenate(columns).T


def _attention(library: Any, scores: Array) -> Array:
    scores -= library.amax(scores, axis=2, keepdims=True)
    library.exp(scores, out=scores)
    scores /= scores.sum(axis=2, keepdims=True)
    return scores


def _check(matcher: TargetAware, *sides: Embeddings[Any]) -> None:
    for side in sides:
        if lacking := matcher.lacking(side):
            raise UsageError(
                f"matcher {matcher.name!r} needs the embedding fields {', '.join(lacking)}; "
                f"embed with retrieval={matcher.name}"
            )
    query, gallery = sides
    if is_tensor(query.vector) != is_tensor(gallery.vector):
        raise UsageError("query and gallery differ in kind; give both as NumPy arrays or both as tensors")
    unlike = [
        f"{name} {shapes[0]} and {shapes[1]}"
        for name in matcher.fields
        if (shapes := [tuple(side.fields[name].shape[1:]) for side in sides])[0] != shapes[1]
    ]
    if unlike:
        raise UsageError(
            f"query and gallery differ in the shapes of {', '.join(unlike)}; were they embedded by the same model?"
        )


def _library(value: Array) -> Any:
    """The library whose functions take `value`."""
    return sys.modules["torch"] if is_tensor(value) else np


def _like(values: Array, like: Array) -> Array:
    """`values` in the type, and for tensors on the device, of `like`."""
    return values.to(like) if is_tensor(like) else values.astype(like.dtype, copy=False)
