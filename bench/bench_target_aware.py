"""Target-aware scores of pairs of pictures against the straightforward loop over pairs, one JSON line per figure.

    OMP_NUM_THREADS=1 python bench/bench_target_aware.py [--repeat 5]

Fields of the size that CAL has with ResNet-50 at 384x144: 4 parts, 216 positions, 2048 channels, width 512. A tile of
32 queries and 32 gallery pictures in NumPy and in torch, once with feature maps in half precision, as galleries keep
them; and 8 queries that rescore 50 candidates each, as `cascade:50` does. Both sides compute in float32; the loop reads
one pair at a time and sums over its parts.
"""

import argparse
import json
import math
import os
from typing import Any

import numpy as np
import torch

from timing import median
from vireid.matching import TargetAware
from vireid.types import Embeddings

PARTS, POSITIONS, CHANNELS, WIDTH = 4, 216, 2048, 512
TILE, SEARCHES, CANDIDATES = 32, 8, 50
THREADS = int(os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    torch.set_num_threads(THREADS)
    matcher, query, gallery = TargetAware(), draw(TILE, 0), draw(TILE, 1)
    expected_seconds, expected = median(lambda: loop(query, gallery), repeat)
    sides = {"numpy": (query, gallery), "torch": (tensors(query), tensors(gallery))}
    for library, (one, other) in sides.items():
        seconds, found = median(lambda one=one, other=other: matcher.score(one, other), repeat)
        report(f"tile {TILE}x{TILE} {library}", seconds, expected_seconds, TILE * TILE, found, expected)
    small = halved(gallery)
    seconds, found = median(lambda: matcher.score(query, small), repeat)
    half_seconds, half = median(lambda: loop(query, small), repeat)
    report(f"tile {TILE}x{TILE} numpy, maps in float16", seconds, half_seconds, TILE * TILE, found, half)
    candidates = np.argsort(np.random.default_rng(2).random((SEARCHES, CANDIDATES)), axis=1)
    wide, asking = draw(CANDIDATES, 3), query[:SEARCHES]
    seconds, found = median(lambda: matcher.rescore(asking, wide, candidates), repeat)
    loop_seconds, whole = median(lambda: loop(asking, wide), repeat)
    pairs, expected = SEARCHES * CANDIDATES, np.take_along_axis(whole, candidates, axis=1)
    report(f"rescoring {SEARCHES}x{CANDIDATES} numpy", seconds, loop_seconds, pairs, found, expected)


def report(name: str, seconds: float, loop_seconds: float, pairs: int, found: Any, expected: Any) -> None:
    difference = float(np.abs(np.asarray(found) - expected).max())
    if difference > 1e-5:
        raise SystemExit(f"{name}: differs from the loop by {difference}")
    line = {"name": name, "seconds": round(seconds, 4), "milliseconds_a_pair": round(1000 * seconds / pairs, 4)}
    line |= {"reference_seconds": round(loop_seconds, 4), "ratio": round(loop_seconds / seconds, 2)}
    print(json.dumps({**line, "dtype": "float32", "threads": THREADS}), flush=True)


def draw(count: int, seed: int) -> Embeddings[Any]:
    rng = np.random.default_rng(seed)
    shapes = {"tokens": (POSITIONS, CHANNELS), "keys": (POSITIONS, WIDTH), "queries": (PARTS, WIDTH)}
    fields = {name: rng.standard_normal((count, *shape), dtype=np.float32) for name, shape in shapes.items()}
    fields["gates"] = rng.random((count, PARTS, CHANNELS), dtype=np.float32)
    parts = rng.standard_normal((count, PARTS, CHANNELS), dtype=np.float32)
    parts /= np.linalg.norm(parts, axis=2, keepdims=True) * math.sqrt(PARTS)
    return Embeddings(parts.reshape(count, -1), fields)


def halved(embeddings: Embeddings[Any]) -> Embeddings[Any]:
    stored = {name: embeddings.fields[name].astype(np.float16) for name in ("tokens", "keys")}
    return Embeddings(embeddings.vector, {**embeddings.fields, **stored})


def tensors(embeddings: Embeddings[Any]) -> Embeddings[Any]:
    return Embeddings.from_arrays({name: torch.from_numpy(value) for name, value in embeddings.arrays().items()})


def loop(query: Embeddings[Any], gallery: Embeddings[Any]) -> Any:
    """Pair by pair: attention of all parts, what they read, and the sum of their cosines."""
    scores = np.empty((len(query), len(gallery)), np.float32)
    for g in range(len(gallery)):
        tokens, keys = (gallery.fields[name][g].astype(np.float32) for name in ("tokens", "keys"))
        for q in range(len(query)):
            attention = query.fields["queries"][q] @ keys.T / np.float32(math.sqrt(WIDTH))
            attention = np.exp(attention - attention.max(axis=1, keepdims=True))
            attention /= attention.sum(axis=1, keepdims=True)
            found = attention @ tokens * query.fields["gates"][q]
            own = query.vector[q].reshape(PARTS, CHANNELS)
            lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(own, axis=1)
            scores[q, g] = ((found * own).sum(axis=1) / lengths).mean()
    return scores


if __name__ == "__main__":
    main()
