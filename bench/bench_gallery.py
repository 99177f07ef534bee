"""A gallery's store beside FAISS, one JSON line per figure.

    python bench/bench_gallery.py [--sizes 10000 100000 1000000] [--queries 50] [--folder DIR]

Clustered unit vectors of 512 values, twenty to a person, with a column of which 50 %, 3 % and 0.1 % match. Insertion is
in batches of 10,000 through `LanceStore.add`; compaction, which completes codes and indices, is timed apart. Every
search asks for the ten best of one query, and its recall is against the exact answer. `first_ms` is the first search
with a filter, which finds out what matches; the further ones, of which the other figures are, know it. `cpu_ms` is that
of all threads together. FAISS flat and FAISS HNSW (m 32, construction 80) search the same vectors in memory, HNSW with
the least effort of a ladder whose recall is 0.99, filtered by an ID selector. Memory is the peak of a process
of its own for each engine, in which the vectors drawn are counted too; `--engine` runs one of them.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vireid.gallery import Entries, LanceStore

WIDTH, PICTURES, TOP, BATCH = 512, 20, 10, 10_000
SHARES = {"none": 1.0, "50 %": 0.5, "3 %": 0.03, "0.1 %": 0.001}
EFFORTS = (16, 32, 64, 128, 256, 512, 1024)
Matrix = NDArray[np.float32]
Search = Callable[[Matrix], list[int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--folder", type=Path, help="where the store is written (default: a temporary folder)")
    parser.add_argument("--engine", choices=["lancedb", "faiss-flat", "faiss-hnsw"])
    arguments = parser.parse_args()
    if arguments.engine:
        [size] = arguments.sizes
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            measure(arguments.engine, size, arguments.queries, Path(folder))
        return
    for size in arguments.sizes:
        for engine in ("lancedb", "faiss-flat", "faiss-hnsw"):
            command = [sys.executable, __file__, "--engine", engine, "--sizes", size, "--queries", arguments.queries]
            command += ["--folder", arguments.folder] if arguments.folder else []
            subprocess.run([str(word) for word in command], check=True)


def draw(size: int, queries: int) -> tuple[Matrix, Matrix, NDArray[np.object_]]:
    """Vectors, query vectors of the same people, and the filter column."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((max(1, size // PICTURES), WIDTH), dtype=np.float32)

    def of(people: NDArray[np.int64]) -> Matrix:
        rows = centres[people] + rng.standard_normal((len(people), WIDTH), dtype=np.float32)
        unit: Matrix = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit

    lift = np.empty((size, WIDTH), np.float32)
    for start in range(0, size, BATCH):
        lift[start : start + BATCH] = of(rng.integers(len(centres), size=min(BATCH, size - start)))
    chance = rng.random(size)
    marks = np.select([chance < 0.5, chance < 0.53, chance < 0.531], ["50 %", "3 %", "0.1 %"], "rest").astype(object)
    return lift, of(rng.integers(len(centres), size=queries)), marks


def measure(engine: str, size: int, queries: int, folder: Path) -> None:
    lift, asked, marks = draw(size, queries)
    rows = {name: np.arange(size) if name == "none" else np.flatnonzero(marks == name) for name in SHARES}
    truth = {name: exact(asked, lift, kept) for name, kept in rows.items()}
    for name, search, extra in searches(engine, lift, marks, rows, folder, asked, truth):
        begin = time.perf_counter()
        search(asked[:1])
        first = time.perf_counter() - begin
        used = time.process_time()
        seconds, right = [], 0
        for query, expected in zip(asked, truth[name], strict=True):
            start = time.perf_counter()
            found = search(query[np.newaxis])
            seconds.append(time.perf_counter() - start)
            right += len(set(found) & expected)
        report(
            engine,
            size,
            filter=name,
            first_ms=round(1e3 * first, 1),
            cpu_ms=round(1e3 * (time.process_time() - used) / queries, 2),
            p50_ms=round(1e3 * float(np.median(seconds)), 2),
            p95_ms=round(1e3 * float(np.quantile(seconds, 0.95)), 2),
            recall_at_10=round(right / sum(map(len, truth[name])), 4),
            **extra,
        )
    report(engine, size, peak_mib=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10))


