"""DBSCAN on a sparse graph of distances. Ester, Kriegel, Sander and Xu, KDD 1996."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from vireid.errors import UsageError

__all__ = ["dbscan"]

IntArray = NDArray[np.int64]


def dbscan(graph: Any, *, eps: float, min_samples: int) -> IntArray:
    """(N,) cluster of every picture, 0 to K - 1 in order of their first core picture, -1 for noise.

    A picture with at least `min_samples` pictures within `eps`, itself included, is core; core pictures within eps of
    one another share a cluster. Another picture joins the first cluster that has a core picture within eps of it, or is
    noise. The labels are those of scikit-learn's DBSCAN with a precomputed matrix.

    Args:
        graph: (N, N) symmetric SciPy matrix of distances. What it does not store is farther than eps, so it must have
            been made with this eps or a greater one. The diagonal need not be stored.
        eps: greatest distance of neighbours.
        min_samples: at least 1.

    Raises:
        UsageError: a parameter out of range, or a graph that is not square or not symmetric.
    """
    if not eps >= 0:
        raise UsageError(f"eps is {eps}; it is a distance and not negative")
    if min_samples < 1:
        raise UsageError(f"min_samples is {min_samples}; a picture is its own neighbour, so it is at least 1")
    near = _adjacent(graph, eps)
    core = np.diff(near.indptr) >= min_samples
    labels = np.full(len(core), -1, np.int64)
    if not core.any():
        return labels
    cores = np.flatnonzero(core)
    _, component = connected_components(near[cores][:, cores], directed=False)
    _, first = np.unique(component, return_index=True)
    order = np.empty(len(first), np.int64)
    order[np.argsort(first)] = np.arange(len(first))
    labels[cores] = order[component]
    links = near.tocoo()
    border = ~core[links.row] & core[links.col]
    joined = np.full(len(core), len(first))
    np.minimum.at(joined, links.row[border], labels[links.col[border]])
    return np.where(joined < len(first), joined, labels)


def _adjacent(graph: Any, eps: float) -> csr_array:
    """(N, N) ones where two pictures are within eps of one another, and on the diagonal."""
    coo = csr_array(graph).tocoo()
    if coo.shape[0] != coo.shape[1]:
        raise UsageError(f"the graph has shape {coo.shape}; give a square matrix of distances")
    kept = (coo.data <= eps) & (coo.row != coo.col)
    own = np.arange(coo.shape[0])
    where = np.concatenate([coo.row[kept], own]), np.concatenate([coo.col[kept], own])
    near = csr_array((np.ones(len(where[0]), np.int8), where), shape=coo.shape)
    turned = near.T.tocsr()
    turned.sort_indices()
    near.sort_indices()
    if not np.array_equal(near.indptr, turned.indptr) or not np.array_equal(near.indices, turned.indices):
        raise UsageError(f"the graph is not symmetric: within eps = {eps} some picture is near another, but not back")
    return near
