"""Ranking metrics against a plain loop over queries, one JSON line per figure.

    python bench/bench_rank.py [--repeat 5]

Both sides get the same scores, warm, in one type; medians. The loop is the usual one: a stable argsort per query.
`ratio` is of wall-clock times, `cpu_ratio` of processor times: what is left of it on one core, or on a busy machine.
Each size is measured with scores of a random and of a fairly good model, and once with scores of two digits, of which
many are equal. The last line is the first call of a process, which loads the compiled code or, once, compiles it.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timing import median
from vireid.evaluation import RankingResult, rank

# Name, queries, gallery, identities, share of forbidden pairs, kind of CMC: the sizes of the official protocols.
SIZES = [
    ("sysu-all-single", 3803, 301, 96, 0.09, "identity"),
    ("sysu-all-multi", 3803, 3010, 96, 0.09, "identity"),
    ("regdb", 2060, 2060, 206, 0.0, "image"),
    ("llcm", 8680, 619, 351, 0.003, "identity"),
]
_FIRST_CALL = (
    "import numpy as np, time; from vireid.evaluation import rank; scores = np.eye(500); start = time.perf_counter();"
    "rank(scores, np.arange(500), np.arange(500)); print(time.perf_counter() - start)"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    for name, queries, gallery, identities, share, cmc in SIZES:
        for dtype in (np.float32, np.float64):
            for difficulty in ("random", "trained", "tied"):
                scores, query_ids, gallery_ids, invalid = draw(queries, gallery, identities, share, difficulty)
                arguments = scores.astype(dtype), query_ids, gallery_ids, invalid
                figures = measure(arguments, cmc, repeat)
                report(f"rank {name} {queries}x{gallery} {difficulty}", dtype=np.dtype(dtype).name, **figures)
    done = subprocess.run([sys.executable, "-c", _FIRST_CALL], check=True, capture_output=True, text=True)
    report("rank, first call of a process", seconds=round(float(done.stdout), 2))


def measure(arguments: tuple[Any, ...], cmc: str, repeat: int) -> dict[str, float]:
    """Both sides' seconds and their ratios, once they agree."""
    *plain, invalid = arguments
    ours: Callable[[], RankingResult] = lambda: rank(*plain, invalid=invalid, cmc=cmc)  # noqa: E731
    seconds, result = median(ours, repeat)
    reference, (expected, curve) = median(lambda: loop(*arguments, identity=cmc == "identity"), repeat)
    if abs(result.mAP - expected) > 1e-6 or np.abs(result.cmc[:20] - curve[:20]).max() > 1e-6:
        raise SystemExit(f"mAP {result.mAP}, the loop says {expected}")
    cpu, cpu_reference = processor(ours, repeat), processor(lambda: loop(*arguments, identity=cmc == "identity"), 1)
    return {
        "seconds": round(seconds, 5),
        "reference_seconds": round(reference, 5),
        "ratio": round(reference / seconds, 1),
        "cpu_ratio": round(cpu_reference / cpu, 1),
    }


def processor(work: Callable[[], object], repeat: int) -> float:
    """Least processor seconds of several calls, over all threads."""
    seconds = []
    for _ in range(repeat):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


def report(name: str, **figures: float | str) -> None:
    print(json.dumps({"name": name, **figures, "threads": len(os.sched_getaffinity(0))}), flush=True)


def draw(
    queries: int, gallery: int, identities: int, share: float, difficulty: str
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_] | None]:
    """Scores of a random or a fairly good model (`tied`: its scores rounded), identities, and forbidden pairs."""
    rng = np.random.default_rng(0)
    query_ids = rng.integers(identities, size=queries)
    gallery_ids = rng.permutation(np.arange(gallery) % identities)
    scores = rng.standard_normal((queries, gallery)).astype(np.float32)
    if difficulty != "random":
        scores += 2.5 * (query_ids[:, None] == gallery_ids)
    if difficulty == "tied":
        scores = scores.round(2)
    return scores, query_ids, gallery_ids, rng.random(scores.shape) < share if share else None


def loop(
    scores: NDArray[np.floating],
    query_ids: NDArray[np.int64],
    gallery_ids: NDArray[np.int64],
    invalid: NDArray[np.bool_] | None,
    *,
    identity: bool,
) -> tuple[float, NDArray[np.float64]]:
    """mAP and CMC, one query after the other."""
    precisions, hits = [], []
    for q in range(len(query_ids)):
        order = np.argsort(-scores[q], kind="stable")
        if invalid is not None:
            order = order[~invalid[q, order]]
        ids = gallery_ids[order]
        matches = ids == query_ids[q]
        if not matches.any():
            continue
        ranks = np.flatnonzero(matches) + 1
        precisions.append(np.mean(np.arange(1, len(ranks) + 1) / ranks))
        if identity:
            _, firsts = np.unique(ids, return_index=True)
            matches = ids[np.sort(firsts)] == query_ids[q]
        hits.append(np.flatnonzero(matches)[0])
    return float(np.mean(precisions)), np.bincount(hits, minlength=len(gallery_ids)).cumsum() / len(hits)


if __name__ == "__main__":
    main()
