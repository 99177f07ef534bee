"""What phase congruency costs: alone, and its share of a training step; one JSON line each.

    python bench/bench_phase_congruency.py [--repeat 10] [--threads 2]

Both for the two crops of the recipes aminet-demo (144x72, 72x72; 64 pictures) and aminet-sysu (388x144, 194x144; 8
pictures, since ResNet-50 takes long on a CPU), in the recipes' precision. A step is losses, backward and optimiser on
random images; pictures are not loaded. Medians after one call, or two steps, that warm up.
"""

import argparse
import json
import os
import statistics
import time
from functools import partial

import torch

from timing import median
from vireid.methods import create
from vireid.methods.aminet import AMINet
from vireid.networks.phase_congruency import PhaseCongruency
from vireid.training.optimisation import Optimisation
from vireid.training.recipe import load_recipe
from vireid.types import Clock, DataInfo, View, ViewRequest

WARM = 2
COUNTS = {"aminet-demo": (8, 4), "aminet-sysu": (2, 2)}  # identities, and pictures of each in a modality


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=10)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    for name, (identities, each) in COUNTS.items():
        recipe = load_recipe(name)
        height, width = recipe.image.size
        for size in ((height, width), (height // 2, width)):
            images = torch.randn(2 * identities * each, 3, *size)
            seconds, _ = median(partial(PhaseCongruency(size), images), given.repeat)
            figure = {"name": f"phase congruency {size[0]}x{size[1]}", "pictures": len(images)}
            print(json.dumps(figure | {"seconds": round(seconds, 4), "threads": given.threads}))
        whole, inside = (statistics.median(one) for one in zip(*steps(name, given.repeat), strict=True))
        figure = {"name": f"phase congruency in a step of {name}", "seconds": round(inside, 4), "step": round(whole, 4)}
        print(json.dumps(figure | {"share": round(inside / whole, 4), "threads": given.threads}))


def steps(name: str, repeat: int) -> list[tuple[float, float]]:
    """Seconds of each step, and of phase congruency within it."""
    recipe, (identities, each) = load_recipe(name), COUNTS[name]
    labels = torch.arange(identities).repeat_interleave(each)
    method = create("aminet", data=DataInfo(identities=100, image_size=recipe.image.size), **recipe.options)
    assert isinstance(method, AMINet)
    method.to(memory_format=torch.channels_last).train()
    phase = recipe.phases[0]
    optimisation = Optimisation(method.parameter_groups(phase.name), phase, precision=recipe.precision)
    marks: list[float] = []
    for branch in (method.full, method.upper):
        assert branch.congruency is not None
        branch.congruency.register_forward_pre_hook(lambda *_: marks.append(time.perf_counter()))
        branch.congruency.register_forward_hook(lambda *_: marks.append(time.perf_counter()))
    batch = {one: view(request, labels, recipe.image.size) for one, request in method.views().items()}
    found = []
    for number in range(WARM + repeat):
        clock = Clock(phase=phase.name, epoch=2, epochs=12, batch=number, batches=30, step=number, seed=0)
        marks.clear()
        start = time.perf_counter()
        optimisation.set_rate(clock)
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bf16"):
            losses, _ = method(batch, clock)
        optimisation.step(torch.stack([loss.float() for loss in losses.values()]).sum())
        found.append((time.perf_counter() - start, marks[1] - marks[0] + marks[3] - marks[2]))
    return found[WARM:]


def view(request: ViewRequest, labels: torch.Tensor, size: tuple[int, int]) -> View:
    images = torch.randn(len(labels), 3, request.rows(size[0]), size[1]).contiguous(memory_format=torch.channels_last)
    return View(modality=request.modality, images=images, labels=labels, cameras=labels, rows=labels)


if __name__ == "__main__":
    main()
