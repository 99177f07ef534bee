"""Scores of a protocol's pairs: the full matrix, or a cascade of a first stage and exact scores of its candidates.

Trials of one protocol share pictures, so what one trial computed serves the next where memory allows.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vireid.errors import UsageError
from vireid.matching import Matcher, best_of
from vireid.matching.arrays import Array, product, same_kind, to_numpy
from vireid.types import Embeddings, Side, Track, Trial

__all__ = ["CascadeScores", "FullScores", "Pictures", "Scores", "composed", "cosines"]

IntArray: TypeAlias = NDArray[np.int64]
BoolArray: TypeAlias = NDArray[np.bool_]
FloatArray: TypeAlias = NDArray[np.floating[Any]]
Tile: TypeAlias = Callable[[Embeddings[Any], Embeddings[Any]], Array]

_TABLE = 1 << 27  # scores that may be kept for later trials
_TILE = 1024  # pictures of either side that a matcher sees at once
_PAIRS = 1 << 13  # candidates that a matcher rescores at once


class Pictures:
    """Embeddings that are asked for by row of the image table."""

    def __init__(self, embeddings: Embeddings[Any], rows: IntArray, matcher: Matcher, trials: Sequence[Trial]) -> None:
        rows = np.asarray(rows)
        if rows.shape != (len(embeddings),) or rows.dtype.kind not in "iu":
            raise UsageError(
                f"rows is {rows.dtype} of shape {rows.shape} for {len(embeddings)} embeddings; "
                f"give each one's row in the image table"
            )
        if embeddings.vector.ndim != 2:
            raise UsageError(f"embedding vectors have shape {tuple(embeddings.vector.shape)}, expected (N, D)")
        lacking = [name for name in matcher.fields if name not in embeddings.fields]
        if lacking:
            raise UsageError(
                f"matcher {matcher.name!r} needs the embedding fields {', '.join(lacking)}; "
                f"there are: {', '.join(embeddings.fields) or 'none'}"
            )
        self.embeddings = embeddings
        self._order = np.argsort(rows, kind="stable")
        self._rows = rows[self._order]
        twice = self._rows[1:][np.diff(self._rows) == 0]
        if len(twice):
            raise UsageError(f"rows names row {twice[0]} more than once; give one embedding per picture")
        self.queries = np.unique(np.concatenate([trial.query for trial in trials]))
        self.gallery = np.unique(np.concatenate([trial.gallery for trial in trials]))
        needed = np.union1d(self.queries, self.gallery)
        missing = np.setdiff1d(needed, self._rows)
        if len(missing):
            raise UsageError(
                f"{len(missing)} of the {len(needed)} pictures of the protocol have no embedding, "
                f"the first is row {missing[0]}; embed them and try again"
            )

    def places(self, rows: IntArray) -> IntArray:
        """Where among the embeddings each row stands."""
        return self._order[np.searchsorted(self._rows, rows)]

    def of(self, rows: IntArray) -> Embeddings[Any]:
        return self.embeddings[self.index(self.places(rows))]

    def index(self, places: IntArray) -> Array:
        """Places as the embeddings can be indexed with."""
        return same_kind(places, self.embeddings.vector)


class _Pairs:
    """Scores by row numbers. If the distinct pairs of all trials fit, and are no more than the pairs, a table."""

    def __init__(
        self, pictures: Pictures, trials: Sequence[Trial], tile: Tile, *, track: Track, description: str
    ) -> None:
        self.pictures, self._tile, self._track, self._description = pictures, tile, track, description
        distinct = len(pictures.queries) * len(pictures.gallery)
        asked = sum(len(trial.query) * len(trial.gallery) for trial in trials)
        self.table: FloatArray | None = None
        if distinct <= min(asked, _TABLE):
            self.table = self._compute(pictures.queries, pictures.gallery)

    def of(self, query: IntArray, gallery: IntArray) -> FloatArray:
        """(Q, G) scores."""
        if self.table is None:
            return self._compute(query, gallery)
        columns = np.searchsorted(self.pictures.gallery, gallery)
        if np.array_equal(query, self.pictures.queries):
            return self.table.take(columns, axis=1)
        return self.table[np.searchsorted(self.pictures.queries, query)[:, None], columns]

    def _compute(self, query: IntArray, gallery: IntArray) -> FloatArray:
        return tiled(self._tile, self.pictures, query, gallery, track=self._track, description=self._description)


class Scores(ABC):
    """What ranks the galleries of a protocol's trials."""

    @abstractmethod
    def of(self, query: IntArray, gallery: IntArray, invalid: BoolArray) -> FloatArray:
        """(Q, G) scores of rows of the image table; invalid: (Q, G) bool."""


class FullScores(Scores):
    """The matcher's exact scores of all pairs."""

    def __init__(self, pictures: Pictures, matcher: Matcher, trials: Sequence[Trial], *, track: Track) -> None:
        self._pairs = _Pairs(pictures, trials, matcher.score, track=track, description="scoring")

    def of(self, query: IntArray, gallery: IntArray, invalid: BoolArray) -> FloatArray:  # noqa: ARG002
        return self._pairs.of(query, gallery)


