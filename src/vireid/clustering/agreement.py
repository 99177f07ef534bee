"""How pseudo-labels agree with identities, for analysis alone: no method may see these figures.

A picture in no cluster (-1) counts as a cluster of its own where two labellings are compared; purity leaves it out.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array

from vireid.errors import UsageError

__all__ = [
    "LabelStatistics",
    "adjusted_rand_index",
    "label_statistics",
    "match_precision",
    "normalised_mutual_information",
    "purity",
]

IntArray = NDArray[np.integer[Any]]


@dataclass(frozen=True, kw_only=True)
class LabelStatistics:
    """One clustering in numbers; fractions in [0, 1].

    clusters: how many. noise: share of pictures in none. median_size: of the clusters, 0 without any.
    ari, nmi, purity: agreement with identities, None where none were given; purity is not a number without clusters.
    """

    clusters: int
    noise: float
    median_size: float
    ari: float | None = None
    nmi: float | None = None
    purity: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def label_statistics(labels: IntArray, identity: IntArray | None = None) -> LabelStatistics:
    """Of (N,) labels, and (N,) identities where they are known."""
    sizes = np.bincount(labels[labels >= 0])
    sizes = sizes[sizes > 0]
    told = None if identity is None else (labels, identity)
    return LabelStatistics(
        clusters=len(sizes),
        noise=float((labels < 0).mean()) if len(labels) else 0.0,
        median_size=float(np.median(sizes)) if len(sizes) else 0.0,
        ari=adjusted_rand_index(*told) if told else None,
        nmi=normalised_mutual_information(*told) if told else None,
        purity=purity(*told) if told else None,
    )


def adjusted_rand_index(labels: IntArray, other: IntArray) -> float:
    """Agreement of two labellings (N,) over pairs of pictures, 0 at chance and 1 where they are the same.

    Hubert and Arabie, 1985.
    """
    table = _table(_alone(labels), _alone(other))
    together, rows, columns = (_pairs(counts) for counts in (table.data, table.sum(axis=1), table.sum(axis=0)))
    chance = rows * columns / max(1.0, _pairs(np.array([len(labels)])))
    most = (rows + columns) / 2
    return 1.0 if most == chance else float((together - chance) / (most - chance))


def normalised_mutual_information(labels: IntArray, other: IntArray) -> float:
    """Mutual information of two labellings (N,) over the mean of their entropies, from 0 to 1."""
    table = _table(_alone(labels), _alone(other))
    first, second = _entropy(table.sum(axis=1)), _entropy(table.sum(axis=0))
    mean = (first + second) / 2
    return 1.0 if mean == 0 else max(0.0, float((first + second - _entropy(table.data)) / mean))


def purity(labels: IntArray, identity: IntArray) -> float:
    """Share of clustered pictures that show the person whom most of their cluster show; not a number without any."""
    kept = labels >= 0
    if not kept.any():
        return float("nan")
    best = _table(labels[kept], identity[kept]).tocsr().max(axis=1)
    return float(best.sum() / kept.sum())


def match_precision(
    to_infrared: IntArray,
    visible_labels: IntArray,
    visible_identity: IntArray,
    infrared_labels: IntArray,
    infrared_identity: IntArray,
) -> float:
    """Share of matched visible clusters that mostly show the person whom their infrared cluster mostly shows.

    to_infrared: (visible clusters,) of `ClusterMatches`, -1 where unmatched. Not a number where nothing is matched.
    """
    visible = np.flatnonzero(to_infrared >= 0)
    if not len(visible):
        return float("nan")
    first = _majority(visible_labels, visible_identity)[visible]
    second = _majority(infrared_labels, infrared_identity)[to_infrared[visible]]
    return float((first == second).mean())


def _alone(labels: IntArray) -> IntArray:
    """The labels with a number of its own for every picture in no cluster."""
    labels = np.asarray(labels)
    noise = labels < 0
    return np.where(noise, int(labels.max(initial=-1)) + np.cumsum(noise), labels)


def _table(labels: IntArray, other: IntArray) -> Any:
    """(rows of labels, rows of others) sparse, in how many pictures both occur."""
    if labels.shape != other.shape or labels.ndim != 1:
        raise UsageError(f"labels {labels.shape} and {other.shape} do not belong together; give one of each a picture")
    _, row = np.unique(labels, return_inverse=True)
    _, column = np.unique(other, return_inverse=True)
    counts = coo_array((np.ones(len(row), np.int64), (row, column)))
    counts.sum_duplicates()
    return counts


def _pairs(counts: IntArray) -> float:
    counts = counts.astype(np.float64)
    return float((counts * (counts - 1)).sum() / 2)


def _entropy(counts: IntArray) -> float:
    share = counts / counts.sum()
    return float(-(share * np.log(share)).sum())


def _majority(labels: IntArray, identity: IntArray) -> IntArray:
    """(clusters,) the identity that most pictures of each cluster show; of equals the least."""
    kept = labels >= 0
    people, person = np.unique(identity[kept], return_inverse=True)
    counts = coo_array((np.ones(len(person), np.int64), (labels[kept], person))).tocsr()
    return np.asarray(people[np.asarray(counts.argmax(axis=1)).ravel()])
