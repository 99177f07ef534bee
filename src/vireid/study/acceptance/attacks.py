"""Shortcuts: what can be reached without seeing what re-identification is about.

Every function takes a finished set in the layout of SYSU-MM01; the learned ones train on its training split.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vireid.data import Dataset, Protocol
from vireid.study.acceptance.features import COLOURS, SHAPES, extract, file_facts
from vireid.study.acceptance.findings import Finding
from vireid.study.acceptance.retrieval import Retrieval, Vectors, protocol_rows, retrieve
from vireid.study.acceptance.xqda import fit_xqda
from vireid.types import Modality

__all__ = ["above_chance", "colours", "files", "learned", "unlearned"]

IntArray = NDArray[np.int64]

PEOPLE = 96
"""Identities among which unlearned features are bounded; larger tests are searched in random parts of this size."""
UNLEARNED_LIMIT = 8.0
COLOUR_BAND = (20.0, 40.0)
LEARNED = ("HOG, unsigned", "LBP", "equalised grey stripes")
"""Features that are learned from together: signed gradients and colours only dilute what crosses modalities."""


def unlearned(dataset: Dataset) -> list[Finding]:
    """Rank-1 from infrared to visible by gradients, textures, grey levels and colours, centred per modality."""
    protocol = dataset.protocol("all-single-agw")
    vectors = extract(dataset, protocol_rows(protocol), SHAPES | COLOURS)
    return [
        Finding(name=f"{name}, infrared to visible, rank-1", value=found.rank1, high=UNLEARNED_LIMIT, note=_note(found))
        for name, found in _retrievals(protocol, {n: _centred(v, dataset) for n, v in vectors.items()}).items()
    ]


def colours(dataset: Dataset) -> list[Finding]:
    """Rank-1 from visible to visible across cameras by colour histograms; the better of the two is judged."""
    protocol = dataset.protocol("visible-to-visible")
    found = _retrievals(protocol, extract(dataset, protocol_rows(protocol), COLOURS))
    told = ", ".join(f"{name} {each.rank1:.1f} %" for name, each in found.items())
    best = max(each.rank1 for each in found.values())
    return [
        Finding(
            name="best colour histogram, visible to visible, rank-1",
            value=best,
            low=COLOUR_BAND[0],
            high=COLOUR_BAND[1],
            note=told,
        )
    ]


def files(dataset: Dataset) -> list[Finding]:
    """What file sizes, coding, numbers and times tell, compared directly and learned from."""
    protocol = dataset.protocol("all-single-agw")
    trained = dataset.training_rows()
    rows = np.union1d(protocol_rows(protocol), trained)
    facts = file_facts(dataset, rows)
    direct = retrieve(protocol, facts.score, chance=True)
    return above_chance("file metadata", direct) + above_chance("file metadata, XQDA", _learned(dataset, facts))


def learned(dataset: Dataset) -> Retrieval:
    """What XQDA learns from features of the training pictures."""
    return _learned(dataset, _together(dataset))


def above_chance(name: str, found: Retrieval) -> list[Finding]:
    """Rank-1 and mAP of something that should know nothing, against what relabelled people give."""
    return [
        Finding(name=f"{name}, rank-1", value=found.rank1, chance=found.chance_rank1),
        Finding(name=f"{name}, mAP", value=found.mAP, chance=found.chance_mAP),
    ]


def _retrievals(protocol: Protocol, vectors: Mapping[str, Vectors]) -> dict[str, Retrieval]:
    return {name: retrieve(protocol, each.score, people=PEOPLE) for name, each in vectors.items()}


def _note(found: Retrieval) -> str:
    return f"mAP {found.mAP:.1f} %"


def _modality(dataset: Dataset, rows: IntArray) -> NDArray[Any]:
    return dataset.images["modality"].to_numpy()[rows].astype(str)


def _centred(vectors: Vectors, dataset: Dataset) -> Vectors:
    """Without the mean of each modality, which anybody can take away."""
    values = vectors.values.astype(np.float64)
    modality = _modality(dataset, vectors.rows)
    for name in Modality:
        side = modality == str(name)
        if side.any():
            values[side] -= values[side].mean(axis=0)
    return Vectors(rows=vectors.rows, values=values)


def _together(dataset: Dataset) -> Vectors:
    """Features of shape of training and test pictures side by side, each with the same total variance."""
    rows = np.union1d(protocol_rows(dataset.protocol("all-single-agw")), dataset.training_rows())
    parts = []
    for vectors in extract(dataset, rows, {name: SHAPES[name] for name in LEARNED}).values():
        centred = _centred(vectors, dataset).values
        parts.append((centred / np.sqrt(max(float(centred.var(axis=0).sum()), 1e-12))).astype(np.float32))
    return Vectors(rows=rows, values=np.concatenate(parts, axis=1))


def _learned(dataset: Dataset, vectors: Vectors) -> Retrieval:
    trained = dataset.training_rows()
    identity = dataset.images["identity"].to_numpy()[trained]
    model = fit_xqda(vectors.of(trained), identity, _modality(dataset, trained))
    projected = model.project(vectors, _modality(dataset, vectors.rows))
    return retrieve(dataset.protocol("all-single-agw"), model.score(projected), chance=True)
