"""Where a training step's time goes: loading, forward, losses, backward, optimiser; one JSON line each.

    python bench/bench_step.py [--repeat 10] [--threads 2]

agw with resnet10t_half as in the recipe agw-demo: 64 images of 144x72 in bf16, on the CPU. Pictures are packed and
loaded in the same process, so that nothing overlaps; loading includes augmentation and normalisation. Medians after
three steps that warm up.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch

from bench_images import EACH, MEAN, STD, loader, source_of, write_pictures
from vireid.methods import create
from vireid.methods.agw import AGW
from vireid.training.optimisation import Optimisation
from vireid.training.recipe import load_recipe
from vireid.types import Clock, DataInfo

WARM = 3
SIZE = (144, 72)
PICTURES = 512
PARTS = ("loading", "forward", "losses", "backward", "optimiser")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=10)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["VIREID_CACHE"] = f"{folder}/cache"
        root = Path(folder) / "data"
        write_pictures(root, PICTURES)
        step = prepared(root)
        steps = [step(number) for number in range(WARM + given.repeat)][WARM:]
    medians = {part: statistics.median(found[part] for found in steps) for part in PARTS}
    whole = sum(medians.values())
    for part, seconds in (medians | {"whole": whole}).items():
        figure = {"name": f"step {part}", "seconds": round(seconds, 4), "share": round(seconds / whole, 4)}
        print(json.dumps(figure | {"threads": given.threads}))


def prepared(root: Path) -> Callable[[int], dict[str, float]]:
    """A function that takes one step and says how long each part took."""
    recipe = load_recipe("agw-demo")
    data = DataInfo(identities=PICTURES // EACH, image_size=SIZE, visible_cameras=(1,), infrared_cameras=(2,))
    torch.manual_seed(0)
    method: AGW = create("agw", data=data, **recipe.options).to(memory_format=torch.channels_last).train()
    phase = recipe.phases[0]
    optimisation = Optimisation(method.parameter_groups(phase.name), phase, precision="bf16")
    batches = loader(source_of("packed", root, SIZE), root)
    marks: list[float] = []
    method.network.register_forward_pre_hook(lambda *_: marks.append(time.perf_counter()))
    method.head.register_forward_hook(lambda *_: marks.append(time.perf_counter()))

    def step(number: int) -> dict[str, float]:
        marks[:] = [time.perf_counter()]
        raw = batches[number % len(batches)]
        batch = {name: view.to_view(torch.device("cpu"), MEAN, STD) for name, view in raw.items()}
        clock = Clock(phase=phase.name, epoch=2, epochs=12, batch=number, batches=30, step=number, seed=0)
        optimisation.set_rate(clock)
        with torch.autocast("cpu", torch.bfloat16):
            losses, _ = method(batch, clock)
        total = torch.stack([loss.float() for loss in losses.values()]).sum()
        marks.append(time.perf_counter())
        optimisation.optimiser.zero_grad(set_to_none=True)
        total.backward()
        marks.append(time.perf_counter())
        optimisation.optimiser.step()
        marks.append(time.perf_counter())
        return {part: later - earlier for part, (earlier, later) in zip(PARTS, pairwise(marks), strict=True)}

    return step


if __name__ == "__main__":
    main()
