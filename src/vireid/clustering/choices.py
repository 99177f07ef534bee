"""Parameters chosen without labels: the radius by silhouette, neighbours by the clusters' size, mu by their number."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from vireid.clustering.dbscan import dbscan
from vireid.errors import UsageError

__all__ = ["RADII", "EpsChoice", "choose_eps", "choose_k1", "choose_mu", "sparse_silhouette"]

IntArray = NDArray[np.int64]

RADII = tuple(round(0.05 * step, 2) for step in range(2, 16))
"""0.1 to 0.75: the radii that `choose_eps` compares."""

K1_BOUNDS = (10, 40)
MU_BOUNDS = (1, 4)
USUAL_EPS = 0.6


@dataclass(frozen=True, kw_only=True)
class EpsChoice:
    """The chosen radius, the labels (N,) at it and their silhouette; `tried` are all radii with theirs."""

    eps: float
    labels: IntArray
    silhouette: float
    tried: tuple[tuple[float, float], ...]


def choose_eps(graph: Any, *, min_samples: int, radii: tuple[float, ...] = RADII, at_least: int = 0) -> EpsChoice:
    """The radius of DBSCAN whose clusters have the greatest mean silhouette; of equals the least.

    Small radii leave most pictures as noise, which counts 0; great ones join people who share no neighbours.

    Args:
        graph: of `jaccard_graph`, made with the greatest of the radii or more.
        min_samples: of DBSCAN.
        radii: what to compare.
        at_least: clusters wanted. Radii with fewer are not taken, unless all have fewer.

    Returns:
        Where no radius parts the pictures into two clusters, there is nothing to choose by: the radius nearest to 0.6,
        with silhouette 0.

    Raises:
        UsageError: no radii.
    """
    if not radii:
        raise UsageError("radii is empty; give at least one radius to compare")
    labels = {eps: dbscan(graph, eps=eps, min_samples=min_samples) for eps in sorted(radii)}
    values = {eps: sparse_silhouette(graph, found) for eps, found in labels.items()}
    enough = [eps for eps in labels if labels[eps].max(initial=-1) + 1 >= at_least] or list(labels)
    best = max(enough, key=lambda eps: values[eps])
    if not any(values.values()):
        best = min(enough, key=lambda eps: abs(eps - USUAL_EPS))
    return EpsChoice(eps=best, labels=labels[best], silhouette=values[best], tried=tuple(values.items()))


def choose_k1(labels: IntArray) -> int:
    """Neighbours for the next clustering: the size of the cluster that the median clustered picture is in, 10 to 40.

    The median over clusters would be that of the many small pieces of people; it shrinks from round to round.
    Without clusters: 10.
    """
    sizes = np.bincount(labels[labels >= 0])
    own = np.repeat(sizes, sizes)
    least, most = K1_BOUNDS
    return int(np.clip(np.median(own), least, most)) if len(own) else least


def choose_mu(visible: int, infrared: int) -> int:
    """Visible clusters that one infrared cluster may have: what all need to find a place, 1 to 4."""
    least, most = MU_BOUNDS
    return min(max(math.ceil(visible / infrared) if infrared else least, least), most)


def sparse_silhouette(graph: Any, labels: IntArray) -> float:
    """Mean silhouette of all pictures, from -1 to 1; distances that the graph does not store count as 1.

    A picture's is (b - a) / max(a, b): a its mean distance to the rest of its cluster, b to the nearest other cluster.
    Noise and clusters of one count 0, and so does everything where there are fewer than two clusters. Rousseeuw, 1987.
    """
    count, clusters = len(labels), int(labels.max(initial=-1)) + 1
    if clusters < 2:
        return 0.0
    sizes = np.bincount(labels[labels >= 0], minlength=clusters)
    near = csr_array(graph).tocoo()
    kept = (labels[near.col] >= 0) & (labels[near.row] >= 0) & (near.row != near.col)
    row, column = near.row[kept], labels[near.col[kept]]
    closeness = csr_array((1 - near.data[kept], (row, column)), shape=(count, clusters)).tocoo()
    row, column = closeness.row, closeness.col
    mean = closeness.data / (sizes[column] - (labels[row] == column)).clip(min=1)
    own = labels[row] == column
    within, between = np.ones(count), np.ones(count)
    within[row[own]] -= mean[own]
    np.minimum.at(between, row[~own], 1 - mean[~own])
    greater = np.maximum(within, between)
    scores = np.divide(between - within, greater, out=np.zeros(count), where=greater > 0)
    scores[(labels < 0) | (sizes[labels] < 2)] = 0
    return float(scores.mean())
