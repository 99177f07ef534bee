"""Searching a gallery with BIT: pictures a second while it is indexed, and the time of single searches.

    python bench/bench_pair_search.py [--pictures 10000] [--searches 100] [--threads 2]

The ViT of `bit-demo` with random weights, pictures of noise at 144x72, and a cascade of 50 candidates: what a search
costs does not depend on what the network knows. A search reads the query's file, embeds it, finds candidates and looks
at 50 pairs. Prints median and 95th percentile of the searches, after three that warm up, one JSON line per figure.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from vireid.gallery import Gallery
from vireid.methods import create
from vireid.methods.bundle import Bundle, Card, Preprocessing, save_bundle
from vireid.training.recipe import load_recipe
from vireid.types import DataInfo

WARM, SIZE = 3, (144, 72)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--searches", type=int, default=100)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pictures(folder / "gallery-pictures", given.pictures, seed=0)
        write_pictures(folder / "queries", given.searches + WARM, seed=1)
        bundle = untrained(folder / "bundle")
        started = time.perf_counter()
        Gallery.build(folder / "gallery", bundle, folder / "gallery-pictures", modality="visible", device="cpu")
        seconds = time.perf_counter() - started
        line = {"name": "index", "pictures": given.pictures, "pictures_per_second": round(given.pictures / seconds, 1)}
        print(json.dumps(line | {"threads": given.threads}), flush=True)
        times, mode = searched(folder, given.searches)
    median, late = (round(float(np.percentile(times, share)), 4) for share in (50, 95))
    line = {"name": "search", "pictures": given.pictures, "mode": mode, "searches": given.searches}
    print(json.dumps(line | {"median_seconds": median, "p95_seconds": late, "threads": given.threads}), flush=True)


def searched(folder: Path, searches: int) -> tuple[list[float], str]:
    gallery = Gallery.open(folder / "gallery", device="cpu")
    times = []
    for path in sorted((folder / "queries").iterdir()):
        started = time.perf_counter()
        found = gallery.search(path, modality="infrared", top=10)
        times.append(time.perf_counter() - started)
    return times[-searches:], found.mode


def untrained(path: Path) -> Bundle:
    torch.manual_seed(0)
    data = DataInfo(identities=2, image_size=SIZE, visible_cameras=(1,), infrared_cameras=(3,))
    method = create("bit", data=data, **load_recipe("bit-demo").options)
    card = Card(
        dataset="noise",
        dataset_kind="manifest",
        dataset_fingerprint="",
        licence="none",
        restricted=False,
        protocol="",
        identities=(),
        recipe="",
        seed=0,
        vireid="",
    )
    return save_bundle(path, method, preprocessing=Preprocessing(height=SIZE[0], width=SIZE[1]), card=card)


def write_pictures(folder: Path, count: int, *, seed: int) -> None:
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for number in range(count):
        Image.fromarray(rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)).save(folder / f"{number:06d}.jpg")


if __name__ == "__main__":
    main()
