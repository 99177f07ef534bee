"""A student beside its teacher: parameters, pictures embedded per second, and the share of mAP; one JSON line each.

    python bench/bench_distill.py [--teacher runs/demo --student runs/student] [--threads 1]

On the CPU, 64 random pictures at a time, resized, normalised and embedded in fp32; medians of five. mAP is the newest
that `vireid evaluate` kept in both bundles under one protocol and data; without it there is no share. Without folders:
AGW's ResNet-50 at 288x144 beside the student of the recipe agw-distill, both untrained, which says nothing about mAP.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from timing import median
from vireid.methods import create
from vireid.methods.bundle import Bundle
from vireid.methods.encoder import TorchEncoder, open_encoder
from vireid.training.recipe import load_recipe
from vireid.types import DataInfo, Modality

PICTURES = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", type=Path)
    parser.add_argument("--student", type=Path)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    given = parser.parse_args()
    if bool(given.teacher) != bool(given.student):
        parser.error("give --teacher and --student, or neither")
    torch.set_num_threads(given.threads)
    if given.teacher:
        bundles = {"teacher": Bundle.open(given.teacher), "student": Bundle.open(given.student)}
        encoders = {name: open_encoder(bundle, device="cpu") for name, bundle in bundles.items()}
    else:
        bundles = {}
        encoders = {"teacher": untrained("agw-sysu"), "student": untrained("agw-distill")}
    figures = {name: measured(encoder) for name, encoder in encoders.items()}
    for name, figure in figures.items():
        print(json.dumps({"name": name, **figure, "threads": given.threads}), flush=True)
    shares = {what: figures["student"][what] / figures["teacher"][what] for what in ("parameters", "pictures_a_second")}
    print(json.dumps({"name": "student over teacher", **{what: round(share, 3) for what, share in shares.items()}}))
    if bundles:
        for line in accuracy(bundles["teacher"], bundles["student"]):
            print(json.dumps(line))


def untrained(recipe_name: str) -> TorchEncoder:
    recipe = load_recipe(recipe_name)
    torch.manual_seed(0)
    method = create("agw", data=DataInfo(identities=395, image_size=recipe.image.size), **recipe.options)
    return TorchEncoder(method.to(memory_format=torch.channels_last).eval(), recipe.image)


def measured(encoder: TorchEncoder) -> dict[str, Any]:
    height, width = encoder.preprocessing.size
    pictures = list(np.random.default_rng(0).integers(256, size=(PICTURES, height, width, 3), dtype=np.uint8))
    seconds, found = median(lambda: encoder.embed(pictures, Modality.VISIBLE), 5)
    return {
        "parameters": sum(p.numel() for p in encoder.method.parameters()),
        "picture": f"{height}x{width}",
        "numbers": found.vector.shape[1],
        "pictures_a_second": round(PICTURES / seconds, 1),
    }


def accuracy(teacher: Bundle, student: Bundle) -> list[dict[str, Any]]:
    """What both were measured at alike."""
    keys = ("protocol", "fingerprint", "mode", "rerank")
    theirs = {json.dumps([figure.get(key) for key in keys]): figure for figure in teacher.figures()}
    found = []
    for figure in student.figures():
        other = theirs.get(json.dumps([figure.get(key) for key in keys]))
        if other:
            told = {"teacher": round(other["mAP"], 2), "student": round(figure["mAP"], 2)}
            share = round(figure["mAP"] / other["mAP"], 3)
            found.append({"name": f"mAP under {figure['protocol']}", **told, "share": share})
    return found


if __name__ == "__main__":
    main()
