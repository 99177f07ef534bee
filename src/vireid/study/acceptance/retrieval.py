"""Retrieval under a protocol by any score of two pictures, and what it would reach by chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vireid.data import Dataset, Protocol
from vireid.data.protocol import Draw, Rule
from vireid.data.sampling import gallery_by_seed, sightings
from vireid.evaluation import rank
from vireid.types import CmcKind, Modality, Trial

__all__ = ["Retrieval", "Score", "Vectors", "inside_modality", "protocol_rows", "retrieve"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.floating[Any]]
Score = Callable[[IntArray, IntArray], FloatArray]
"""(Q,) and (G,) rows of the image table -> (Q, G) scores, higher is better."""

DRAWS = 400
"""Random relabellings from which chance is estimated."""


@dataclass(frozen=True, kw_only=True)
class Vectors:
    """Vectors (N, D) of rows (N,) of the image table, ascending; scored by their cosine."""

    rows: IntArray
    values: FloatArray

    def of(self, rows: IntArray) -> FloatArray:
        """Vectors of these rows, all of which must be held."""
        found: FloatArray = self.values[np.searchsorted(self.rows, rows)]
        return found

    def score(self, query: IntArray, gallery: IntArray) -> FloatArray:
        """The inner products of unit vectors."""
        product: FloatArray = _unit(self.of(query)) @ _unit(self.of(gallery)).T
        return product


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """Percent, means over trials. chance_rank1 and chance_mAP: one mean per relabelling.

    ap: per trial, (queries,) average precision in percent of the valid queries; people: whose queries they are.
    """

    rank1: float
    mAP: float  # noqa: N815 - the field's name
    mINP: float  # noqa: N815
    chance_rank1: tuple[float, ...] = ()
    chance_mAP: tuple[float, ...] = ()  # noqa: N815
    people: tuple[IntArray, ...] = field(default=(), repr=False)
    ap: tuple[FloatArray, ...] = field(default=(), repr=False)


def protocol_rows(*protocols: Protocol) -> IntArray:
    """All rows that the protocols' trials compare, ascending."""
    parts = [rows for protocol in protocols for draw in protocol.draws for rows in (draw.query, draw.gallery)]
    return np.unique(np.concatenate(parts))


def inside_modality(dataset: Dataset, modality: Modality) -> Protocol:
    """Test pictures of one modality among single-shot galleries of the same, never of the query's own camera."""
    rows = dataset.rows(split="test", modality=modality)
    galleries = gallery_by_seed(list(sightings(dataset.images, rows).values()))
    return Protocol(
        name=f"{modality}-to-{modality}",
        images=dataset.images,
        cmc=CmcKind.IDENTITY,
        query_modality=modality,
        gallery_modality=modality,
        rule=Rule.SAME_CAMERA,
        shots=1,
        scheme="one picture per identity and camera",
        source={"dataset": dataset.name},
        draws=tuple(Draw(rows, gallery) for gallery in galleries),
        training_rows=dataset.training_rows(),
    )


def retrieve(protocol: Protocol, score: Score, *, people: int | None = None, chance: bool = False) -> Retrieval:
    """Rank every trial of `protocol` by `score`.

    Args:
        people: search among so many random test identities instead of all, others in every trial.
        chance: also relabel the queries' people at random, among those whom the same cameras saw, and look up what the
            same rankings would then be worth: what a score reaches that knows nothing, with all the dependence between
            pictures of one person.
    """
    images = protocol.images
    identity = images["identity"].to_numpy()
    trials = [_restricted(trial, identity, people) for trial in protocol.trials()]
    shuffled = _relabellings(images, trials) if chance else None
    found: list[tuple[float, float, float]] = []
    null: list[NDArray[np.float64]] = []
    parts: list[tuple[IntArray, FloatArray]] = []
    for trial in trials:
        scores = score(trial.query, trial.gallery)
        ids = identity[trial.query], identity[trial.gallery]
        result = rank(scores, *ids, invalid=trial.invalid, cmc=protocol.cmc)
        found.append((100 * float(result.cmc[0]), 100 * result.mAP, 100 * result.mINP))
        valid = np.asarray(result.valid)
        parts.append((ids[0][valid], 100 * np.asarray(result.ap)[valid]))
        if shuffled is not None:
            null.append(_by_chance(scores, trial, *ids, *shuffled))
    rank1, mean_ap, mean_inp = np.mean(found, axis=0).tolist()
    draws = np.mean(null, axis=0).tolist() if null else [(), ()]
    return Retrieval(
        rank1=rank1,
        mAP=mean_ap,
        mINP=mean_inp,
        chance_rank1=tuple(draws[0]),
        chance_mAP=tuple(draws[1]),
        people=tuple(part[0] for part in parts),
        ap=tuple(part[1] for part in parts),
    )


