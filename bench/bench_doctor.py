"""How fast the doctor opens pictures, by one thread and by all cores: prints one JSON line per figure.

Run: python bench/bench_doctor.py [FOLDER OF A DATA SET]   (without one: rendered pictures, written again and again)
"""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from timing import median
from vireid.data.doctor.looking import look_at
from vireid.data.doctor.tree import read_tree
from vireid.data.synthetic import synthesize
from vireid.types import untracked

COPIES = 8
SYSU_PICTURES = 44_745  # those that its lists name


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(sys.argv[1]) if len(sys.argv) > 1 else _rendered(Path(folder))
        paths = read_tree(root).pictures
        cores = len(os.sched_getaffinity(0))
        for threads in sorted({1, cores}):
            seconds, _ = median(lambda n=threads: look_at(root, paths, threads=n, track=untracked), repeat=3)
            speed = len(paths) / seconds
            figure = {
                "bench": "doctor",
                "threads": threads,
                "pictures": len(paths),
                "pictures_per_second": round(speed),
            }
            print(json.dumps(figure | {"sysu_seconds": round(SYSU_PICTURES / speed, 1)}))


def _rendered(folder: Path) -> Path:
    synthesize(folder / "one", layout="sysu", preset="tiny", seed=0)
    for number in range(COPIES):
        shutil.copytree(folder / "one/cam1", folder / f"set/cam1/{number}")
        shutil.copytree(folder / "one/cam3", folder / f"set/cam3/{number}")
    return folder / "set"


if __name__ == "__main__":
    main()
