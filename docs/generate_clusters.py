"""Draws docs/images/mcf-clusters.jpg and mcf-labels.jpg: what the clusters of an MCF run on rendered people became.

Usage: python docs/generate_clusters.py RUN
"""

import io
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from vireid.data import open_dataset
from vireid.report.sections.clusters import label_series, split_people, wrong_merges
from vireid.training.pictures import TrainingData
from vireid.training.run import Run
from vireid.types import Modality

IMAGES = Path(__file__).with_name("images")
FIGURES = {"clusters": "clusters", "noise": "share in no cluster", "purity": "purity", "ari": "adjusted Rand index"}
TILE, LINE, COLUMNS = (56, 112), 18, 12


def curves(run: Run) -> Image.Image:
    """Four figures of both modalities by epoch."""
    mpl.use("Agg")
    series = label_series(run.records())
    figure = Figure(figsize=(10, 2.6), layout="constrained")
    for axes, (name, told) in zip(figure.subplots(1, len(FIGURES)), FIGURES.items(), strict=True):
        for modality in Modality:
            axes.plot(*series[name][modality], marker="o", label=str(modality))
        axes.set(title=told, xlabel="epoch")
    axes.legend()
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=80)
    return Image.open(data).convert("RGB")


def sheet(run: Run) -> Image.Image:
    """Of each modality a person in pieces, a picture or two of each cluster, and the cluster of the most people."""
    recipe = run.recipe()
    assert recipe.data.root is not None
    dataset = open_dataset(recipe.data.kind, recipe.data.root)
    data = TrainingData.of(dataset, recipe)
    rows: list[tuple[str, list[int]]] = []
    for modality, labels in run.labels().items():
        numbers = data.rows_of(modality)
        identity = dataset.images.identity.to_numpy()[numbers]
        person = split_people(labels, identity)[0]
        own = np.flatnonzero((identity == person) & (labels >= 0))
        own = own[np.argsort(labels[own], kind="stable")]
        pieces = len(set(labels[own].tolist()))
        rows.append((f"{modality}: person {person}, in {pieces} clusters", spread(own, labels, numbers)))
        for cluster in wrong_merges(labels, identity)[:1]:
            members = np.flatnonzero(labels == cluster)
            members = members[np.argsort(identity[members], kind="stable")]
            people = len(set(identity[members].tolist()))
            rows.append((f"{modality}: one cluster, {people} people", spread(members, identity, numbers)))
    canvas = Image.new("RGB", (COLUMNS * (TILE[0] + 4), len(rows) * (TILE[1] + LINE + 4)), "white")
    draw = ImageDraw.Draw(canvas)
    for number, (told, shown) in enumerate(rows):
        top = number * (TILE[1] + LINE + 4)
        draw.text((2, top + 2), told, fill="black")
        for place, row in enumerate(shown):
            with Image.open(dataset.images.path[row]) as picture:
                canvas.paste(picture.convert("RGB").resize(TILE), (place * (TILE[0] + 4), top + LINE))
    return canvas


def spread(members: NDArray[np.int64], group: NDArray[np.int64], numbers: NDArray[np.int64]) -> list[int]:
    """Rows of at most `COLUMNS` members, of as many groups as possible, side by side by group."""
    turns = np.array([np.sum(group[members[:place]] == group[one]) for place, one in enumerate(members)])
    chosen = np.sort(np.argsort(turns, kind="stable")[:COLUMNS])
    return [int(row) for row in numbers[members[chosen]]]


def main() -> None:
    run = Run(Path(sys.argv[1]))
    for name, picture in (("mcf-labels", curves(run)), ("mcf-clusters", sheet(run))):
        picture.save(IMAGES / f"{name}.jpg", quality=80, optimize=True)


if __name__ == "__main__":
    main()
