"""Memories that both modalities fill: a cluster's pictures with those of the clusters it was matched with, and mixed
clusters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from vireid.clustering import ClusterMatches, centroids

__all__ = ["Balance", "first_partners", "mixed_memory", "shared_memories"]

Balance = Literal["instance", "modality"]
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.floating[Any]]


def first_partners(matches: ClusterMatches) -> IntArray:
    """(infrared clusters,) the visible partner that is most similar to each, -1 for none."""
    return np.array([own[0] if len(own) else -1 for own in matches.to_visible], np.int64)


def shared_memories(
    visible: FloatArray,
    visible_labels: IntArray,
    infrared: FloatArray,
    infrared_labels: IntArray,
    matches: ClusterMatches,
    *,
    balance: Balance = "instance",
) -> tuple[FloatArray, FloatArray]:
    """One row for every visible cluster, and one for every infrared cluster, of unit length.

    The first are means over a visible cluster's pictures and those of the infrared clusters whose first partner it is;
    the second over an infrared cluster's pictures and those of the visible clusters matched with it.

    visible, infrared: (N, D), (M, D) unit rows. balance: `instance` counts every picture the same, `modality` averages
    the two modalities' means.
    """
    linked_infrared = _through(infrared_labels, first_partners(matches))
    linked_visible = _through(visible_labels, matches.to_infrared)
    return (
        _shared(visible, visible_labels, infrared, linked_infrared, len(matches.to_infrared), balance),
        _shared(infrared, infrared_labels, visible, linked_visible, len(matches.to_visible), balance),
    )


def mixed_memory(features: Sequence[FloatArray], labels: Sequence[IntArray]) -> FloatArray:
    """(K, D) of the clusters that hold pictures of every modality: the mean of the modalities' means, of unit length.

    features: (N, D) unit rows of each modality, labels (N,) of the same clusters, -1 for pictures in none.
    """
    clusters = 1 + max(int(own.max(initial=-1)) for own in labels)
    rows = np.concatenate([_means(own, of, clusters) for own, of in zip(features, labels, strict=True)])
    return centroids(rows, np.tile(np.arange(clusters), len(features)), clusters)


def _through(labels: IntArray, partner: IntArray) -> IntArray:
    """The partner of each picture's cluster, -1 where it has no cluster or the cluster no partner."""
    return np.where(labels >= 0, partner[np.maximum(labels, 0)], -1) if len(partner) else np.full_like(labels, -1)


def _shared(
    own: FloatArray, labels: IntArray, other: FloatArray, linked: IntArray, clusters: int, balance: Balance
) -> FloatArray:
    if balance == "instance":
        return centroids(np.concatenate([own, other]), np.concatenate([labels, linked]), clusters)
    joined = np.bincount(linked[linked >= 0], minlength=clusters) > 0
    total = _means(own, labels, clusters) + _means(other, linked, clusters)
    return centroids(np.where(joined[:, None], total / 2, total), np.arange(clusters), clusters)


def _means(features: FloatArray, labels: IntArray, clusters: int) -> FloatArray:
    """(K, D), zeros for a cluster that no picture has."""
    rows = np.flatnonzero(labels >= 0)
    sizes = np.bincount(labels[rows], minlength=clusters)
    shares = (1 / sizes[labels[rows]]).astype(features.dtype)
    return np.asarray(csr_array((shares, (labels[rows], rows)), shape=(clusters, len(features))) @ features)
