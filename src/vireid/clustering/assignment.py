"""Which visible cluster is which infrared cluster: similarities of centroids, and matching with a limit.

The reading of the matching of unsupervised visible-infrared methods that is used here: a person breaks into several
visible clusters and few infrared ones, so an infrared cluster may have up to mu visible partners.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array

from vireid.clustering.choices import choose_mu
from vireid.clustering.neighbours import Features, on_host
from vireid.clustering.pseudo_labels import Auto
from vireid.errors import UsageError, choose

__all__ = ["MATCHERS", "ClusterMatches", "centroids", "match_clusters", "region_similarity"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.floating[Any]]

MATCHERS = ("greedy", "hungarian")


@dataclass(frozen=True, kw_only=True)
class ClusterMatches:
    """Partners of the clusters of both modalities.

    to_infrared: (visible clusters,) the infrared partner of each, -1 for none.
    to_visible: for each infrared cluster its visible partners, the most similar first; those it got by covering last.
    mu: the limit that was used.
    """

    to_infrared: IntArray
    to_visible: tuple[IntArray, ...]
    mu: int

    @property
    def linked(self) -> tuple[IntArray, ...]:
        """For each visible cluster all infrared clusters that have it as a partner: its own, then covered ones."""
        found: list[list[int]] = [[own] if own >= 0 else [] for own in self.to_infrared.tolist()]
        for infrared, partners in enumerate(self.to_visible):
            for visible in partners.tolist():
                if infrared not in found[visible]:
                    found[visible].append(infrared)
        return tuple(np.array(each, np.int64) for each in found)


def centroids(features: Features, labels: IntArray, clusters: int | None = None) -> FloatArray:
    """(K, D) means of the members of each cluster, of unit length; -1 belongs to none.

    clusters: K; None: as many as the labels name.

    Raises:
        UsageError: a cluster without members, or shapes that do not fit.
    """
    values = on_host(features)
    labels = np.asarray(labels)
    if values.ndim != 2 or labels.shape != values.shape[:1]:
        raise UsageError(f"features {values.shape} and labels {labels.shape} must be (N, D) and (N,)")
    count = int(labels.max(initial=-1)) + 1 if clusters is None else clusters
    rows = np.flatnonzero(labels >= 0)
    sizes = np.bincount(labels[rows], minlength=count)
    if len(sizes) > count or (sizes == 0).any():
        raise UsageError(
            f"labels name clusters up to {len(sizes) - 1}, with members {sizes.tolist()}; {count} are asked for"
        )
    shares = csr_array(
        ((1 / sizes[labels[rows]]).astype(values.dtype), (labels[rows], rows)), shape=(count, len(values))
    )
    return _unit(np.asarray(shares @ values))


def region_similarity(
    visible: Features, visible_labels: IntArray, infrared: Features, infrared_labels: IntArray, *, regions: int = 1
) -> FloatArray:
    """(visible clusters, infrared clusters) similarity: the cosine of their centroids in each region, summed.

    visible: (N, regions * C), infrared: (M, regions * C), region by region; every region of a picture is scaled to unit
    length first, so that none outweighs another. With one region: the cosine of the centroids.

    Raises:
        UsageError: widths that differ or that `regions` does not divide, or labels that do not fit.
    """
    first, second = on_host(visible), on_host(infrared)
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1] or regions < 1:
        raise UsageError(f"visible {first.shape}, infrared {second.shape}, {regions} regions; widths must be equal")
    if first.shape[1] % regions:
        raise UsageError(f"{regions} regions do not divide a feature of {first.shape[1]} numbers")
    parts = []
    width = first.shape[1] // regions
    for region in range(regions):
        part = slice(region * width, (region + 1) * width)
        one = centroids(_unit(first[:, part]), visible_labels)
        other = centroids(_unit(second[:, part]), infrared_labels)
        parts.append(one @ other.T)
    total: FloatArray = np.sum(parts, axis=0)
    return total


def match_clusters(
    similarity: FloatArray,
    *,
    mu: int | Auto = "auto",
    matcher: str = "greedy",
    cover_infrared: bool = True,
    min_similarity: float | None = None,
) -> ClusterMatches:
    """Give visible clusters an infrared partner; a partner takes at most mu.

    greedy: pairs by falling similarity, each taken if the visible cluster is free and the infrared one not full.
    hungarian: the greatest sum of similarities. Where visible clusters are more than mu times the infrared ones, the
    rest stays unmatched.

    Args:
        similarity: (visible clusters, infrared clusters), higher is better. Either may be none.
        mu: the limit, or "auto": what gives all a place, 1 to 4.
        matcher: `greedy` or `hungarian`.
        cover_infrared: infrared clusters without a partner then take one, by falling similarity, that none took in
            this pass; where infrared clusters are the more, up to mu may take the same. A visible cluster's own partner
            stays; one that has none gets none by this.
        min_similarity: pairs below it are never partners. None: all may be.

    Raises:
        UsageError: mu below 1, an unknown matcher, or a similarity that is not a number.
    """
    scores = np.asarray(on_host(similarity), np.float64)
    if scores.ndim != 2 or np.isnan(scores).any():
        raise UsageError(f"similarity has shape {scores.shape} or holds what is not a number; give a matrix of numbers")
    visible, infrared = scores.shape
    limit = choose_mu(visible, infrared) if isinstance(mu, str) else mu
    if limit < 1 or (isinstance(mu, str) and mu != "auto"):
        raise UsageError(f"mu is {mu!r}; give a whole number from 1, or 'auto'")
    choose(matcher, MATCHERS, "matcher")
    floor = -np.inf if min_similarity is None else min_similarity
    pairs = (_greedy if matcher == "greedy" else _hungarian)(scores, limit, floor)
    to_infrared = np.full(visible, -1, np.int64)
    partners: list[list[int]] = [[] for _ in range(infrared)]
    for i, j in sorted(pairs, key=lambda pair: -scores[pair]):
        to_infrared[i] = j
        partners[j].append(i)
    if cover_infrared:
        free = np.array([j for j in range(infrared) if not partners[j]], np.int64)
        for j, i in _greedy(scores[:, free].T, limit if infrared > visible else 1, floor):
            partners[free[j]].append(i)
    return ClusterMatches(
        to_infrared=to_infrared, to_visible=tuple(np.array(each, np.int64) for each in partners), mu=limit
    )


def _greedy(scores: FloatArray, limit: int, floor: float) -> Iterable[tuple[int, int]]:
    """Pairs by falling score; each row at most once, each column at most `limit` times."""
    rows, columns = scores.shape
    order = np.argsort(-scores, axis=None, kind="stable")
    order = order[scores.ravel()[order] >= floor]
    free, left, most = np.ones(rows, np.bool_), np.full(columns, limit), min(rows, columns * limit)
    found: list[tuple[int, int]] = []
    for i, j in zip(*(each.tolist() for each in np.unravel_index(order, scores.shape)), strict=True):
        if len(found) == most:
            break
        if free[i] and left[j]:
            free[i] = False
            left[j] -= 1
            found.append((i, j))
    return found


def _hungarian(scores: FloatArray, limit: int, floor: float) -> Iterable[tuple[int, int]]:
    """Pairs of the greatest sum, what they exceed the floor by; every column stands `limit` times."""
    gain = np.maximum(scores - floor, 0) if np.isfinite(floor) else scores
    rows, columns = linear_sum_assignment(np.tile(gain, (1, limit)), maximize=True)
    pairs = zip(rows.tolist(), (columns % max(1, scores.shape[1])).tolist(), strict=True)
    return [pair for pair in pairs if scores[pair] >= floor]


def _unit(vectors: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: FloatArray = vectors / np.maximum(lengths, np.finfo(vectors.dtype).tiny)
    return unit
