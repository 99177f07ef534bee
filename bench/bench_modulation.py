"""Query-adaptive scores in closed form against the modulated gallery, one JSON line per figure.

    python bench/bench_modulation.py [--repeat 5]

All sides get the same arrays (6 parts of 256 channels, single precision), warm, in one run; medians. `loop` modulates
the whole gallery anew for every query, as the method is published, and compares it with that query; `materialised`
makes the array of queries x gallery x parts x channels at once, which fits into memory only for few pictures. The sizes
are the official ones of SYSU-MM01: 3803 queries in a gallery of 301 (single-shot) or 3010 (multi-shot); there the loop
is timed on the first 200 queries, and its seconds are those times 3803 / 200. `peak_mib` is what a call takes beyond
its inputs. A side that differs by more than 1e-5 of the largest score ends the run.
"""

import argparse
import json
import os
import tracemalloc
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from timing import median
from vireid.matching import create_matcher
from vireid.types import Embeddings

Matrix = NDArray[np.float32]
Sides = tuple[Embeddings[Matrix], Embeddings[Matrix]]
METRICS = ("modulated-cosine", "modulated-euclidean", "modulated-part-cosine")
PARTS, CHANNELS, TIMED = 6, 256, 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    for metric in METRICS:
        measure(metric, (draw(200, 0), draw(301, 1)), materialised, "materialised", repeat)
        measure(metric, (draw(3803, 0), draw(301, 1)), loop, "loop", repeat)
        measure(metric, (draw(3803, 0), draw(3010, 1)), loop, "loop", repeat)


def measure(metric: str, sides: Sides, other: Callable[[str, Sides], Matrix], name: str, repeat: int) -> None:
    """Seconds, peak and the ratio of both sides, once they agree."""
    matcher = create_matcher(metric)
    queries, gallery = map(len, sides)
    timed = min(queries, TIMED) if name == "loop" else queries
    few = sides[0][:timed], sides[1]
    seconds, found = median(lambda: matcher.score(*sides), repeat)
    reference, expected = median(lambda: other(metric, few), repeat)
    reference *= queries / timed
    difference = float(np.abs(found[:timed] - expected).max() / np.abs(expected).max())
    if difference > 1e-5:
        raise SystemExit(f"{metric} differs from the {name} computation by {difference}")
    line = {
        "name": f"{metric} {queries}x{gallery}",
        "seconds": round(seconds, 4),
        f"{name}_seconds": round(reference, 4),
        "ratio": round(reference / seconds, 1),
        "peak_mib": peak(lambda: matcher.score(*sides)),
        f"{name}_peak_mib": peak(lambda: other(metric, few)),
        "inputs_mib": round(sum(side.fields[key].nbytes for side in sides for key in matcher.fields) / 2**20),
        "difference": float(f"{difference:.1e}"),
    }
    print(json.dumps({**line, "dtype": "float32", "threads": threads()}), flush=True)


def threads() -> int:
    return int(os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0))))


def peak(work: Callable[[], object]) -> int:
    """MiB of arrays held at once, beyond those that were there before."""
    tracemalloc.start()
    work()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return round(most / 2**20)


def draw(count: int, seed: int) -> Embeddings[Matrix]:
    """Rectified parts, and modulations around the one that changes nothing."""
    rng = np.random.default_rng(seed)
    fields = {
        "parts": np.maximum(rng.standard_normal((count, PARTS, CHANNELS), np.float32), 0),
        "scale": 1 + 0.3 * rng.standard_normal((count, CHANNELS), np.float32),
        "shift": 0.1 * rng.standard_normal((count, CHANNELS), np.float32),
    }
    return Embeddings(fields["parts"].reshape(count, -1), fields)


def loop(metric: str, sides: Sides) -> Matrix:
    """One query after the other."""
    query, gallery = sides
    return np.concatenate([materialised(metric, (query[i : i + 1], gallery)) for i in range(len(query))])


def materialised(metric: str, sides: Sides) -> Matrix:
    """All queries at once: the modulated gallery is (Q, G, p, d)."""
    query, gallery = sides
    own = query.fields["parts"][:, None]
    changed = gallery.fields["parts"][None] * query.fields["scale"][:, None, None]
    changed += query.fields["shift"][:, None, None]
    if metric == "modulated-euclidean":
        changed -= own
        return -np.einsum("qgpd,qgpd->qg", changed, changed)
    if metric == "modulated-cosine":
        norms = np.sqrt(np.einsum("qgpd,qgpd->qg", changed, changed) * np.einsum("qgpd,qgpd->qg", own, own))
        return np.asarray(np.einsum("qgpd,qgpd->qg", changed, np.broadcast_to(own, changed.shape)) / norms)
    norms = np.sqrt(np.einsum("qgpd,qgpd->qgp", changed, changed) * np.einsum("qgpd,qgpd->qgp", own, own))
    products = np.einsum("qgpd,qgpd->qgp", changed, np.broadcast_to(own, changed.shape))
    return np.asarray((products / norms).mean(axis=2))


if __name__ == "__main__":
    main()
