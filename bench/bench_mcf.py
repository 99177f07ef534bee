"""Where an epoch without labels goes, and the neighbour loss beside one cross-entropy for every pair; JSON lines.

    python bench/bench_mcf.py [--visible 1740] [--infrared 870] [--steps 30] [--count 22258] [--width 3072]

mcf with resnet10t_half as in the recipe mcf-demo, on the CPU, phase `across`: extraction embeds random pictures of
128x64, a picture and its mirror image each; clustering and the rest before an epoch (matching, shared memories,
neighbours, merging) take features of people (seed 0, as in bench_clustering); training is the time of one step, the
median of three, times `--steps`. Reading pictures is left out. The neighbour loss is that of 64 queries with 20
neighbours each in a bank of `--count` pictures; both forms must agree to 1e-6.
"""

import argparse
import json
import os
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from bench_clustering import draw
from timing import median
from vireid.losses.neighbours import neighbour_contrast
from vireid.methods import create
from vireid.methods.base import TrainingPictures
from vireid.methods.mcf import MCF, epoch
from vireid.networks.modes import evaluating
from vireid.training.optimisation import Optimisation
from vireid.training.recipe import load_recipe
from vireid.types import Clock, DataInfo, Embeddings, Modality, View

SIZE = (128, 64)
QUERIES, NEIGHBOURS = 64, 20
CLOCK = Clock(phase="across", epoch=0, epochs=10, batch=0, batches=30, step=0, seed=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("visible", 1740), ("infrared", 870), ("steps", 30), ("count", 22258), ("width", 3072)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    seconds = parts_of_an_epoch({Modality.VISIBLE: given.visible, Modality.INFRARED: given.infrared}, given.steps)
    whole = sum(seconds.values())
    for part, taken in seconds.items():
        figure = {"name": f"epoch {part}", "seconds": round(taken, 3), "share": round(taken / whole, 4)}
        print(json.dumps(figure | {"threads": torch.get_num_threads()}), flush=True)
    neighbour_loss(given.count, given.width)


def parts_of_an_epoch(counts: dict[Modality, int], steps: int) -> dict[str, float]:
    """Seconds of extraction, clustering, what rests on the clusters, and training."""
    recipe = load_recipe("mcf-demo")
    data = DataInfo(identities=None, image_size=SIZE, visible_cameras=(1, 2), infrared_cameras=(3, 6))
    torch.manual_seed(0)
    method: Any = create("mcf", data=data, **recipe.options).to(memory_format=torch.channels_last)
    images = torch.randn(64, 3, *SIZE).to(memory_format=torch.channels_last)
    with evaluating(method), torch.inference_mode():
        each, found = median(lambda: method.embed(images, Modality.VISIBLE), 3)
    pictures = training_pictures(counts, found.vector.shape[1])
    cluster: dict[str, float] = {"seconds": 0.0}
    original = epoch._clustered

    def timed(*arguments: Any, **named: Any) -> Any:
        begin = time.perf_counter()
        result = original(*arguments, **named)
        cluster["seconds"] = time.perf_counter() - begin
        return result

    epoch._clustered = timed  # type: ignore[assignment]
    method.relabel(pictures, CLOCK)  # compiles
    begin = time.perf_counter()
    labels = method.relabel(pictures, CLOCK)
    relabelling = time.perf_counter() - begin
    assert labels is not None
    return {
        "extraction": each * sum(counts.values()) / len(images),
        "clustering": cluster["seconds"],
        "matching": relabelling - cluster["seconds"],
        "training": step_seconds(method, recipe, pictures, labels) * steps,
    }


def training_pictures(counts: dict[Modality, int], width: int) -> TrainingPictures:
    features = {modality: draw(count, width) for modality, count in counts.items()}
    cameras = {modality: np.arange(count) % 2 for modality, count in counts.items()}
    rows = {modality: np.arange(count) for modality, count in counts.items()}
    return TrainingPictures(
        lambda modality: Embeddings(features[modality]), cameras=cameras, rows=rows, classes_per_batch=8, labels=None
    )


def step_seconds(method: MCF, recipe: Any, pictures: TrainingPictures, labels: Any) -> float:
    """One step: losses, backward, optimiser, memories."""
    views = {}
    for name, request in method.views().items():
        own = labels.of[request.modality]
        taken = np.concatenate([np.flatnonzero(own == label)[:4] for label in range(8)])
        views[name] = View(
            modality=request.modality,
            images=torch.randn(len(taken), 3, *SIZE).to(memory_format=torch.channels_last),
            labels=torch.from_numpy(own[taken]),
            cameras=torch.from_numpy(pictures.cameras[request.modality][taken]),
            rows=torch.from_numpy(pictures.rows[request.modality][taken]),
        )
    optimisation = Optimisation(method.parameter_groups("across"), recipe.phases[1], precision="bf16")
    optimisation.set_rate(CLOCK)
    method.train()

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            losses, embeddings = method(views, CLOCK)
        optimisation.step(torch.stack([loss.float() for loss in losses.values()]).sum())
        with torch.no_grad():
            method.after_step(views, embeddings, CLOCK)

    return median(step, 3)[0]


def neighbour_loss(count: int, width: int) -> None:
    generator = torch.Generator().manual_seed(0)
    bank = F.normalize(torch.randn(count, width, generator=generator), dim=1)
    queries = F.normalize(bank[:QUERIES] + 0.02 * torch.randn(QUERIES, width, generator=generator), dim=1)
    columns = torch.randint(count, (QUERIES * NEIGHBOURS,), generator=generator)
    begins = torch.arange(QUERIES + 1) * NEIGHBOURS

    def ours() -> Tensor:
        return neighbour_contrast(queries, bank, begins, columns, temperature=0.05)

    def by_pairs() -> Tensor:
        logits = queries @ bank.T / 0.05
        pairs = [F.cross_entropy(logits[i // NEIGHBOURS][None], j[None]) for i, j in enumerate(columns)]
        return torch.stack(pairs).mean()

    fast, found = median(ours, 3)
    slow, expected = median(by_pairs, 3)
    difference = abs(float(found - expected)) / float(expected)
    figure = {"name": f"neighbour loss {QUERIES}x{NEIGHBOURS} in {count}x{width}", "seconds": round(fast, 4)}
    figure |= {"by_pairs_seconds": round(slow, 4), "ratio": round(slow / fast, 1), "difference": difference}
    print(json.dumps(figure | {"threads": torch.get_num_threads(), "cores": len(os.sched_getaffinity(0))}), flush=True)
    if difference > 1e-6:
        raise SystemExit(f"the two forms differ by {difference}")


if __name__ == "__main__":
    main()
