"""Calibrate a bundle: score pairs of pictures of people it was not trained on, and fit what the scores mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vireid import __version__
from vireid.data import Dataset
from vireid.data.protocol import Rule, forbidden
from vireid.data.sampling import sightings
from vireid.errors import DataError, UsageError, choose
from vireid.evaluation.scoring import FullScores, Pictures
from vireid.matching import Matcher
from vireid.matching.calibration import RESAMPLES, Calibration, PairCalibration, ScoredPairs, calibrate_pair, pair_name
from vireid.methods.bundle import Bundle, identity_names
from vireid.training.measure import EmbeddingTable
from vireid.types import Embeddings, Modality, Say, Track, Trial, silent, untracked

__all__ = ["PEOPLE", "PICTURES", "Calibrated", "calibrate"]

IntArray: TypeAlias = NDArray[np.int64]
BoolArray: TypeAlias = NDArray[np.bool_]

PEOPLE = ("held-out", "val", "test", "all")
PICTURES = 4
_MOST = 1_000_000  # pairs of two people that are kept
_BLOCK = 1 << 23  # scores held at once


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibrated:
    """A calibration, and the log-likelihood ratios of pairs whose people it was not fitted on, for its report."""

    calibration: Calibration
    llr: Mapping[str, ScoredPairs]


def calibrate(
    bundle: Bundle,
    dataset: Dataset,
    *,
    folder: Path,
    people: str | None = None,
    protocol: str | None = None,
    pictures: int = PICTURES,
    resamples: int = RESAMPLES,
    seed: int = 0,
    device: str | None = None,
    track: Track = untracked,
    say: Say = silent,
) -> Calibrated:
    """What the scores of `bundle` mean, for every pair of modalities that `dataset` has pictures for.

    Two pictures of one place never make a pair, whoever they show: the same light and background would count for more
    than the person.

    Args:
        people: `held-out`, whom the training's recipe kept out; `val` or `test`, the splits; `all`, of a data set of
            other people. None: those held out.
        folder: where embeddings are kept. protocol: whose splits count (None: that of the training).
        pictures: most of a person before a camera, drawn by `seed`.
        resamples: draws of the identities for intervals.

    Raises:
        UsageError: unknown people or protocol, or nobody was held out. LeakError: some were trained on.
        DataError: not one pair of modalities can be calibrated. ImageError: a picture cannot be read.
    """
    place = bundle.device(device)
    who = _who(bundle, people)
    table = _table(bundle, dataset, protocol)
    rows = _drawn(table, _rows_of(bundle, dataset, table, who), pictures, seed)
    kept = EmbeddingTable(folder / f"{dataset.fingerprint[:16]}.npz", bundle.digest)
    embeddings = kept.of(rows, dataset, lambda: bundle.encoder(device=place), track=track, say=say)
    if (table["camera"].to_numpy()[rows] < 0).any():
        say("some cameras are unknown: pairs of one place count there, and ratios come out too great")
    scorer = _Scorer(table, embeddings, rows, bundle.matcher(device=place), _rule(dataset), seed)
    found: dict[str, PairCalibration] = {}
    llr: dict[str, ScoredPairs] = {}
    missing: dict[str, str] = {}
    for query, gallery in track(list(product(Modality, Modality)), description="calibrating", total=4):
        name = pair_name(query, gallery)
        try:
            found[name], llr[name] = calibrate_pair(scorer.pairs(query, gallery), resamples=resamples, seed=seed)
        except DataError as error:
            missing[name] = str(error)
    if not found:
        told = "; ".join(f"{name}: {why}" for name, why in missing.items())
        raise DataError(f"no pair of modalities of {dataset.name} can be calibrated ({told})")
    calibration = Calibration(
        bundle=bundle.digest,
        matcher=scorer.matcher.name,
        pairs=found,
        missing=missing,
        dataset=dataset.name,
        dataset_kind=dataset.kind,
        dataset_fingerprint=dataset.fingerprint,
        people=who,
        identities=tuple(sorted(int(identity) for identity in table["identity"].iloc[rows].unique())),
        identity_names=identity_names(table.iloc[rows]),
        rule=str(scorer.rule),
        pictures=pictures,
        seed=seed,
        vireid=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return Calibrated(calibration=calibration, llr=llr)


def _who(bundle: Bundle, people: str | None) -> str:
    if people is None and not bundle.card.held_out:
        raise UsageError(
            "the training kept nobody out (data.held_out), so say who the model is calibrated on: --identities val or "
            "test, or all of a data set of other people. They are no test of the calibration any more"
        )
    return choose(people or "held-out", PEOPLE, "people")


def _table(bundle: Bundle, dataset: Dataset, protocol: str | None) -> pd.DataFrame:
    """The image table with the splits of the protocol; only those of RegDB differ from the data set's."""
    if dataset.kind != "regdb" and protocol is None:
        return dataset.images
    card = bundle.card
    own = card.protocol if card.dataset_kind == dataset.kind else dataset.default_protocol
    return dataset.protocol(protocol or own).images


