"""Matchers in which the query changes the gallery: every gallery part y_i is compared as scale * y_i + shift.

Jiang et al., "Cross-Modality Transformer for Visible-Infrared Person Re-Identification", ECCV 2022:
scale and shift come from the query, one value a channel, the same for all parts; the query itself stays as it is. The
paper modulates the whole gallery anew for every query. But the modulation is linear in y, so the squared Euclidean
distance to the modulated gallery is, with s = sum_i y_i^2 channel by channel,

    sum_i |x_i - scale y_i - shift|^2 = sum_i |x_i - shift|^2 - 2 sum_i <(x_i - shift) scale, y_i> + <scale^2, s>

which is an inner product of one vector of the query with one of the gallery picture, and both parts of a cosine are
products likewise. No array of queries x gallery x parts x channels is ever made.
"""

import math
from abc import abstractmethod
from typing import Any

from vireid.errors import UsageError
from vireid.matching.arrays import Array, concatenate, product
from vireid.matching.base import Matcher
from vireid.types import Embeddings, Side

__all__ = ["ModulatedCosine", "ModulatedEuclidean", "ModulatedPartCosine", "modulated_distances"]

_SMALLEST = 1e-12  # of a squared norm


def modulated_distances(parts: Array, scale: Array, shift: Array, gallery: Array) -> Array:
    """(Q, G) squared Euclidean distances of parts (Q, p, d) to scale * gallery + shift, for gallery parts (G, p, d).

    scale: (Q, d). shift: (Q, d), or (Q, p, d) where parts have their own. One product of inner size (p + 1) d + 1. In
    a narrow type rounding can give values slightly below zero where the two coincide.
    """
    return -product(_query_lift(parts, scale, shift), _gallery_lift(gallery))


class _Modulated(Matcher):
    """What the matchers share: their fields, and a lift of the Euclidean form.

    Fields: parts (N, p, d), not normalised; scale and shift (N, d), of which only the queries' are used.
    """

    fields = ("parts", "scale", "shift")

    def lift(self, embeddings: Embeddings[Any], side: Side) -> Array:
        """(N, (p + 1) d + 1) vectors whose inner product is minus the squared distance to the modulated picture.

        Both blocks of a gallery vector, the parts and their squares, have a like norm where the parts' channels are
        about one in size, as batch normalisation leaves them: an index that rounds its vectors treats them alike.
        """
        parts, scale, shift = _fields(embeddings, self)
        size = self._size(parts)
        if side is Side.GALLERY:
            return _gallery_lift(parts / size)
        asked, shift = parts / size, shift[:, None] / size
        if not self.exact:  # a longer modulated picture is as near to a cosine, but not to a distance
            longer = _length(asked * scale[:, None] + shift) / _length(asked)
            scale, shift = scale / longer[:, None], shift / longer[:, None, None]
        return _query_lift(asked, scale, shift)

    @abstractmethod
    def _size(self, parts: Array) -> Any:
        """What the lift divides parts (N, p, d) by: a number, (N, 1, 1) or (N, p, 1)."""


class ModulatedEuclidean(_Modulated):
    """Minus the squared Euclidean distance of the query to the modulated picture. Its lift is exact."""

    name = "modulated-euclidean"
    exact = True

    def score(self, query: Embeddings[Any], gallery: Embeddings[Any]) -> Array:
        return product(self.lift(query, Side.QUERY), self.lift(gallery, Side.GALLERY))

    def _size(self, parts: Array) -> float:  # noqa: ARG002
        return 1.0


class ModulatedCosine(_Modulated):
    """Cosine of the query and the modulated picture, all parts as one vector: two products a tile.

    The lift is a first stage: the Euclidean one of pictures scaled to a common length, with the shift scaled as the
    query is, and scale and shift divided by how much longer they make the query itself. Where modulated pictures are
    of one length it gives the same order.
    """

    name = "modulated-cosine"
    exact = False

    def score(self, query: Embeddings[Any], gallery: Embeddings[Any]) -> Array:
        parts, scale, shift = _fields(query, self)
        others, _, _ = _fields(gallery, self)
        numerator = product(_flat(parts * scale[:, None]), _flat(others))
        numerator = numerator + (parts.sum(1) * shift).sum(1)[:, None]
        sums = concatenate([(others**2).sum(1), others.sum(1)], axis=1)
        squared = product(_norm_weights(scale, shift), sums) + parts.shape[1] * (shift**2).sum(1)[:, None]
        own = (parts**2).sum((1, 2)).clip(min=_SMALLEST)[:, None]
        return numerator / (own * squared.clip(min=_SMALLEST)) ** 0.5

    def _size(self, parts: Array) -> Array:
        count = parts.shape[1] * parts.shape[2]
        return ((parts**2).sum((1, 2)) / count).clip(min=_SMALLEST)[:, None, None] ** 0.5


