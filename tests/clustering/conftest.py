"""Features of people, and the dense computation that sparse results are compared with."""

from collections.abc import Callable

import numpy as np
import pytest


def draw_people(count: int, people: int, *, width: int = 32, spread: float = 0.8, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((people, width))
    vectors = centres[np.arange(count) % people] + spread * rng.standard_normal((count, width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def people() -> Callable[..., np.ndarray]:
    """(count, width) unit rows of so many people; row i shows person i % people."""
    return draw_people


def dense_jaccard(
    features: np.ndarray, k1: int, k2: int, groups: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(N, N) weights before averaging, and Jaccard distances: a loop over pictures, full matrices, float64."""
    count = len(features)
    cosine = (features @ features.T).astype(np.float64)
    np.fill_diagonal(cosine, 9)
    order = np.argsort(-cosine, axis=1, kind="stable")[:, : max(k1, k2)]
    stored = order[:, :k1]

    def reciprocal(i: int, k: int) -> set[int]:
        return {int(j) for j in stored[i, : k + 1] if i in stored[j, : k + 1]}

    exact = features.astype(np.float64)
    weights = np.zeros((count, count))
    for i in range(count):
        near = reciprocal(i, k1)
        members = set(near)
        for candidate in near:
            half = reciprocal(candidate, int(np.around(k1 / 2)))
            if len(half & near) > 2 / 3 * len(half):
                members |= half
        columns = sorted(members)
        weight = np.exp(-(2 - 2 * exact[columns] @ exact[i]))
        weights[i, columns] = weight / weight.sum()
    averaged = weights.copy()
    if k2 > 1:
        for i in range(count):
            near = order[i, :k2]
            sides = [near] if groups is None else [near[groups[near] == g] for g in np.unique(groups[near])]
            averaged[i] = np.mean([weights[side].mean(axis=0) for side in sides], axis=0)
    shared = np.stack([np.minimum(averaged[i], averaged).sum(axis=1) for i in range(count)])
    return weights, np.maximum(0, 1 - shared / (2 - shared))


@pytest.fixture
def dense() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """The dense computation: features, k1, k2, groups -> weights, distances."""
    return dense_jaccard