def _rows_of(bundle: Bundle, dataset: Dataset, table: pd.DataFrame, people: str) -> IntArray:
    card = bundle.card
    if people == "held-out":
        if not card.held_out:
            raise UsageError("the training kept nobody out (data.held_out); calibrate on val, test or all")
        if dataset.fingerprint != card.dataset_fingerprint:
            raise UsageError(
                f"{dataset.root} is not the data set that the model was trained on, or has changed since; the people "
                f"held out are known by their numbers there"
            )
        return np.flatnonzero(table["identity"].isin(card.held_out)).astype(np.int64)
    keep = np.ones(len(table), np.bool_) if people == "all" else (table["split"] == people).to_numpy(np.bool_)
    rows = np.flatnonzero(keep).astype(np.int64)
    if not len(rows):
        raise UsageError(f"{dataset.root} has no pictures of {people} identities; calibrate on {', '.join(PEOPLE)}")
    bundle.refuse_leak(dataset, rows)
    return rows


def _rule(dataset: Dataset) -> Rule:
    return Rule.SYSU_LOCATION if dataset.kind == "sysu" else Rule.SAME_CAMERA


def _drawn(table: pd.DataFrame, rows: IntArray, pictures: int, seed: int) -> IntArray:
    """At most `pictures` rows of every person, camera and modality, ascending."""
    if pictures < 1:
        raise UsageError(f"pictures is {pictures}; it must be at least 1")
    rng = np.random.default_rng(seed)
    modality = table["modality"].to_numpy()
    groups = [
        group for one in Modality for group in sightings(table, rows[modality[rows] == str(one)]).values() if len(group)
    ]
    return np.sort(np.concatenate([rng.permutation(group)[:pictures] for group in groups]))


class _Scorer:
    """Scores of pairs of pictures with who they show."""

    def __init__(
        self,
        table: pd.DataFrame,
        embeddings: Embeddings[Any],
        rows: IntArray,
        matcher: Matcher,
        rule: Rule,
        seed: int,
    ) -> None:
        self.identity, self.camera = table["identity"].to_numpy(), table["camera"].to_numpy()
        self.modality = table["modality"].to_numpy()
        self.embeddings, self.rows, self.matcher, self.rule, self.seed = embeddings, rows, matcher, rule, seed

    def pairs(self, query: Modality, gallery: Modality) -> ScoredPairs:
        """All pairs of one person, and at most a million of two.

        Raises:
            DataError: there are none of a kind.
        """
        sides = self._of(query), self._of(gallery)
        counts = [0, 0]
        for _, kinds in self._blocks(*sides):
            counts = [count + int(kind.sum()) for count, kind in zip(counts, kinds, strict=True)]
        for count, what in zip(counts, ("one person", "two people"), strict=True):
            if not count:
                raise DataError(f"no two pictures, {query} and {gallery}, show {what} before different cameras")
        share = min(1.0, _MOST / counts[1])
        rng = np.random.default_rng(self.seed)
        values: list[list[NDArray[Any]]] = [[], [], [], []]
        for part, (same, different) in self._blocks(*sides):
            if share < 1:
                different &= rng.random(different.shape) < share
            scores = self._scores(part, sides[1])
            one, other = np.nonzero(different)
            owners = np.stack([self.identity[part][one], self.identity[sides[1]][other]], axis=1)
            of_one = self.identity[part][np.nonzero(same)[0]]
            for place, value in enumerate((scores[same], of_one, scores[different], owners)):
                values[place].append(value)
        genuine, owner, impostor, owners = (np.concatenate(parts) for parts in values)
        return ScoredPairs(
            genuine=genuine.astype(np.float64),
            owner=owner.astype(np.int64),
            impostor=impostor.astype(np.float64),
            owners=owners.astype(np.int64),
        )

    def _of(self, modality: Modality) -> IntArray:
        found: IntArray = self.rows[self.modality[self.rows] == str(modality)]
        return found

    def _blocks(self, query: IntArray, gallery: IntArray) -> Iterator[tuple[IntArray, tuple[BoolArray, BoolArray]]]:
        """Query rows with (q, G) masks of their pairs of one person and of two."""
        step = max(1, _BLOCK // max(1, len(gallery)))
        for start in range(0, len(query), step):
            part = query[start : start + step]
            permitted = ~forbidden(
                self.rule, (self.identity[part], self.camera[part]), (self.identity[gallery], self.camera[gallery])
            )
            permitted &= part[:, None] != gallery
            same = self.identity[part][:, None] == self.identity[gallery]
            yield part, (permitted & same, permitted & ~same)

    def _scores(self, query: IntArray, gallery: IntArray) -> NDArray[Any]:
        nothing = np.zeros((len(query), len(gallery)), np.bool_)
        trial = Trial(index=0, query=query, gallery=gallery, invalid=nothing)
        pictures = Pictures(self.embeddings, self.rows, self.matcher, [trial])
        return FullScores(pictures, self.matcher, [trial], track=untracked).of(query, gallery, nothing)
