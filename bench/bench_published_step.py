"""A step at published size on this machine: seconds, and the most memory that the training took; one JSON line each.

    python bench/bench_published_step.py [cmt-sysu cal-sysu ...] [--steps 2] [--set KEY=VALUE ...]

Every recipe is trained as shipped (architecture, picture size, batch, precision), for a few steps and without start
weights, on a rendered set of sixteen people, by `vireid train` in a process of its own. `seconds` is the last step's,
the first one warms up; `memory` the process's peak resident memory.
"""

import argparse
import json
import multiprocessing
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from vireid.data.synthetic import synthesize

RECIPES = ("agw-sysu", "cmt-sysu", "cal-sysu", "aminet-sysu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=RECIPES)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        synthesize(data, layout="sysu", preset="tiny", seed=0)
        for recipe in given.recipes:
            out = Path(folder) / recipe
            words = [f"data.root={data}", "start=none", f"steps_per_epoch={given.steps}", "workers=0", "seed=0"]
            words += ["phases.train.epochs=1", "phases.train.schedule.warmup_epochs=0", *given.set]
            with multiprocessing.get_context("spawn").Pool(1) as alone:  # so that its children's peak is this run's
                memory = alone.apply(train, ([sys.executable, "-m", "vireid", "train", recipe, *words, "--out", out],))
            last = json.loads((out / "metrics.jsonl").read_text().splitlines()[given.steps - 1])
            print(json.dumps({"name": recipe, "seconds": last["seconds"], "memory": memory}), flush=True)


def train(command: list[str]) -> int:
    """Bytes of the most memory that the command held."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


if __name__ == "__main__":
    main()