class CascadeScores(Scores):
    """The lift's products choose K candidates a query; these alone are scored, and all others follow them."""

    def __init__(self, pictures: Pictures, matcher: Matcher, trials: Sequence[Trial], k: int, *, track: Track) -> None:
        self._pictures, self._matcher, self._k, self._track = pictures, matcher, k, track
        self._first = _Pairs(pictures, trials, _lifted(matcher), track=track, description="first stage")
        table = self._first.table
        self._known = None if table is None else np.full(table.shape, np.nan)

    def of(self, query: IntArray, gallery: IntArray, invalid: BoolArray) -> FloatArray:
        first = self._first.of(query, gallery)
        if not np.isfinite(first).all():
            raise UsageError("a first-stage score is not finite; are the embeddings finite?")
        candidates = np.sort(best_of(first, self._k, invalid=invalid)[0], axis=1)
        return composed(first, candidates, self._rescored(query, gallery, candidates))

    def _rescored(self, query: IntArray, gallery: IntArray, candidates: IntArray) -> FloatArray:
        """(Q, K) exact scores; pairs that an earlier trial asked for are not computed again. -inf: no candidate."""
        scores = np.full(candidates.shape, np.nan)
        row, column = np.searchsorted(self._pictures.queries, query), np.searchsorted(self._pictures.gallery, gallery)
        if self._known is not None:
            scores = self._known[row[:, None], column[candidates]]
        scores[candidates < 0] = -np.inf
        wanted = np.isnan(scores)
        counts = wanted.sum(axis=1)
        # Queries that lack as many scores form blocks, so that none is computed that was not asked for.
        order = np.argsort(counts, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(counts[order])) + 1)
        step = max(1, _PAIRS // candidates.shape[1])
        blocks = [group[at : at + step] for group in groups if counts[group[0]] for at in range(0, len(group), step)]
        for part in self._track(blocks, description="rescoring", total=len(blocks)):
            slots = np.argsort(~wanted[part], axis=1, kind="stable")[:, : counts[part[0]]]
            chosen = np.take_along_axis(candidates[part], slots, axis=1)
            found = self._rescore(query[part], gallery[chosen])
            if np.isnan(found).any():
                raise UsageError(f"matcher {self._matcher.name!r} gave a score that is not a number")
            scores[part[:, None], slots] = found
            if self._known is not None:
                self._known[row[part][:, None], column[chosen]] = found
        return scores

    def _rescore(self, query: IntArray, candidates: IntArray) -> FloatArray:
        pictures = self._pictures
        places = pictures.index(pictures.places(candidates))
        found = to_numpy(self._matcher.rescore(pictures.of(query), pictures.embeddings, places))
        if found.shape != candidates.shape:
            raise UsageError(
                f"matcher {self._matcher.name!r} rescored {candidates.shape} candidates as {found.shape} scores"
            )
        return found


def cosines(pictures: Pictures, matcher: Matcher, query: IntArray, gallery: IntArray, *, track: Track) -> FloatArray:
    """(Q, G) products of lifts that are unit vectors, the same for a query as for a gallery picture.

    Raises:
        UsageError: the matcher has no such lift, so that its scores are no cosines.
    """
    sample = pictures.of(query[:_TILE])
    as_query, as_gallery = (to_numpy(matcher.lift(sample, side)) for side in (Side.QUERY, Side.GALLERY))
    alike = as_query.shape == as_gallery.shape and np.allclose(as_query, as_gallery, atol=1e-3)
    if not (matcher.exact and alike and np.allclose(np.linalg.norm(as_query, axis=1), 1, atol=1e-2)):
        raise UsageError(
            f"re-ranking compares unit vectors by their cosine, which matcher {matcher.name!r} does not; "
            f"evaluate it without re-ranking"
        )
    return tiled(_lifted(matcher), pictures, query, gallery, track=track, description="cosines")


def tiled(
    tile: Tile, pictures: Pictures, query: IntArray, gallery: IntArray, *, track: Track, description: str
) -> FloatArray:
    """(Q, G) scores, computed tile by tile."""
    corners = [(row, column) for column in range(0, len(gallery), _TILE) for row in range(0, len(query), _TILE)]
    scores: FloatArray | None = None
    for row, column in track(corners, description=description, total=len(corners)):
        part = query[row : row + _TILE], gallery[column : column + _TILE]
        found = to_numpy(tile(pictures.of(part[0]), pictures.of(part[1])))
        if scores is None:
            scores = np.empty((len(query), len(gallery)), found.dtype)
        scores[row : row + _TILE, column : column + _TILE] = found
    return np.empty((len(query), len(gallery)), np.float32) if scores is None else scores


def _lifted(matcher: Matcher) -> Tile:
    def tile(query: Embeddings[Any], gallery: Embeddings[Any]) -> Array:
        return product(matcher.lift(query, Side.QUERY), matcher.lift(gallery, Side.GALLERY))

    return tile


def composed(first: FloatArray, candidates: IntArray, rescored: FloatArray) -> FloatArray:
    """(Q, G) float64 scores of one order: candidates by exact score, then the others by first stage.

    Others keep their first-stage score; candidates get whole steps above the row's greatest magnitude, so that the two
    kinds of score never meet. candidates: (Q, K) rising along rows, which settles equal scores by gallery order; -1:
    none.
    """
    k = candidates.shape[1]
    ranked = np.take_along_axis(candidates, np.argsort(-rescored, axis=1, kind="stable"), axis=1)
    composed = first.astype(np.float64)
    base = np.abs(composed).max(axis=1, keepdims=True)
    steps = base + np.maximum(base, 1) * np.arange(k, 0, -1)
    row, place = np.nonzero(ranked >= 0)
    composed[row, ranked[row, place]] = steps[row, place]
    return composed
