"""What K costs and gives: rank-1, mAP and seconds of cascades of a trained BIT, as JSON lines, a table and a plot.

    python bench/bench_cascade.py [RUN] [--protocol NAME] [--out FOLDER] [--repeat 5] [--device cpu] [--threads 2]

RUN is a run folder of a `bit` recipe that knows where its data lies. Pictures are embedded once and not timed; seconds
are the median of `repeat` rankings of all trials. K is 5, 10, 20, 50, 100 and full. FOLDER (default: beside RUN,
`cascade`) gets `cascade.md` and `cascade.svg`.

Without RUN a set of preset `tiny` is rendered and trained on for 20 steps: its accuracy says nothing of BIT.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from timing import median
from vireid.data import open_dataset
from vireid.data.synthetic import synthesize
from vireid.evaluation import evaluate
from vireid.methods.bundle import Bundle
from vireid.report.plots import line_plot
from vireid.training.loop import train
from vireid.training.measure import EmbeddingTable
from vireid.training.recipe import load_recipe
from vireid.training.run import Run

MODES = (*(f"cascade:{k}" for k in (5, 10, 20, 50, 100)), "full")
COLUMNS = ("mode", "pairs", "seconds", "rank1", "mAP", "first-stage recall")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", type=Path)
    parser.add_argument("--protocol")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as folder:
        path = given.run or trained(Path(folder))
        lines = measured(path, given)
        out = given.out or (given.run / "cascade" if given.run else None)
        if out:
            write(lines, out)


def measured(path: Path, given: argparse.Namespace) -> list[dict[str, Any]]:
    bundle, choice = Bundle.open(path), Run(path).recipe().data
    if choice.root is None:
        raise SystemExit(f"{path} does not know where its data lies")
    dataset = open_dataset(choice.kind, choice.root)
    protocol = dataset.protocol(given.protocol or bundle.card.protocol)
    rows = np.unique(np.concatenate([side for trial in protocol.trials() for side in (trial.query, trial.gallery)]))
    bundle.refuse_leak(dataset, rows)
    table = EmbeddingTable(path / "embeddings" / f"{dataset.fingerprint[:16]}.npz", bundle.digest)
    embeddings = table.of(rows, dataset, lambda: bundle.encoder(device=given.device))
    matcher, lines = bundle.matcher(device=given.device), []
    for mode in MODES:
        seconds, found = median(lambda m=mode: evaluate(protocol, embeddings, rows, matcher, mode=m), given.repeat)
        values = found.to_json()
        recall = values.get("cascade", {}).get("first_stage_recall", {})
        line = {"name": "cascade", "mode": mode, "pairs": pairs_of(protocol, mode), "seconds": round(seconds, 4)}
        line |= {name: round(values[name], 2) for name in ("rank1", "mAP")} | {"recall": recall}
        lines.append(line | {"protocol": protocol.name, "device": given.device, "threads": given.threads})
        print(json.dumps(lines[-1]), flush=True)
    return lines


def pairs_of(protocol: Any, mode: str) -> int:
    """Pairs that the trials ask for; those that several trials share are looked at once."""
    if mode == "full":
        return sum(trial.invalid.size for trial in protocol.trials())
    k = int(mode.removeprefix("cascade:"))
    return sum(int(np.minimum((~trial.invalid).sum(axis=1), k).sum()) for trial in protocol.trials())


def write(lines: list[dict[str, Any]], out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    cells = [
        (
            line["mode"],
            f"{line['pairs']:,}",
            f"{line['seconds']:.3g}",
            f"{line['rank1']:.2f}",
            f"{line['mAP']:.2f}",
            json.dumps(line["recall"]) if line["recall"] else "",
        )
        for line in lines
    ]
    rows = [COLUMNS, ["---"] * len(COLUMNS), *cells]
    (out / "cascade.md").write_text("\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n", encoding="utf-8")
    seconds = [line["seconds"] for line in lines]
    series = {name: (seconds, [line[name] for line in lines]) for name in ("rank1", "mAP")}
    alt = "Rank-1 and mAP against seconds, for 5, 10, 20, 50, 100 candidates and all"
    plot = line_plot(series, x="seconds", y="percent", alt=alt, log_x=True)
    (out / "cascade.svg").write_text(str(plot), encoding="utf-8")


def trained(folder: Path) -> Path:
    """A run of 20 tiny steps."""
    synthesize(folder / "data", layout="sysu", preset="tiny", seed=0)
    changes = [f"data.root={folder / 'data'}", "image.height=96", "image.width=48", "batch.identities=4", "workers=0"]
    for phase in ("base", "pair"):
        changes += [f"phases.{phase}.epochs=1", f"phases.{phase}.schedule.warmup_epochs=0"]
    recipe = load_recipe("bit-demo", [*changes, "steps_per_epoch=10"])
    train(recipe, open_dataset("sysu", folder / "data"), Run(folder / "run"), device="cpu")
    return folder / "run"


if __name__ == "__main__":
    main()