class ModulatedPartCosine(_Modulated):
    """Mean over parts of the cosine of the query's part and the modulated one: two products a part and tile.

    The lift is a first stage, as in `ModulatedCosine`, with every part scaled on its own.
    """

    name = "modulated-part-cosine"
    exact = False

    def score(self, query: Embeddings[Any], gallery: Embeddings[Any]) -> Array:
        parts, scale, shift = _fields(query, self)
        others, _, _ = _fields(gallery, self)
        weights, constant = _norm_weights(scale, shift), (shift**2).sum(1)[:, None]
        total: Any = 0.0
        for i in range(parts.shape[1]):
            own, other = parts[:, i], others[:, i]
            numerator = product(own * scale, other) + (own * shift).sum(1)[:, None]
            squared = product(weights, concatenate([other**2, other], axis=1)) + constant
            length = (own**2).sum(1).clip(min=_SMALLEST)[:, None]
            total = total + numerator / (length * squared.clip(min=_SMALLEST)) ** 0.5
        return total / parts.shape[1]

    def _size(self, parts: Array) -> Array:
        return ((parts**2).sum(2) / parts.shape[2]).clip(min=_SMALLEST)[:, :, None] ** 0.5


def _fields(embeddings: Embeddings[Any], matcher: Matcher) -> tuple[Array, Array, Array]:
    """Parts (N, p, d), scale (N, d) and shift (N, d)."""
    if missing := matcher.lacking(embeddings):
        raise UsageError(
            f"matcher {matcher.name!r} compares the embedding fields {', '.join(matcher.fields)}; {', '.join(missing)} "
            f"missing (there are: {', '.join(embeddings.fields) or 'none'})"
        )
    parts, scale, shift = (embeddings.fields[name] for name in matcher.fields)
    if parts.ndim != 3 or any(tuple(field.shape) != (len(parts), parts.shape[2]) for field in (scale, shift)):
        raise UsageError(
            f"matcher {matcher.name!r} takes parts (N, p, d), scale and shift (N, d), not {tuple(parts.shape)}, "
            f"{tuple(scale.shape)} and {tuple(shift.shape)}"
        )
    return parts, scale, shift


def _length(parts: Array) -> Array:
    """(N, p, d) -> (N,) norm of all parts together."""
    return (parts**2).sum((1, 2)).clip(min=_SMALLEST) ** 0.5


def _flat(parts: Array) -> Array:
    return parts.reshape(len(parts), parts.shape[1] * parts.shape[2])


def _balance(parts: Array) -> float:
    """Weight of the squares in a gallery vector: with channels of size one, |parts|^2 = p d and |squares|^2 = p^2 d."""
    return 1.0 / math.sqrt(parts.shape[1])


def _gallery_lift(parts: Array) -> Array:
    """(N, p, d) -> (N, (p + 1) d + 1): parts, weighted squares summed over parts, one."""
    squares = (parts**2).sum(1)
    return concatenate([_flat(parts), _balance(parts) * squares, squares[:, :1] ** 0], axis=1)


def _query_lift(parts: Array, scale: Array, shift: Array) -> Array:
    """The query's side of `_gallery_lift`: their inner product is minus the squared distance."""
    rest = parts - (shift if shift.ndim == 3 else shift[:, None])
    constant = (rest**2).sum((1, 2))[:, None]
    return concatenate([2 * _flat(rest * scale[:, None]), -(scale**2) / _balance(parts), -constant], axis=1)


def _norm_weights(scale: Array, shift: Array) -> Array:
    """(Q, 2d) weights of y^2 and y in the squared norm of scale * y + shift."""
    return concatenate([scale**2, 2 * scale * shift], axis=1)
