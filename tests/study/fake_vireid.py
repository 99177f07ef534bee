"""Stands in for `vireid` in tests of studies: `train` makes a folder, `evaluate` copies a file prepared before.

The folder $FAKE_VIREID says what else happens to the run NAME: fail-NAME (train fails), wait-NAME (train goes on when
the file is gone), stop-NAME (train interrupts the study and leaves at its signal), NAME.npz (what evaluate copies).
"""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

FAKE = Path(os.environ["FAKE_VIREID"])


def train(words: list[str]) -> None:
    run = Path(words[words.index("--out") + 1])
    run.mkdir(parents=True, exist_ok=True)
    (run / "recipe.yaml").touch()
    with (FAKE / "calls.txt").open("a") as calls:
        calls.write(f"{run.name} {'resumed' if '--resume' in words else 'new'} {' '.join(words)}\n")
    if (FAKE / f"fail-{run.name}").exists():
        sys.exit("some words\nvireid: loss 'id' is nan at step 7\nlower the learning rate")
    if (FAKE / f"stop-{run.name}").exists():
        (FAKE / f"stop-{run.name}").unlink()
        signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
        os.kill(os.getppid(), signal.SIGINT)
        time.sleep(60)
    while (FAKE / f"wait-{run.name}").exists():
        time.sleep(0.01)
    (run / "bundle").mkdir(exist_ok=True)


def evaluate(words: list[str]) -> None:
    run = Path(words[0])
    (run / "evaluations").mkdir(exist_ok=True)
    shutil.copy(FAKE / f"{run.name}.npz", run / "evaluations" / "one.npz")


if __name__ == "__main__":
    {"train": train, "evaluate": evaluate}[sys.argv[1]](sys.argv[2:])
