"""Which clusters belong together, and towards which of them they are pulled in an epoch."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from vireid.clustering import ClusterMatches

__all__ = ["Closure", "groups", "merge_targets"]

Closure = Literal["one_hop", "components"]
IntArray = NDArray[np.int64]
Groups = tuple[IntArray, ...]


def groups(matches: ClusterMatches, *, closure: Closure = "one_hop") -> tuple[Groups, Groups]:
    """For every visible and every infrared cluster the clusters of its own modality that it belongs with, itself
    included, ascending.

    one_hop: those with a partner in common. components: all that links between clusters join, directly or not.
    """
    if closure == "components":
        return _components(matches)
    linked, partners = matches.linked, matches.to_visible
    visible = tuple(_union(i, [partners[j] for j in own]) for i, own in enumerate(linked))
    infrared = tuple(_union(j, [linked[i] for i in own]) for j, own in enumerate(partners))
    return visible, infrared


def merge_targets(groups: Groups, epoch: int) -> IntArray:
    """(clusters,) the cluster of its group that each is pulled towards in this epoch; -1: none.

    The members take turns, in ascending order; the one whose turn it is, and a cluster alone, is pulled nowhere.
    """
    targets = np.full(len(groups), -1, np.int64)
    for cluster, group in enumerate(groups):
        target = group[epoch % len(group)]
        if target != cluster:
            targets[cluster] = target
    return targets


def _union(own: int, parts: list[IntArray]) -> IntArray:
    return np.unique(np.concatenate([np.array([own], np.int64), *parts]))


def _components(matches: ClusterMatches) -> tuple[Groups, Groups]:
    visible, infrared = len(matches.to_infrared), len(matches.to_visible)
    links = [(i, visible + j) for i, own in enumerate(matches.linked) for j in own.tolist()]
    row, column = np.array(links, np.int64).reshape(-1, 2).T
    size = visible + infrared
    graph = coo_array((np.ones(len(row), np.int8), (row, column)), shape=(size, size))
    _, of = connected_components(graph, directed=False)
    sides = of[:visible], of[visible:]
    found = [tuple(np.flatnonzero(side == component).astype(np.int64) for component in side) for side in sides]
    return found[0], found[1]
