"""What start weights say of people before any training: the clusters of their features, and how well they retrieve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from vireid.data import Dataset
from vireid.errors import MissingExtraError
from vireid.study.acceptance.findings import Finding
from vireid.study.acceptance.retrieval import Vectors, inside_modality, protocol_rows, retrieve
from vireid.types import Modality, Track, untracked

if TYPE_CHECKING:
    from vireid.training.recipe import Recipe

__all__ = ["cluster", "clusters", "jaccard_neighbours", "start_retrieval"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.floating[Any]]

K1, K2 = 30, 6
EPS, MIN_SAMPLES = 0.6, 4
CLUSTERS_WANTED = (1.5, 3.0)
PURITY_WANTED = (80.0, 90.0)
INSIDE_WANTED = 40.0
BLOCK = 1024


def clusters(dataset: Dataset, vectors: Vectors) -> list[Finding]:
    """How DBSCAN parts the training pictures; vectors: of all of them, by the untrained start.

    Judged for visible pictures; infrared ones are for information.
    """
    images = dataset.images
    trained = dataset.training_rows()
    findings = []
    for modality in Modality:
        rows = trained[(images["modality"].to_numpy()[trained] == str(modality))]
        identity = images["identity"].to_numpy()[rows]
        labels = cluster(vectors.of(rows))
        judged = modality is Modality.VISIBLE
        number = len(set(labels[labels >= 0].tolist())) / len(np.unique(identity))
        noise = f"{100 * float((labels < 0).mean()):.0f} % of the pictures in no cluster"
        bands = (CLUSTERS_WANTED, PURITY_WANTED) if judged else ((None, None), (None, None))
        for name, value, unit, (low, high) in (
            (f"{modality} clusters per training identity", number, "", bands[0]),
            (f"purity of {modality} clusters", 100 * purity(labels, identity), "%", bands[1]),
        ):
            findings.append(Finding(name=name, value=value, unit=unit, low=low, high=high, note=noise))
    return findings


def start_retrieval(dataset: Dataset, vectors: Vectors) -> list[Finding]:
    """Rank-1 of the untrained start inside each modality, across its cameras, and from infrared to visible."""
    inside = {modality: retrieve(inside_modality(dataset, modality), vectors.score) for modality in Modality}
    across = retrieve(dataset.protocol("all-single-agw"), vectors.score)
    return [
        *(
            Finding(
                name=f"start, {modality} to {modality} across cameras, rank-1",
                value=found.rank1,
                low=INSIDE_WANTED,
                note=f"mAP {found.mAP:.1f} %",
            )
            for modality, found in inside.items()
        ),
        Finding(name="start, infrared to visible, rank-1", value=across.rank1, note=f"mAP {across.mAP:.1f} %"),
    ]


def rows_needed(dataset: Dataset) -> IntArray:
    """Rows of which `clusters` and `start_retrieval` need vectors."""
    tests = [inside_modality(dataset, modality) for modality in Modality]
    rows = protocol_rows(dataset.protocol("all-single-agw"), *tests)
    return np.union1d(rows, dataset.training_rows())


def start_vectors(dataset: Dataset, recipe: Recipe, *, device: str | None = None, track: Track = untracked) -> Vectors:
    """Unit vectors of what the recipe's network makes of the pictures with its start weights, before any training.

    Raises:
        WeightsError: the start cannot be had or does not fit.
    """
    from vireid.study.acceptance.networks import embedded, untrained

    return embedded(untrained(recipe, device=device), dataset, rows_needed(dataset), track=track)


def cluster(vectors: FloatArray) -> IntArray:
    """(N,) cluster of every row, -1 for none, as the cluster-contrast family of methods finds them.

    DBSCAN with radius 0.6 and 4 neighbours on k-reciprocal Jaccard distances, k1 = 30, k2 = 6.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    try:
        from sklearn.cluster import DBSCAN
    except ModuleNotFoundError as error:
        raise MissingExtraError("scikit-learn", "study") from error
    graph = jaccard_neighbours(vectors, eps=EPS)
    labels: IntArray = DBSCAN(eps=EPS, min_samples=MIN_SAMPLES, metric="precomputed").fit_predict(graph)
    return labels


