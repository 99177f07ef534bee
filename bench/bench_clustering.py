"""Clustering against the dense computation, one JSON line per figure.

    python bench/bench_clustering.py [--count 22258] [--width 512]

Both sides get the same features of people (seed 0; 55 pictures each of four cameras, some blurred beyond recognition)
and run in processes of their own, warm, in turn: neighbours (k1 = 30) by blocked products, weights averaged over
k2 = 6, Jaccard distances, DBSCAN at 0.6 with 4 neighbours. The dense form has N x N matrices in float32 and a loop over
pictures, and ends with scikit-learn's DBSCAN. `seconds` are wall-clock, `cpu_seconds` of all threads; memory is what
the computation adds to the features. Labels must be the same at 3,000 pictures and agree to an adjusted Rand index of
0.9999 at full size, where the dense form takes about 4 GB. Linux alone tells the memory.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vireid.clustering import adjusted_rand_index, dbscan, jaccard_graph, memory_plan, nearest

K1, K2, EPS, MIN_SAMPLES = 30, 6, 0.6, 4
Matrix = NDArray[np.float32]
Labels = NDArray[np.int64]
Step = Callable[[Callable[[], Any]], Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=22258)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--side", choices=("sparse", "dense"), help=argparse.SUPPRESS)
    parser.add_argument("--labels", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        figures, labels = measure(arguments.side, arguments.count, arguments.width)
        np.save(arguments.labels, labels)
        print(json.dumps(figures))
        return
    for count in dict.fromkeys((min(3000, arguments.count), arguments.count)):
        compare(count, arguments.width)
    plan = memory_plan(arguments.count, k1=K1, k2=K2)
    print(json.dumps({"name": "memory plan", "mib": round(plan.total / 2**20)}), flush=True)


def compare(count: int, width: int) -> None:
    """Both sides at one size, and how they compare."""
    figures, labels = {}, {}
    for side in ("sparse", "dense"):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "labels.npy"
            words = ["--count", count, "--width", width, "--side", side, "--labels", file]
            command = [sys.executable, __file__, *map(str, words)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            figures[side], labels[side] = json.loads(done.stdout), np.load(file)
        print(json.dumps({"name": f"{side} {count}x{width}", **figures[side], **machine()}), flush=True)
    agreement = adjusted_rand_index(labels["sparse"], labels["dense"])
    same = bool(np.array_equal(labels["sparse"], labels["dense"]))
    line: dict[str, Any] = {"name": f"dense over sparse {count}x{width}"}
    for kind in ("seconds", "cpu_seconds"):
        sparse, dense = figures["sparse"][kind], figures["dense"][kind]
        line |= {f"after_neighbours_{kind}": round(after(dense) / after(sparse), 1)}
        line |= {f"all_{kind}": round(sum(dense.values()) / sum(sparse.values()), 1)}
    line |= {"memory": round(figures["dense"]["mib"] / figures["sparse"]["mib"], 1)}
    print(json.dumps({**line, "labels_equal": same, "ari": round(agreement, 6)}), flush=True)
    if agreement < 0.9999 or (count <= 3000 and not same):
        raise SystemExit(f"labels of {count} pictures differ: adjusted Rand index {agreement}")


def after(seconds: dict[str, float]) -> float:
    return sum(value for name, value in seconds.items() if name != "neighbours")


def machine() -> dict[str, Any]:
    return {"dtype": "float32", "threads": len(os.sched_getaffinity(0))}


def measure(side: str, count: int, width: int) -> tuple[dict[str, Any], Labels]:
    """Seconds of every step and mebibytes added, after a warm-up at a small size."""
    work = sparse if side == "sparse" else dense
    work(draw(300, width), lambda step: step())
    features = draw(count, width)
    seconds: dict[str, dict[str, float]] = {"seconds": {}, "cpu_seconds": {}}
    names = iter(("neighbours", "graph", "dbscan"))

    def timed(step: Callable[[], Any]) -> Any:
        name, start, cpu = next(names), time.perf_counter(), time.process_time()
        result = step()
        seconds["seconds"][name] = round(time.perf_counter() - start, 3)
        seconds["cpu_seconds"][name] = round(time.process_time() - cpu, 3)
        return result

    Path("/proc/self/clear_refs").write_text("5")  # takes the mark of the most memory back
    before = resident("VmRSS")
    labels = work(features, timed)
    found = {"clusters": int(labels.max()) + 1, "noise": round(float((labels < 0).mean()), 3)}
    return {**seconds, "mib": round(resident("VmHWM") - before, 1), **found}, labels


def resident(field: str) -> float:
    """Mebibytes in memory: now (VmRSS), or the most since the mark was taken back (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 2**10


def draw(count: int, width: int) -> Matrix:
    """Unit vectors of people before four cameras; some pictures are blurred beyond recognition."""
    rng = np.random.default_rng(0)
    people = max(2, count // 55)
    person, camera = rng.integers(people, size=count), rng.integers(4, size=count)
    centres = rng.standard_normal((people, width), dtype=np.float32)
    views = centres[:, None] + 0.9 * rng.standard_normal((people, 4, width), dtype=np.float32)
    features = views[person, camera]
    features += rng.uniform(1, 6, (count, 1)).astype(np.float32) * rng.standard_normal((count, width), dtype=np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return features


def sparse(features: Matrix, step: Step) -> Labels:
    ranked = step(lambda: nearest(features, K1))
    graph = step(lambda: jaccard_graph(features, k1=K1, k2=K2, eps=EPS, neighbours=ranked))
    labels: Labels = step(lambda: dbscan(graph, eps=EPS, min_samples=MIN_SAMPLES))
    return labels


def dense(features: Matrix, step: Step) -> Labels:
    from sklearn.cluster import DBSCAN

    ranked = step(lambda: partitioned(features, K1))
    distances = step(lambda: dense_distances(features, ranked))
    labels: Labels = step(lambda: DBSCAN(eps=EPS, min_samples=MIN_SAMPLES, metric="precomputed").fit_predict(distances))
    return labels


def partitioned(features: Matrix, k: int) -> Labels:
    """(N, k) neighbours: blocks of products, partitioned, the first k sorted."""
    found = []
    for start in range(0, len(features), 256):
        scores = features[start : start + 256] @ features.T
        own = np.arange(len(scores))
        scores[own, start + own] = 9
        near = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(scores, near, axis=1), axis=1, kind="stable")
        found.append(np.take_along_axis(near, order, axis=1))
    return np.concatenate(found)


def dense_distances(features: Matrix, ranked: Labels) -> Matrix:
    """(N, N) Jaccard distances: full matrices, one picture after the other."""
    count = len(features)

    def reciprocal(i: int, k: int) -> Labels:
        near = ranked[i, : k + 1]
        return near[(ranked[near, : k + 1] == i).any(axis=1)]

    mutual = [reciprocal(i, K1) for i in range(count)]
    half = [reciprocal(i, round(K1 / 2)) for i in range(count)]
    weights = np.zeros((count, count), np.float32)
    for i in range(count):
        joined = [half[x] for x in mutual[i] if 3 * len(np.intersect1d(half[x], mutual[i])) > 2 * len(half[x])]
        columns = np.unique(np.concatenate([mutual[i], *joined]))
        weight = np.exp(2 * (features[columns] @ features[i]) - 2)
        weights[i, columns] = weight / weight.sum()
    averaged = np.empty_like(weights)
    for i in range(count):
        averaged[i] = weights[ranked[i, :K2]].mean(axis=0)
    del weights
    inverse = [np.flatnonzero(averaged[:, x]) for x in range(count)]
    distances = np.empty_like(averaged)
    for i in range(count):
        shared = np.zeros(count, np.float32)
        for x in np.flatnonzero(averaged[i]):
            shared[inverse[x]] += np.minimum(averaged[i, x], averaged[inverse[x], x])
        distances[i] = 1 - shared / (2 - shared)
    return np.maximum(distances, 0, out=distances)


if __name__ == "__main__":
    main()
