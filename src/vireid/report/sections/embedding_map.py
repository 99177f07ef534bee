"""A map of embeddings: who lies near whom."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vireid.report.blocks import Drawing, Section, Text
from vireid.report.material import Material
from vireid.report.plots import Points, point_plot
from vireid.types import Modality

__all__ = ["embedding_map", "mapped_rows"]

_PEOPLE = 8
_PICTURES = 25  # of a person and modality
_SHAPES = {Modality.VISIBLE: "o", Modality.INFRARED: "^"}

IntArray = NDArray[np.int64]


def embedding_map(run: Material) -> Section:
    """t-SNE of a few people's pictures, coloured by modality and by person."""
    title = "Map of embeddings"
    rows = mapped_rows(run)
    try:
        places = _project(run.embeddings[np.searchsorted(run.rows, rows)].vector, run.seed)
    except ModuleNotFoundError as error:
        if error.name != "sklearn":
            raise
        return Section(
            title, [Text("Left out: it needs scikit-learn. Run: pip install 'vireid[study]', and make the page again.")]
        )
    identity, modality = run.identity[rows], run.dataset.images["modality"].to_numpy()[rows]
    people = list(dict.fromkeys(identity.tolist()))
    by_modality, by_person = [], []
    for number, one in enumerate(Modality):
        mine = modality == one
        by_modality.append(Points(one, places[mine, 0], places[mine, 1], number, _SHAPES[one]))
        for colour, person in enumerate(people):
            chosen = mine & (identity == person)
            by_person.append(Points(f"person {person}", places[chosen, 0], places[chosen, 1], colour, _SHAPES[one]))
    told = f"{len(rows)} pictures of {len(people)} people, drawn with seed {run.seed}"
    return Section(
        title,
        [
            Drawing(
                point_plot(by_modality, alt=f"t-SNE map of {told}, coloured by modality."),
                f"By modality: {told}. Where modalities form islands, the model tells cameras before people. "
                "t-SNE keeps neighbours; distances between islands mean nothing.",
            ),
            Drawing(
                point_plot(by_person, alt=f"t-SNE map of {told}, coloured by person."),
                "The same map by person: circles visible, triangles infrared.",
            ),
        ],
    )


def mapped_rows(run: Material) -> IntArray:
    """Rows of up to 8 people whom both modalities show, up to 25 pictures each and modality, drawn by the seed."""
    rng = np.random.default_rng(run.seed)
    identity, modality = run.identity[run.rows], run.dataset.images["modality"].to_numpy()[run.rows]
    both = np.intersect1d(*(identity[modality == one] for one in Modality))
    if not len(both):  # a test within one modality
        both = np.unique(identity)
    found = []
    for person in rng.permutation(both)[:_PEOPLE]:
        for one in Modality:
            mine = run.rows[(identity == person) & (modality == one)]
            found.append(np.sort(rng.permutation(mine)[:_PICTURES]))
    return np.concatenate(found)


def _project(vectors: NDArray[Any], seed: int) -> NDArray[Any]:
    """(N, 2)."""
    from sklearn.manifold import TSNE

    if len(vectors) < 4:
        return np.zeros((len(vectors), 2))
    perplexity = min(30.0, (len(vectors) - 1) / 3)
    found: NDArray[Any] = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(vectors)
    return found
