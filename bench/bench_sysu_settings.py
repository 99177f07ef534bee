"""All settings of SYSU-MM01 from stored embeddings, one JSON line per figure.

    python bench/bench_sysu_settings.py [--dimension 2048] [--rerank]

Random unit vectors for the test pictures of the official lists: 3,803 infrared queries, 6,775 visible pictures. All and
indoor search, single and multi shot, ten trials each: scoring, ranking and averaging, in one process whose peak memory
is the last line. `cpu_seconds` is processor time, of all threads: what counts on a busy machine. With `--rerank`,
multi-shot all search is also re-ranked once a trial.
"""

import argparse
import json
import os
import resource
import time
from pathlib import Path

import numpy as np
import pandas as pd

from vireid.data.counts import official_pictures
from vireid.data.sysu import Sysu
from vireid.evaluation import evaluate
from vireid.matching import Dot
from vireid.types import Embeddings

SETTINGS = ("all-single-agw", "all-multi-agw", "indoor-single-agw", "indoor-multi-agw")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dimension", type=int, default=2048)
    parser.add_argument("--rerank", action="store_true")
    arguments = parser.parse_args()
    dataset = test_pictures()
    rows = dataset.rows(split="test")
    embeddings = embed(dataset.images["identity"].to_numpy()[rows], arguments.dimension)
    begin = clocks()
    for name in SETTINGS:
        start = clocks()
        result = evaluate(dataset.protocol(name), embeddings, rows, Dot()).to_json()
        gallery, valid = result["gallery"][0], result["valid_queries"][0]
        report(f"sysu {name}, 10 trials", start, gallery=gallery, valid_queries=valid, mAP=round(result["mAP"], 2))
    report("sysu, 4 settings x 10 trials", begin, dimension=arguments.dimension)
    if arguments.rerank:
        start = clocks()
        evaluate(dataset.protocol("all-multi-agw"), embeddings, rows, Dot(), rerank=True)
        report("sysu all-multi-agw re-ranked, 10 trials", start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"name": "sysu settings, peak memory", "gib": round(peak, 2)}), flush=True)


def test_pictures() -> Sysu:
    """The test pictures of the official counts; there are no files behind their paths."""
    counts = official_pictures("sysu").query("split == 'test'")
    table = counts.loc[counts.index.repeat(counts["images"])].reset_index(drop=True)
    number = table.groupby(["camera", "identity"]).cumcount() + 1
    paths = [f"/cam{c}/{i:04d}/{n:04d}.jpg" for c, i, n in zip(table["camera"], table["identity"], number, strict=True)]
    columns = {name: table[name] for name in ("identity", "camera", "modality", "split")}
    return Sysu(root=Path("/"), images=pd.DataFrame({"path": paths, **columns}))


def embed(identity: np.ndarray, dimension: int) -> Embeddings[np.ndarray]:
    """Unit vectors around one centre an identity."""
    rng = np.random.default_rng(0)
    people, place = np.unique(identity, return_inverse=True)
    vectors = rng.standard_normal((len(people), dimension), dtype=np.float32)[place]
    vectors += 8 * rng.standard_normal(vectors.shape, dtype=np.float32)
    return Embeddings(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def clocks() -> tuple[float, float]:
    """Seconds on the wall, and of the processor."""
    return time.perf_counter(), time.process_time()


def report(name: str, start: tuple[float, float], **figures: float) -> None:
    wall, cpu = (round(now - then, 2) for now, then in zip(clocks(), start, strict=True))
    line = {"name": name, "seconds": wall, "cpu_seconds": cpu, **figures, "threads": len(os.sched_getaffinity(0))}
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
