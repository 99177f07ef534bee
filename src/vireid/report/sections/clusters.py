"""The life of the clusters of a run without labels: how they went from epoch to epoch, and what is in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vireid.report.blocks import Block, Drawing, Ranking, Section, Text
from vireid.report.material import Material
from vireid.report.plots import line_plot
from vireid.report.sections.ranked import HIDDEN, hit_of
from vireid.training.pictures import TrainingData
from vireid.types import Modality

__all__ = ["clusters", "label_series", "split_people", "wrong_merges"]

_SHOWN = 3  # of each kind and modality
_PICTURES = 8  # of each of them
_FIGURES = {"clusters": "clusters", "noise": "share in no cluster", "ari": "adjusted Rand index", "purity": "purity"}

IntArray = NDArray[np.int64]
Series = tuple[list[float], list[float]]


def clusters(run: Material) -> Section | None:
    """Figures of every epoch, and pictures of the last epoch's clusters; None for a run that was given its labels."""
    series, labels = label_series(run.records), run.labels
    if not series or run.recipe is None:
        return None
    series["clusters"].pop("matched", None)
    blocks: list[Block] = [_drawing(series, figure, told) for figure, told in _FIGURES.items() if figure in series]
    if "precision" in series:
        blocks.append(_drawing(series, "precision", "share of visible clusters matched with the right infrared one"))
    blocks.append(
        Text("Identities served these figures and pictures alone; labels were decided before anybody looked at them.")
    )
    if not run.album.shown:
        blocks.append(Text(HIDDEN))
    data = TrainingData.of(run.dataset, run.recipe)
    for modality, own in labels.items():
        rows = data.rows_of(modality)
        identity = run.identity[rows]
        blocks += [_of_cluster(run, modality, rows, own, c, "A cluster") for c in _typical(own)]
        blocks += [_of_person(run, modality, rows, own, person) for person in split_people(own, identity)[:_SHOWN]]
        wrong = wrong_merges(own, identity)[:_SHOWN]
        blocks += [_of_cluster(run, modality, rows, own, c, "People in one cluster") for c in wrong]
    return Section("Clusters", blocks)


def label_series(records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Series]]:
    """Every figure by modality (or `matched`) over all epochs, counted from 0; unknown ones are left out."""
    found: dict[str, dict[str, Series]] = {}
    for epoch, record in enumerate(record["labels"] for record in records if "labels" in record):
        for name, figures in record.items():
            for figure, value in figures.items():
                if isinstance(value, int | float):
                    xs, ys = found.setdefault(figure, {}).setdefault(name, ([], []))
                    xs.append(epoch)
                    ys.append(value)
    return found


def split_people(labels: IntArray, identity: IntArray) -> list[int]:
    """People in more than one cluster, those in the most first."""
    kept = labels >= 0
    pairs = np.unique(np.stack([identity[kept], labels[kept]]), axis=1)
    people, counts = np.unique(pairs[0], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return [int(people[place]) for place in order if counts[place] > 1]


def wrong_merges(labels: IntArray, identity: IntArray) -> list[int]:
    """Clusters of more than one person, those with the most pictures of others than their commonest person first."""
    others = {}
    for cluster in np.unique(labels[labels >= 0]).tolist():
        counts = np.unique(identity[labels == cluster], return_counts=True)[1]
        others[cluster] = int(counts.sum() - counts.max())
    return [cluster for cluster in sorted(others, key=lambda c: -others[c]) if others[cluster]]


def _typical(labels: IntArray) -> list[int]:
    """The cluster of median size."""
    sizes = np.bincount(labels[labels >= 0])
    return [int(np.argsort(sizes, kind="stable")[len(sizes) // 2])] if len(sizes) else []


def _of_cluster(
    run: Material, modality: Modality, rows: IntArray, labels: IntArray, cluster: int, what: str
) -> Ranking:
    """Pictures of a cluster, as many people as possible; right: of the commonest."""
    members = rows[labels == cluster]
    people, counts = np.unique(run.identity[members], return_counts=True)
    most = people[counts.argmax()]
    turn = np.array([np.sum(run.identity[members[:place]] == run.identity[row]) for place, row in enumerate(members)])
    shown = members[np.argsort(turn, kind="stable")]
    first = int(shown[run.identity[shown] == most][0])
    told = f"{what}: {modality} cluster {cluster}, {len(members)} pictures of {len(people)} people"
    hits = [
        hit_of(run, int(row), f"camera {run.camera[row]}", right=bool(run.identity[row] == most))
        for row in shown[shown != first][:_PICTURES]
    ]
    return Ranking(told, hit_of(run, first, f"camera {run.camera[first]}"), hits)


def _of_person(run: Material, modality: Modality, rows: IntArray, labels: IntArray, person: int) -> Ranking:
    """One picture of each cluster that a person is in."""
    own = (run.identity[rows] == person) & (labels >= 0)
    names, firsts, counts = np.unique(labels[own], return_index=True, return_counts=True)
    hits = []
    for place in np.argsort(-counts, kind="stable"):
        row = int(rows[own][firsts[place]])
        about = f"cluster {names[place]}, camera {run.camera[row]}, {counts[place]} pictures"
        hits.append(hit_of(run, row, about))
    told = f"A person in pieces: {modality} pictures of person {person} are in {len(names)} clusters"
    return Ranking(told, hits[0], hits[1 : 1 + _PICTURES])


def _drawing(series: Mapping[str, Mapping[str, Series]], figure: str, told: str) -> Drawing:
    lines = series[figure]
    ends = "; ".join(f"{name}: {ys[0]:.3g} to {ys[-1]:.3g}" for name, (_, ys) in lines.items())
    about = f"{told.capitalize()} by epoch. {ends}."
    return Drawing(line_plot(dict(lines), x="epoch", y=told if len(told) < 30 else "share", alt=about), about)
