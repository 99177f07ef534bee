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

__all__ = ["clusters", "rows_needed", "start_retrieval", "start_vectors"]

IntArray = NDArray[np.int64]

K1, K2, MIN_SAMPLES = 30, 6, 4
TOLD_RADII = (0.3, 0.4, 0.5, 0.6)
WIDEST = 0.75
CLUSTERS_WANTED = (1.5, 3.0)
PURITY_WANTED = (80.0, 90.0)
INSIDE_WANTED = 40.0


def clusters(dataset: Dataset, vectors: Vectors) -> list[Finding]:
    """How DBSCAN parts the training pictures; vectors: of all of them, by the untrained start.

    k-reciprocal Jaccard distances with 30 neighbours, as methods of the field begin. Their radius of 0.6 belongs to
    other features and numbers of pictures, so it is chosen without labels here, and what others give is told. Judged
    for visible pictures; infrared ones are for information.
    """
    images = dataset.images
    trained = dataset.training_rows()
    findings = []
    for modality in Modality:
        rows = trained[(images["modality"].to_numpy()[trained] == str(modality))]
        identity = images["identity"].to_numpy()[rows]
        judged = modality is Modality.VISIBLE
        bands = (CLUSTERS_WANTED, PURITY_WANTED) if judged else ((None, None), (None, None))
        graph = jaccard_graph(vectors.of(rows), k1=K1, k2=K2, eps=WIDEST)
        choice = choose_eps(graph, min_samples=MIN_SAMPLES)
        told = f"radius {choice.eps}, chosen without labels, leaves {100 * (choice.labels < 0).mean():.0f} % in none"
        others = [dbscan(graph, eps=eps, min_samples=MIN_SAMPLES) for eps in TOLD_RADII]
        for name, measure, digits, unit, (low, high) in (
            (f"{modality} clusters per training identity", _per_person, 2, "", bands[0]),
            (f"purity of {modality} clusters", _percent_pure, 0, "%", bands[1]),
        ):
            given = ", ".join(f"{measure(each, identity):.{digits}f}" for each in others)
            note = f"{told}; {', '.join(map(str, TOLD_RADII))} give {given}"
            findings.append(
                Finding(name=name, value=measure(choice.labels, identity), unit=unit, low=low, high=high, note=note)
            )
    return findings


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
