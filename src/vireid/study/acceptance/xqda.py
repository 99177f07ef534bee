"""Cross-view quadratic discriminant analysis: the strongest thing that can be learned from features in closed form.

Liao, Hu, Zhu and Li, Person Re-identification by Local Maximal Occurrence Representation and Metric Learning, CVPR
2015, section 4, with one view per modality.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from vireid.errors import MissingExtraError
from vireid.study.acceptance.retrieval import Vectors

__all__ = ["Xqda", "fit_xqda"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.floating[Any]]

COMPONENTS = 200
"""Principal components that are kept before the metric is learned."""
RIDGE = 0.01
"""Regularisation, as a share of the mean variance."""


@dataclass(frozen=True, kw_only=True)
class Xqda:
    """A projection and a metric. centres: mean feature per modality; basis: (D, d); metric: (d, d)."""

    centres: dict[str, FloatArray]
    basis: FloatArray
    metric: FloatArray

    def project(self, vectors: Vectors, modality: NDArray[Any]) -> Vectors:
        """Vectors (N, d); modality: (N,) of each."""
        centred = _centred(vectors.values, modality, self.centres)
        return Vectors(rows=vectors.rows, values=centred @ self.basis)

    def score(self, projected: Vectors) -> Any:
        """The `Score` of projected vectors: minus the learned distance, which may be negative."""

        def score(query: IntArray, gallery: IntArray) -> FloatArray:
            x, y = projected.of(query), projected.of(gallery)
            own = [np.einsum("nd,de,ne->n", side, self.metric, side) for side in (x, y)]
            scores: FloatArray = 2 * x @ self.metric @ y.T - own[0][:, None] - own[1][None]
            return scores

        return score


def fit_xqda(features: FloatArray, identity: IntArray, modality: NDArray[Any]) -> Xqda:
    """Learn from features (N, D) of training pictures with their identities and modalities (N,).

    Only people seen in both modalities are learned from.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    centres = {str(m): features[modality == m].mean(axis=0) for m in np.unique(modality)}
    centred = _centred(features, modality, centres)
    components = _principal(centred)
    low = centred @ components
    both = set(identity[modality == "visible"]) & set(identity[modality == "infrared"])
    known = np.isin(identity, list(both))
    inner, outer = _covariances(low[known], identity[known], modality[known])
    ridge = RIDGE * np.trace(inner) / len(inner) * np.eye(len(inner))
    values, vectors = eigh(outer, inner + ridge)
    kept = vectors[:, values > 1] if (values > 1).any() else vectors[:, -1:]
    parts = [np.linalg.inv(kept.T @ matrix @ kept) for matrix in (inner + ridge, outer + ridge)]
    return Xqda(centres=centres, basis=components @ kept, metric=parts[0] - parts[1])


def _centred(features: FloatArray, modality: NDArray[Any], centres: dict[str, FloatArray]) -> FloatArray:
    centred = features.astype(np.float64)
    for name, centre in centres.items():
        centred[modality == name] -= centre
    return centred


def _principal(centred: FloatArray) -> FloatArray:
    """(D, d) leading principal directions."""
    try:
        from sklearn.utils.extmath import randomized_svd
    except ModuleNotFoundError as error:
        raise MissingExtraError("scikit-learn", "study") from error
    count = min(COMPONENTS, centred.shape[1], len(centred) - 1)
    directions: FloatArray = randomized_svd(centred, count, n_iter=4, random_state=0)[2].T
    return directions


def _covariances(low: FloatArray, identity: IntArray, modality: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    """Covariances of the differences between a visible and an infrared picture, of one person and of two."""
    sides = {m: modality == m for m in ("visible", "infrared")}
    second = {m: _moments(low[side], identity[side]) for m, side in sides.items()}
    size = low.shape[1]
    inner, outer = np.zeros((size, size)), np.zeros((size, size))
    (count_v, sum_v, square_v), (count_r, sum_r, square_r) = second["visible"], second["infrared"]
    pairs = float((count_v * count_r).sum())
    inner += np.einsum("i,ide->de", count_r, square_v) + np.einsum("i,ide->de", count_v, square_r)
    inner -= sum_v.T @ sum_r + sum_r.T @ sum_v
    total = count_r.sum() * square_v.sum(axis=0) + count_v.sum() * square_r.sum(axis=0)
    total -= np.outer(sum_v.sum(0), sum_r.sum(0)) + np.outer(sum_r.sum(0), sum_v.sum(0))
    outer = (total - inner) / (float(count_v.sum() * count_r.sum()) - pairs)
    return inner / pairs, outer


def _moments(low: FloatArray, identity: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Per person, rising: number of pictures (I,), sum (I, d) and sum of outer products (I, d, d)."""
    people = np.unique(identity)
    groups = [low[identity == person] for person in people]
    return (
        np.array([float(len(group)) for group in groups]),
        np.stack([group.sum(axis=0) for group in groups]),
        np.stack([group.T @ group for group in groups]),
    )