def _unit(vectors: FloatArray) -> FloatArray:
    unit: FloatArray = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return unit


def _restricted(trial: Trial, identity: IntArray, people: int | None) -> Trial:
    known = np.unique(identity[trial.query])
    if people is None or people >= len(known):
        return trial
    chosen = np.random.default_rng(trial.index).choice(known, people, replace=False)
    query, gallery = (np.isin(identity[rows], chosen) for rows in (trial.query, trial.gallery))
    return Trial(
        index=trial.index,
        query=trial.query[query],
        gallery=trial.gallery[gallery],
        invalid=trial.invalid[query][:, gallery],
    )


def _relabellings(images: pd.DataFrame, trials: Sequence[Trial]) -> tuple[IntArray, IntArray]:
    """Identities (I,), rising, and relabellings (draws, I) as places among them.

    People are exchanged only with people of the same cameras, so that every query keeps its number of answers.
    """
    rows = np.unique(np.concatenate([np.concatenate([trial.query, trial.gallery]) for trial in trials]))
    seen = images.iloc[rows].groupby("identity")["camera"].agg(lambda cameras: str(sorted(set(cameras))))
    rng = np.random.default_rng(0)
    places = np.empty((DRAWS, len(seen)), np.int64)
    for cameras in sorted(set(seen)):
        members = np.flatnonzero(seen == cameras)
        places[:, members] = rng.permuted(np.tile(members, (DRAWS, 1)), axis=1)
    return seen.index.to_numpy().astype(np.int64), places


def _by_chance(
    scores: FloatArray,
    trial: Trial,
    query_ids: IntArray,
    gallery_ids: IntArray,
    people: IntArray,
    relabelled: IntArray,
) -> NDArray[np.float64]:
    """(2, draws) rank-1 and mAP in percent, were each query's person the one that a relabelling names."""
    order = np.argsort(np.where(trial.invalid, -np.inf, -0.0 + scores), axis=1)[:, ::-1]
    position = np.empty(order.shape, np.float64)
    np.put_along_axis(position, order, np.arange(1.0, order.shape[1] + 1)[None], axis=1)
    position[trial.invalid] = np.inf
    ap, first = np.full((len(scores), len(people)), np.nan), np.full((len(scores), len(people)), False)
    for place, person in enumerate(people):
        found = np.sort(position[:, gallery_ids == person], axis=1)
        count = np.isfinite(found).sum(axis=1)
        gain = (np.arange(1, found.shape[1] + 1) / found).sum(axis=1)
        ap[:, place] = np.divide(gain, count, out=np.full(len(found), np.nan), where=count > 0)
        first[:, place] = (found[:, :1] == 1).any(axis=1)
    own = np.searchsorted(people, query_ids)
    row = np.arange(len(scores))
    named = relabelled[:, own]
    precision = ap[row, named]
    hits = np.where(np.isnan(precision), np.nan, first[row, named])
    return 100 * np.stack([np.nanmean(hits, axis=1), np.nanmean(precision, axis=1)])
