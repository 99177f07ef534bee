"""Writes, deletes and compacts until it is killed; steps are announced before and acknowledged after, one line each.

Run by test_killed.py: python killed_writer.py GALLERY BUNDLE CROPS SEED HELD, where more than HELD entries have codes.
"""

import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np

import vireid.gallery.gallery
from vireid.gallery import Gallery, LanceStore
from vireid.methods.bundle import Bundle, Preprocessing
from vireid.types import Embeddings


class Pixels:
    """The first pixels as a vector."""

    preprocessing = Preprocessing(height=16, width=8, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))

    def __init__(self, digest: str) -> None:
        self.digest = digest

    def embed(self, pictures: Any, modality: Any) -> Embeddings[Any]:
        vectors = np.stack([picture.reshape(-1)[:12].astype(np.float32) + 1 for picture in pictures])
        return Embeddings(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def hold(count: int) -> None:
    """Have galleries of more entries than `count` searched by codes."""
    vireid.gallery.gallery.open_store = lambda path, header: LanceStore(path / header.store, in_memory=count)


def main(path: Path, bundle: Bundle, crops: list[Path], chance: random.Random) -> None:
    def tell(**line: Any) -> None:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    while True:
        gallery = Gallery.open(path)
        step = chance.choice(["add", "delete", "compact"])
        if step == "add":
            names = [str(crop) for crop in chance.sample(crops, 3)]
            tell(begin=step, names=names)
            build = {"modality": "visible", "encoder": Pixels(bundle.digest), "batch_size": 1, "readmit": True}
            Gallery.build(path, bundle, names, **build)  # type: ignore[arg-type]
        elif step == "delete":
            names = [str(crop) for crop in chance.sample(crops, 2)]
            tell(begin=step, names=names)
            gallery.delete({"path": names})
        else:
            tell(begin=step, names=[])
            gallery.compact()
        tell(end=step, names=names if step != "compact" else [])


if __name__ == "__main__":
    hold(int(sys.argv[5]))
    main(Path(sys.argv[1]), Bundle.open(sys.argv[2]), sorted(Path(sys.argv[3]).iterdir()), random.Random(sys.argv[4]))
