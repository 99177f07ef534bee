"""Where an epoch without labels goes, and the neighbour loss beside one cross-entropy for every pair; JSON lines.

    python bench/bench_mcf.py [--visible 1740] [--infrared 870] [--steps 30] [--count 22258] [--width 3072]
    python bench/bench_mcf.py --full [--scale 1.0]

mcf with resnet10t_half as in the recipe mcf-demo, on the CPU, phase `across`: extraction embeds random pictures of
128x64, a picture and its mirror image each; clustering and the rest before an epoch (matching, shared memories,
neighbours, merging) take features of people (seed 0, as in bench_clustering); training is the time of one step, the
median of three, times `--steps`. Reading pictures is left out. The neighbour loss is that of 64 queries with 20
neighbours each in a bank of `--count` pictures; both forms must agree to 1e-6.

`--full` is one epoch of phase `across` at the counts of SYSU-MM01 instead (22,258 visible and 11,909 infrared pictures,
200 steps of 4 x 16 of each view), with a small ViT (vit_nano_patch12, 4 class tokens) at 144x72: every picture is
embedded, every step is taken, and the peak memory of the process must stay below 8 GiB. `--scale` does a share of it.
"""

import argparse
import json
import os
import resource
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

SIZE, FULL_SIZE = (128, 64), (144, 72)
FULL = {Modality.VISIBLE: 22258, Modality.INFRARED: 11909}
FULL_STEPS, FULL_CLASSES, FULL_EACH = 200, 4, 16
MOST = 8 * 2**30
QUERIES, NEIGHBOURS = 64, 20
CLOCK = Clock(phase="across", epoch=0, epochs=10, batch=0, batches=30, step=0, seed=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("visible", 1740), ("infrared", 870), ("steps", 30), ("count", 22258), ("width", 3072)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--scale", type=float, default=1.0)
    given = parser.parse_args()
    if given.full:
        full_epoch(given.scale)
        return
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


def full_epoch(scale: float) -> None:
    """One epoch at the counts of SYSU-MM01, and what the process needed at most."""
    recipe = load_recipe("mcf-sysu")
    options = dict(recipe.options) | {"architecture": "vit_nano_patch12", "path_dropout": 0.1}
    options["pacbam"] = {**options["pacbam"], "positions": (5,)}
    data = DataInfo(identities=None, image_size=FULL_SIZE, visible_cameras=(1, 2, 4, 5), infrared_cameras=(3, 6))
    torch.manual_seed(0)
    method: Any = create("mcf", data=data, **options)
    counts = {modality: round(scale * count) for modality, count in FULL.items()}
    steps = max(1, round(scale * FULL_STEPS))
    begin = time.perf_counter()
    width = 0
    for modality, count in counts.items():
        for start in range(0, count, 64):
            images = torch.randn(min(64, count - start), 3, *FULL_SIZE)
            with evaluating(method), torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
                width = method.embed(images, modality).vector.shape[1]
    seconds = {"extraction": time.perf_counter() - begin}
    pictures = training_pictures(counts, width, classes=FULL_CLASSES)  # random pictures would not cluster
    begin = time.perf_counter()
    labels = method.relabel(pictures, CLOCK)
    seconds["clustering and matching"] = time.perf_counter() - begin
    shape = {"size": FULL_SIZE, "classes": FULL_CLASSES, "each": FULL_EACH}
    begin = time.perf_counter()
    step_seconds(method, recipe, pictures, labels, repeat=steps - 1, **shape)
    seconds["training"] = time.perf_counter() - begin
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figure = {
        "name": f"full epoch, {scale:g} of SYSU-MM01",
        **{part: round(taken, 1) for part, taken in seconds.items()},
    }
    figure |= {"pictures": sum(counts.values()), "steps": steps, "peak_gib": round(peak / 2**30, 2)}
    print(json.dumps(figure | {"threads": torch.get_num_threads()}), flush=True)
    if peak > MOST:
        raise SystemExit(f"{peak / 2**30:.1f} GiB were needed, more than {MOST / 2**30:.0f}")


def training_pictures(counts: dict[Modality, int], width: int, *, classes: int = 8) -> TrainingPictures:
    features = {modality: draw(count, width) for modality, count in counts.items()}
    cameras = {modality: np.arange(count) % 2 for modality, count in counts.items()}
    rows = {modality: np.arange(count) for modality, count in counts.items()}
    return TrainingPictures(
        lambda modality: Embeddings(features[modality]),
        cameras=cameras,
        rows=rows,
        classes_per_batch=classes,
        labels=None,
    )


def step_seconds(
    method: MCF,
    recipe: Any,
    pictures: TrainingPictures,
    labels: Any,
    *,
    size: tuple[int, int] = SIZE,
    classes: int = 8,
    each: int = 4,
    repeat: int = 3,
) -> float:
    """One step: losses, backward, optimiser, memories; the median of `repeat` after a first one."""
    views = {}
    for name, request in method.views().items():
        own = labels.of[request.modality]
        taken = np.concatenate([np.resize(np.flatnonzero(own == label), each) for label in range(classes)])
        views[name] = View(
            modality=request.modality,
            images=torch.randn(len(taken), 3, *size).to(memory_format=torch.channels_last),
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

    return median(step, max(1, repeat))[0]


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
