"""Pseudo-labels of one modality: neighbours, graph and DBSCAN in one call, with the choices made without labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from vireid.clustering.choices import RADII, choose_eps, choose_k1, sparse_silhouette
from vireid.clustering.dbscan import dbscan
from vireid.clustering.jaccard import check_parameters, jaccard_graph
from vireid.clustering.neighbours import Features, nearest, on_host, where_asked
from vireid.errors import UsageError

__all__ = ["Auto", "Clustering", "JointClustering", "cluster", "cluster_each", "cluster_jointly"]

IntArray = NDArray[np.int64]
Auto: TypeAlias = Literal["auto"]

USUAL_K1 = 30
_STEP, _ATTEMPTS = 1.1, 3


@dataclass(frozen=True, kw_only=True)
class Clustering:
    """labels: (N,), 0 to K - 1, -1 for noise. k1, eps: what was used. silhouette: of the labels on the sparse graph.

    tried: every radius that was compared, with its silhouette; one where none was chosen.
    """

    labels: IntArray
    k1: int
    eps: float
    silhouette: float
    tried: tuple[tuple[float, float], ...]

    @property
    def clusters(self) -> int:
        return int(self.labels.max(initial=-1)) + 1


@dataclass(frozen=True, kw_only=True)
class JointClustering:
    """sides: clusters within each of the feature matrices. mixed: (N,) labels for each of them, of the clusters of all
    pictures together that hold some of every matrix; 0 to K - 1 over all, -1 for pictures in no such cluster.
    """

    sides: tuple[Clustering, ...]
    mixed: tuple[IntArray, ...]


def cluster(
    features: Features,
    *,
    k1: int | Auto = USUAL_K1,
    k2: int = 6,
    eps: float | Auto = 0.6,
    min_samples: int = 4,
    at_least: int = 0,
    device: str | None = None,
    memory: int | None = None,
) -> Clustering:
    """Clusters of (N, D) unit rows: DBSCAN on their k-reciprocal Jaccard distances.

    Args:
        k1: neighbours, or "auto": the pictures are clustered with 30 and a chosen radius, and `choose_k1` reads the
            clusters' size.
        k2: neighbours averaged over, at most k1.
        eps: radius, or "auto": `choose_eps` compares 0.1 to 0.75.
        min_samples: pictures within the radius, itself included, that make a picture core.
        at_least: clusters wanted. With fewer the radius is widened by a tenth, three times at most, since pictures
            may be noise; then narrowed likewise, since people may be joined. Whoever needs them must look at what came
            out: the radius with the most of these.
        device, memory: as in `jaccard_graph`.

    Returns:
        All -1 where nothing clusters; that is no error.

    Raises:
        UsageError: what `jaccard_graph` and `dbscan` refuse, or a word other than "auto".
    """
    for name, value in (("k1", k1), ("eps", eps)):
        if isinstance(value, str) and value != "auto":
            raise UsageError(f"{name} is {value!r}; give a number or 'auto'")
    first = USUAL_K1 if isinstance(k1, str) else k1
    check_parameters(first, k2, 0.0 if isinstance(eps, str) else eps)
    held = where_asked(features, device)
    ranked = nearest(held, max(first, k2), memory=memory)

    def graph(radius: float) -> csr_array:
        return jaccard_graph(held, k1=first, k2=min(k2, first), eps=radius, neighbours=ranked, memory=memory)

    if k1 == "auto":
        first = choose_k1(choose_eps(graph(RADII[-1]), min_samples=min_samples).labels)
        if first > USUAL_K1:
            ranked = nearest(held, first, memory=memory)
    if isinstance(eps, str):
        choice = choose_eps(graph(RADII[-1]), min_samples=min_samples, at_least=at_least)
        return Clustering(
            labels=choice.labels, k1=first, eps=choice.eps, silhouette=choice.silhouette, tried=choice.tried
        )
    return _retried(graph, first, eps, min_samples=min_samples, at_least=at_least)


def cluster_each(features: Features, groups: Any, **options: Any) -> IntArray:
    """(N,) labels of clusters that lie within one group each, such as one camera; contiguous over all, -1 for noise.

    groups: (N,). options: those of `cluster`.
    """
    held = where_asked(features, options.get("device"))
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    if group.shape != (len(held),):
        raise UsageError(f"groups have shape {group.shape}; give one for each of the {len(held)} features")
    labels = np.full(len(held), -1, np.int64)
    for number in range(len(names)):
        rows = np.flatnonzero(group == number)
        own = cluster(held[rows], **options).labels
        labels[rows] = np.where(own < 0, -1, own + labels.max() + 1)
    return labels


def cluster_jointly(
    features: Sequence[Features],
    *,
    k1: int = 40,
    k2: int = 32,
    eps: float = 0.6,
    min_samples: int = 4,
    at_least: int = 0,
    device: str | None = None,
    memory: int | None = None,
) -> JointClustering:
    """Clusters of several (N, D), on Jaccard distances that the pictures of all of them decide together.

    Weights are averaged over each one's pictures first (`groups` of `jaccard_graph`), so that none outweighs another.
    The parameters are those of `cluster`, without choices by the data; `at_least` changes the radius of `sides` alone.

    Raises:
        UsageError: what `jaccard_graph` and `dbscan` refuse.
    """
    check_parameters(k1, k2, eps)
    group = np.repeat(np.arange(len(features)), [len(each) for each in features])
    held = where_asked(np.concatenate([on_host(each) for each in features]), device)
    ranked = nearest(held, max(k1, k2), memory=memory)

    @lru_cache(maxsize=1)
    def whole(radius: float) -> csr_array:
        return jaccard_graph(held, k1=k1, k2=k2, eps=radius, groups=group, neighbours=ranked, memory=memory)

    def block(number: int) -> Callable[[float], csr_array]:
        own = np.flatnonzero(group == number)
        return lambda radius: whole(radius)[own][:, own]

    sides = tuple(
        _retried(block(number), k1, eps, min_samples=min_samples, at_least=at_least) for number in range(len(features))
    )
    together = _mixed(dbscan(whole(eps), eps=eps, min_samples=min_samples), group, len(features))
    return JointClustering(sides=sides, mixed=tuple(together[group == number] for number in range(len(features))))


def _mixed(labels: IntArray, group: IntArray, groups: int) -> IntArray:
    """The labels of clusters with members in all groups, made contiguous; -1 for all others."""
    clustered = labels >= 0
    present = np.zeros((int(labels.max(initial=-1)) + 1, groups), np.bool_)
    present[labels[clustered], group[clustered]] = True
    kept = present.all(axis=1)
    names = np.where(kept, np.cumsum(kept) - 1, -1)
    found = np.full(len(labels), -1, np.int64)
    found[clustered] = names[labels[clustered]]
    return found


def _retried(
    graph: Callable[[float], csr_array], k1: int, eps: float, *, min_samples: int, at_least: int
) -> Clustering:
    """At eps, or at the first of the radii of a tenth more each, then of a tenth less each, that gives enough clusters;
    where none does, at the one with the most.
    """
    most = -1
    for exponent in (0, *range(1, _ATTEMPTS + 1), *range(-1, -_ATTEMPTS - 1, -1)):
        radius = min(eps * _STEP**exponent, float(np.nextafter(1.0, 0.0)))
        near = graph(radius)
        labels = dbscan(near, eps=radius, min_samples=min_samples)
        found = int(labels.max(initial=-1)) + 1
        if found > most:
            most, best = found, (radius, near, labels)
        if found >= at_least:
            break
    radius, near, labels = best
    silhouette = sparse_silhouette(near, labels)
    return Clustering(labels=labels, k1=k1, eps=radius, silhouette=silhouette, tried=((radius, silhouette),))
