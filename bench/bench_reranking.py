"""k-reciprocal re-ranking against the dense computation, one JSON line per figure.

    python bench/bench_reranking.py [--repeat 5]

The dense form, with N x N matrices and a loop over pictures, is timed where it ends in seconds; the official size of
SYSU-MM01 multi-shot (3803 x 3010) is measured alone, with the process's peak memory.
"""

import argparse
import json
import os
import resource
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timing import median
from vireid.matching import k_reciprocal

Matrix = NDArray[np.float32]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    cosines = draw(3803, 3010)
    inputs = sum(matrix.nbytes for matrix in cosines) / 2**20
    seconds, _ = median(lambda: k_reciprocal(*cosines), repeat)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    report("k-reciprocal 3803x3010", seconds, None, peak_mib=round(peak), inputs_mib=round(inputs))
    cosines = draw(1000, 800)
    seconds, found = median(lambda: k_reciprocal(*cosines), repeat)
    reference, expected = median(lambda: dense(*cosines), 1)
    if np.abs(found - expected).max() > 1e-5:
        raise SystemExit(f"differs from the dense computation by {np.abs(found - expected).max()}")
    report("k-reciprocal 1000x800", seconds, reference)


def report(name: str, seconds: float, reference: float | None, **extra: float) -> None:
    line: dict[str, Any] = {"name": name, "seconds": round(seconds, 4), **extra}
    if reference is not None:
        line |= {"reference_seconds": round(reference, 4), "ratio": round(reference / seconds, 1)}
    print(json.dumps({**line, "dtype": "float32", "threads": len(os.sched_getaffinity(0))}), flush=True)


def draw(queries: int, gallery: int) -> tuple[Matrix, Matrix, Matrix]:
    """Cosines of clustered unit vectors."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((96, 256))[rng.integers(96, size=queries + gallery)]
    vectors = (vectors + 1.5 * rng.standard_normal(vectors.shape)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    query, found = vectors[:queries], vectors[queries:]
    return query @ found.T, query @ query.T, found @ found.T


def dense(between: Matrix, among: Matrix, within: Matrix, k1: int = 20, k2: int = 6, weight: float = 0.3) -> Matrix:
    """The dense form: full matrices, a loop over pictures for the sets and one over queries for the distances."""
    queries, count = len(among), len(among) + len(within)
    distance = 2 - 2 * np.block([[among, between], [between.T, within]])
    distance = np.ascontiguousarray((distance / distance.max(axis=0)).T)
    order = np.argsort(distance, axis=1, kind="stable")

    def reciprocal(i: int, k: int) -> NDArray[np.int64]:
        near = order[i, : k + 1]
        return near[(order[near, : k + 1] == i).any(axis=1)]

    weights = np.zeros((count, count), np.float32)
    for i in range(count):
        mutual = reciprocal(i, k1)
        members = [mutual]
        for x in mutual:
            half = reciprocal(x, round(k1 / 2))
            if 3 * len(np.intersect1d(half, mutual)) > 2 * len(half):
                members.append(half)
        columns = np.unique(np.concatenate(members))
        weights[i, columns] = np.exp(-distance[i, columns])
        weights[i] /= weights[i].sum()
    weights = np.stack([weights[order[i, :k2]].mean(axis=0) for i in range(count)])
    result = np.empty_like(between)
    inverse = [np.flatnonzero(weights[:, x]) for x in range(count)]
    for i in range(queries):
        shared = np.zeros(count, np.float32)
        for x in np.flatnonzero(weights[i]):
            shared[inverse[x]] += np.minimum(weights[i, x], weights[inverse[x], x])
        result[i] = -((1 - weight) * (1 - shared / (2 - shared)) + weight * distance[i])[queries:]
    return result


if __name__ == "__main__":
    main()