def searches(
    engine: str,
    lift: Matrix,
    marks: NDArray[np.object_],
    rows: dict[str, NDArray[np.int64]],
    folder: Path,
    asked: Matrix,
    truth: dict[str, list[set[int]]],
) -> Iterator[tuple[str, Search, dict[str, Any]]]:
    if engine == "lancedb":
        store = fill(lift, marks, folder)
        for name in SHARES:
            filters = None if name == "none" else {"camera": [name]}

            def search(query: Matrix, filters: Any = filters) -> list[int]:
                return [int(key) for key in store.search(query, TOP, filters).keys[0]]

            yield name, search, {}
        return
    import faiss

    faiss.omp_set_num_threads(len(os.sched_getaffinity(0)))
    flat = engine == "faiss-flat"
    index = faiss.IndexFlatIP(WIDTH) if flat else faiss.IndexHNSWFlat(WIDTH, 32, faiss.METRIC_INNER_PRODUCT)
    if not flat:
        index.hnsw.efConstruction = 80
    start = time.perf_counter()
    index.add(lift)
    report(engine, len(lift), vectors_a_second=round(len(lift) / (time.perf_counter() - start)))
    for name, kept in rows.items():
        selector = None if name == "none" else faiss.IDSelectorBatch(kept)
        for effort in (0,) if flat else EFFORTS:
            options = faiss.SearchParameters() if flat else faiss.SearchParametersHNSW(efSearch=effort)
            if selector is not None:
                options.sel = selector

            def search(query: Matrix, options: Any = options) -> list[int]:
                return [int(row) for row in index.search(query, TOP, params=options)[1][0]]

            right = sum(len(set(search(q[np.newaxis])) & t) for q, t in zip(asked, truth[name], strict=True))
            if flat or right >= 0.99 * sum(map(len, truth[name])) or effort == EFFORTS[-1]:
                yield name, search, {} if flat else {"ef_search": effort}
                break


def fill(lift: Matrix, marks: NDArray[np.object_], folder: Path) -> LanceStore:
    """The store with all vectors, of which row N has the key N."""
    import lancedb  # noqa: F401 (its import, of seconds, is no insertion)

    store = LanceStore(folder / "store")
    seconds = 0.0
    for start in range(0, len(lift), BATCH):
        part = slice(start, start + BATCH)
        keys = [f"{row:064d}" for row in range(len(lift))[part]]
        table = {"sha256": keys, "path": keys, "modality": "visible", "camera": marks[part]}
        entries = Entries(table=pd.DataFrame(table, dtype=object), lift=lift[part])
        begin = time.perf_counter()
        store.add(entries)
        seconds += time.perf_counter() - begin
    report("lancedb", len(lift), vectors_a_second=round(len(lift) / seconds))
    begin = time.perf_counter()
    store.compact()
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    report("lancedb", len(lift), compact_seconds=round(time.perf_counter() - begin, 1), disk_mib=round(size / 2**20))
    return store


def exact(asked: Matrix, lift: Matrix, kept: NDArray[np.int64]) -> list[set[int]]:
    """The rows of the ten best, of those kept, for every query."""
    scores = np.concatenate(
        [asked @ lift[kept[start : start + BATCH]].T for start in range(0, len(kept), BATCH)], axis=1
    )
    return [set(kept[np.argsort(-line)[:TOP]].tolist()) for line in scores]


def report(engine: str, size: int, **figures: Any) -> None:
    line = {"name": f"gallery {engine} {size}x{WIDTH}", **figures, "threads": len(os.sched_getaffinity(0))}
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
