"""What start weights say of people before any training: the clusters of their features, and how well they retrieve."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vireid.clustering import choose_eps, dbscan, jaccard_graph, purity
from vireid.data import Dataset
from vireid.study.acceptance.findings import Finding
from vireid.study.acceptance.retrieval import Vectors, inside_modality, protocol_rows, retrieve
from vireid.types import Modality, Track, untracked

if TYPE_CHECKING:
    from vireid.training.recipe import Recipe

__all__ = ["clusters", "neighbours", "rows_needed", "start_retrieval", "start_vectors"]

IntArray = NDArray[np.int64]

K2, MIN_SAMPLES, RADIUS = 6, 4, 0.6
NEIGHBOURS = 30
"""What the field takes on SYSU-MM01, whose training identities have so many pictures on average:"""
USUAL_PICTURES = {Modality.VISIBLE: 22_258 / 395, Modality.INFRARED: 11_909 / 395}
OTHER_RADII = (0.4, 0.5)
WIDEST = 0.75
CLUSTERS_WANTED = (1.5, 3.0)
PURITY_WANTED = (80.0, 90.0)
INSIDE_WANTED = 40.0


def clusters(dataset: Dataset, vectors: Vectors) -> list[Finding]:
    """How DBSCAN parts the training pictures; vectors: of all of them, by the untrained start.

    k-reciprocal Jaccard distances and a radius of 0.6, as methods of the field begin; their 30 neighbours are taken in
    proportion to the pictures that an identity has here and in SYSU-MM01. What smaller radii give is told, among them
    one that is chosen without labels. Judged for visible pictures; infrared ones are for information.
    """
    images = dataset.images
    trained = dataset.training_rows()
    findings = []
    for modality in Modality:
        rows = trained[(images["modality"].to_numpy()[trained] == str(modality))]
        identity = images["identity"].to_numpy()[rows]
        judged = modality is Modality.VISIBLE
        bands = (CLUSTERS_WANTED, PURITY_WANTED) if judged else ((None, None), (None, None))
        k1 = neighbours(len(rows) / len(np.unique(identity)), modality)
        graph = jaccard_graph(vectors.of(rows), k1=k1, k2=K2, eps=WIDEST)
        labels = dbscan(graph, eps=RADIUS, min_samples=MIN_SAMPLES)
        chosen = choose_eps(graph, min_samples=MIN_SAMPLES)
        others = {eps: dbscan(graph, eps=eps, min_samples=MIN_SAMPLES) for eps in OTHER_RADII}
        others[chosen.eps] = chosen.labels
        told = f"{k1} neighbours, radius {RADIUS}; {100 * (labels < 0).mean():.0f} % in none"
        for name, measure, digits, unit, (low, high) in (
            (f"{modality} clusters per training identity", _per_person, 2, "", bands[0]),
            (f"purity of {modality} clusters", _percent_pure, 0, "%", bands[1]),
        ):
            given = ", ".join(f"{eps}: {measure(each, identity):.{digits}f}" for eps, each in sorted(others.items()))
            note = f"{told}; other radii: {given} ({chosen.eps} chosen without labels)"
            findings.append(
                Finding(name=name, value=measure(labels, identity), unit=unit, low=low, high=high, note=note)
            )
    return findings


def neighbours(pictures: float, modality: Modality) -> int:
    """Neighbours for sets whose identities have so many pictures of a modality: 30 where they have SYSU-MM01's."""
    return max(2, round(NEIGHBOURS * pictures / USUAL_PICTURES[modality]))


def start_retrieval(dataset: Dataset, vectors: Vectors) -> list[Finding]:
    """Rank-1 of the untrained start inside each modality, across its cameras, and from infrared to visible."""
    inside = {modality: retrieve(inside_modality(dataset, modality), vectors.score) for modality in Modality}
    across = retrieve(dataset.protocol("all-single-agw"), vectors.score)
    return [
        *(
            Finding(
                name=f"start, {modality} to {modality} across cameras, rank-1",
                value=found.rank1,
                low=INSIDE_WANTED,
                note=f"mAP {found.mAP:.1f} %",
            )
            for modality, found in inside.items()
        ),
        Finding(name="start, infrared to visible, rank-1", value=across.rank1, note=f"mAP {across.mAP:.1f} %"),
    ]


def rows_needed(dataset: Dataset) -> IntArray:
    """Rows of which `clusters` and `start_retrieval` need vectors."""
    tests = [inside_modality(dataset, modality) for modality in Modality]
    rows = protocol_rows(dataset.protocol("all-single-agw"), *tests)
    return np.union1d(rows, dataset.training_rows())


def start_vectors(dataset: Dataset, recipe: Recipe, *, device: str | None = None, track: Track = untracked) -> Vectors:
    """Unit vectors of what the recipe's network makes of the pictures with its start weights, before any training.

    Raises:
        WeightsError: the start cannot be had or does not fit.
    """
    from vireid.study.acceptance.networks import embedded, untrained

    return embedded(untrained(recipe, device=device), dataset, rows_needed(dataset), track=track)


def _per_person(labels: IntArray, identity: IntArray) -> float:
    return (int(labels.max(initial=-1)) + 1) / len(np.unique(identity))


def _percent_pure(labels: IntArray, identity: IntArray) -> float:
    return 100 * purity(labels, identity)