def purity(labels: IntArray, identity: IntArray) -> float:
    """Share of clustered pictures that show the person whom most of their cluster show; not a number without any."""
    kept = labels >= 0
    if not kept.any():
        return float("nan")
    _, person = np.unique(identity[kept], return_inverse=True)
    counts = np.zeros((int(labels.max()) + 1, int(person.max()) + 1), np.int64)
    np.add.at(counts, (labels[kept], person), 1)
    return float(counts.max(axis=1).sum() / kept.sum())


def jaccard_neighbours(vectors: FloatArray, *, eps: float, k1: int = K1, k2: int = K2) -> Any:
    """(N, N) sparse, the k-reciprocal Jaccard distances of at most `eps` between rows of unit length.

    Zhong et al., CVPR 2017, without mixing in the plain distance: pictures are near if their mutual neighbours are.
    """
    nearest = _nearest(vectors, k1 + 1)
    forward = _listed(nearest)
    mutual = forward.multiply(forward.T).tocsr()
    half = _listed(nearest[:, : round(k1 / 2) + 1])
    half = half.multiply(half.T).tocsr()
    shared = (mutual @ half.T).multiply(mutual).tocoo()
    accepted = 3 * shared.data > 2 * half.sum(axis=1)[shared.col]
    chosen = csr_array((np.ones(int(accepted.sum())), (shared.row[accepted], shared.col[accepted])), shape=mutual.shape)
    members = (mutual + chosen @ half).tocoo()
    weight = np.exp(-_pair_distances(vectors, members.row, members.col))
    weights = _scaled(csr_array((weight, (members.row, members.col)), shape=mutual.shape))
    return _overlaps(_scaled(_listed(nearest[:, :k2]) @ weights) if k2 > 1 else weights, eps)


def _nearest(vectors: FloatArray, count: int) -> IntArray:
    """(N, count) nearest rows of each, itself first."""
    found = []
    count = min(count, len(vectors))
    for start in range(0, len(vectors), BLOCK):
        cosine = vectors[start : start + BLOCK] @ vectors.T
        cosine[np.arange(len(cosine)), start + np.arange(len(cosine))] = 2
        best = np.argpartition(-cosine, count - 1, axis=1)[:, :count]
        order = np.argsort(-np.take_along_axis(cosine, best, axis=1), axis=1)
        found.append(np.take_along_axis(best, order, axis=1))
    return np.concatenate(found)


def _listed(nearest: IntArray) -> Any:
    row = np.repeat(np.arange(len(nearest)), nearest.shape[1])
    return csr_array((np.ones(nearest.size), (row, nearest.ravel())), shape=(len(nearest), len(nearest)))


def _pair_distances(vectors: FloatArray, row: IntArray, column: IntArray) -> FloatArray:
    parts = [
        2 - 2 * np.einsum("nd,nd->n", vectors[row[start : start + 65536]], vectors[column[start : start + 65536]])
        for start in range(0, len(row), 65536)
    ]
    return np.concatenate(parts)


def _scaled(weights: Any) -> Any:
    """Rows of sum one."""
    total = np.maximum(weights.sum(axis=1), 1e-12)
    scaled = weights.tocsr().copy()
    scaled.data = scaled.data / np.repeat(total, np.diff(scaled.indptr))
    return scaled


def _overlaps(weights: Any, eps: float) -> Any:
    """Sparse Jaccard distances of at most `eps`: 1 - sum of minima / sum of maxima, rows having sum one."""
    columns, count = weights.tocsc(), weights.shape[0]
    lengths = np.diff(columns.indptr)
    rows, cells, values = [], [], []
    for row in range(count):
        part = slice(weights.indptr[row], weights.indptr[row + 1])
        used, weight = weights.indices[part], weights.data[part]
        long = lengths[used]
        place = np.arange(long.sum()) + np.repeat(columns.indptr[used] - (np.cumsum(long) - long), long)
        smaller = np.minimum(columns.data[place], np.repeat(weight, long))
        shared = np.bincount(columns.indices[place], weights=smaller, minlength=count)
        distance = np.maximum(0, 1 - shared / (2 - shared))
        near = np.flatnonzero((distance <= eps) & (shared > 0))
        rows.append(np.full(len(near), row))
        cells.append(near)
        values.append(distance[near])
    where = np.concatenate(rows), np.concatenate(cells)
    return coo_array((np.concatenate(values), where), shape=weights.shape).tocsr()
