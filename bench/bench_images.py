"""Pictures for training: packed and augmented by the batch, beside a plain loader and beside one array in memory.

    python bench/bench_images.py [--pictures 2048] [--repeat 5] [--workers 0]

One JSON line per figure. All sides deliver the same identity batches, cropped, mirrored, erased and normalised, one
thread a process, warm; the medians are of epochs that take turns. `plain` decodes, scales and transforms one picture
after the other as the field's scripts do (Pillow and torchvision). `array` reads from one array in memory, otherwise
as `packed` does. Private memory is what an epoch adds to a fresh process beside the imports (Linux).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from vireid.data.images import PictureFiles, PictureSource
from vireid.data.loaders import Pictures, TrainingLoader
from vireid.data.manifest import Manifest
from vireid.data.packed import pack
from vireid.data.samplers import IdentitySampler
from vireid.data.transforms import Augmentation
from vireid.types import Modality, ViewRequest

STORED = (288, 144)
SIZES = [(288, 144), (144, 72)]
EACH = 8  # pictures of an identity
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
AUGMENTATION = Augmentation(padding=10, flip=0.5, erasing="channel", erasing_probability=0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=2048)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--memory", nargs=4, help=argparse.SUPPRESS)  # side, folder, height, width
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.memory:
        side, folder, height, width = given.memory
        print(added_memory(side, Path(folder), (int(height), int(width))))
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ["VIREID_CACHE"] = f"{folder}/cache"
        root = Path(folder) / "data"
        write_pictures(root, given.pictures)
        for size in SIZES:
            measure(root, size, repeat=given.repeat, workers=given.workers)


def measure(root: Path, size: tuple[int, int], *, repeat: int, workers: int) -> None:
    name = f"images {size[0]}x{size[1]}"
    began = time.perf_counter()
    packed = source_of("packed", root, size)
    print_figure(f"{name} packing, once", time.perf_counter() - began, len(table(root)))
    array = source_of("array", root, size)
    sides: dict[str, Callable[[], int]] = {
        "plain": lambda: plain_epoch(root, size, workers),
        "array": lambda: epoch(array, root, workers),
        "packed": lambda: epoch(packed, root, workers),
    }
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(repeat + 1):  # the first round warms up
        for side, work in sides.items():
            began = time.perf_counter()
            images = work()
            seconds[side].append(time.perf_counter() - began)
    medians = {side: statistics.median(found[1:]) for side, found in seconds.items()}
    for side, median in medians.items():
        print_figure(f"{name} epoch {side}", median, images, ratio=medians[side] / medians["packed"], workers=workers)
    command = [sys.executable, __file__, "--memory"]
    added = {
        side: int(subprocess.check_output([*command, side, str(root), *map(str, size)])) for side in ("array", "packed")
    }
    for side, found in added.items():
        share = round(found / added["array"], 3)
        print(json.dumps({"name": f"{name} private memory {side}", "megabytes": round(found / 1e6, 1), "share": share}))


def print_figure(name: str, seconds: float, images: int, **more: Any) -> None:
    rounded = {key: round(value, 2) for key, value in more.items()}
    figure = {"name": name, "seconds": round(seconds, 4), "images_per_second": round(images / seconds)} | rounded
    print(json.dumps(figure), flush=True)


def write_pictures(root: Path, count: int) -> None:
    """JPEGs of 288x144 with large and small structure, about 12 kB each."""
    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (24, 12, 3), dtype=np.uint8))
        large = np.asarray(coarse.resize(STORED[::-1], Image.Resampling.BICUBIC), np.float32)
        picture = np.clip(large + 4 * rng.standard_normal((*STORED, 1)), 0, 255).astype(np.uint8)
        path = root / f"{number // EACH:04d}" / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path, quality=90)


def table(root: Path) -> pd.DataFrame:
    """Half of each identity's pictures are called infrared."""
    paths = sorted(str(path) for path in root.rglob("*.jpg"))
    numbers = np.arange(len(paths))
    modality = np.where(numbers % EACH < EACH // 2, str(Modality.VISIBLE), str(Modality.INFRARED))
    return pd.DataFrame(
        {"path": paths, "identity": numbers // EACH, "camera": 1, "modality": modality, "split": "train"}
    )


class Array:
    """All pictures in memory, the way of most published code."""

    def __init__(self, paths: Sequence[str], size: tuple[int, int]) -> None:
        self.size = size
        self.pictures = PictureFiles(paths, size).read(range(len(paths)))

    def read(self, numbers: Sequence[int] | NDArray[np.int64]) -> NDArray[np.uint8]:
        return self.pictures[numbers]


def source_of(side: str, root: Path, size: tuple[int, int]) -> PictureSource:
    images = table(root)
    if side == "array":
        return Array(images.path.tolist(), size)
    return pack(Manifest(root=root, images=images), np.arange(len(images)), size=size)


def loader(source: PictureSource, root: Path) -> TrainingLoader:
    """Batches of 8 identities, 4 visible and 4 infrared pictures each."""
    images = table(root)
    pictures = {}
    for modality in Modality:
        rows = np.flatnonzero(images.modality == str(modality))
        pictures[modality] = Pictures(labels=images.identity.to_numpy()[rows], cameras=np.ones_like(rows), rows=rows)
    labels = {modality: side.labels for modality, side in pictures.items()}
    each = dict.fromkeys(Modality, EACH // 2)
    return TrainingLoader(
        source=source,
        pictures=pictures,
        views={str(modality): ViewRequest(modality=modality) for modality in Modality},
        sampler=IdentitySampler(labels, identities=8, images=each, seed=0),
        augmentation=AUGMENTATION,
        phase=0,
        epoch=0,
    )


def epoch(source: PictureSource, root: Path, workers: int) -> int:
    """Images of one epoch, ready for the network."""
    count = 0
    for batch in loader(source, root).batches(start=0, workers=workers):
        for raw in batch.values():
            count += len(raw.to_view(torch.device("cpu"), MEAN, STD))
    return count


class Plain(Dataset[torch.Tensor]):
    """One picture after the other."""

    def __init__(self, paths: Sequence[str], size: tuple[int, int]) -> None:
        self.paths, self.size = paths, size
        fill = tuple((value - m) / s for value, m, s in zip((0.49, 0.48, 0.45), MEAN, STD, strict=True))
        self.transform = transforms.Compose(
            [
                transforms.Pad(AUGMENTATION.padding),
                transforms.RandomCrop(size),
                transforms.RandomHorizontalFlip(AUGMENTATION.flip),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, STD),
                transforms.RandomErasing(AUGMENTATION.erasing_probability, AUGMENTATION.erasing_area, value=fill),
            ]
        )

    def __getitem__(self, number: int) -> torch.Tensor:
        image = Image.open(self.paths[number]).convert("RGB")
        if image.size != self.size[::-1]:
            image = image.resize(self.size[::-1], Image.Resampling.BILINEAR)
        return self.transform(image)


def plain_epoch(root: Path, size: tuple[int, int], workers: int) -> int:
    sampler = loader(PictureFiles([], size), root).sampler
    images = table(root)
    rows = [np.flatnonzero(images.modality == str(modality)) for modality in Modality]
    drawn = [sampler.batch(0, 0, number).values() for number in range(sampler.batches)]
    batches = [np.concatenate([r[p] for r, p in zip(rows, found, strict=True)]).tolist() for found in drawn]
    plain = DataLoader(Plain(images.path.tolist(), size), batch_sampler=batches, num_workers=workers)
    return sum(len(batch) for batch in plain)


def added_memory(side: str, root: Path, size: tuple[int, int]) -> int:
    """Bytes of private memory that opening the source and two epochs of it add."""
    epoch(PictureFiles(table(root).path.tolist(), size), root, 0)  # whatever any side needs: buffers, lazy imports
    before = private_memory()
    source = source_of(side, root, size)
    for _ in range(2):
        epoch(source, root, 0)
    return private_memory() - before


def private_memory() -> int:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


if __name__ == "__main__":
    main()
