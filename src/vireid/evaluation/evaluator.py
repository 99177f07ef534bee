"""Evaluate embeddings under a protocol: every trial's scores, ranked and averaged."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vireid.errors import DataError, UsageError
from vireid.evaluation.open_figures import OpenSetFigures
from vireid.evaluation.open_set import OpenSet, collect, join
from vireid.evaluation.ranking import RankingResult, merge, rank
from vireid.evaluation.results import Cascade, EvaluationResult, Recall, TrialResult
from vireid.evaluation.scoring import CascadeScores, FullScores, Pictures, Scores, cosines
from vireid.matching import KReciprocal, Matcher
from vireid.types import CmcKind, Embeddings, Track, Trial, untracked

__all__ = ["TrialSource", "evaluate"]

DEFAULT_K = 50
_BLOCK = 1 << 26  # scores of one trial held at once


class TrialSource(Protocol):
    """What `evaluate` reads of a protocol of `vireid.data`."""

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> Mapping[str, Any]: ...
    @property
    def images(self) -> pd.DataFrame: ...
    @property
    def cmc(self) -> CmcKind: ...
    def trials(self) -> Iterable[Trial]: ...


def evaluate(
    protocol: TrialSource,
    embeddings: Embeddings[Any],
    rows: NDArray[np.int64],
    matcher: Matcher,
    *,
    mode: str | None = None,
    rerank: KReciprocal | bool | None = None,
    open_set: OpenSet | None = None,
    track: Track = untracked,
) -> EvaluationResult:
    """Score, rank and average every trial of `protocol`.

    Args:
        embeddings: of at least the pictures that the trials ask for, in any order.
        rows: (N,) int64, the row of `protocol.images` that each embedding belongs to.
        mode: `full` scores every pair. `cascade:K` lets the matcher's lift choose K candidates from each query's
            permitted gallery; these are scored, and all others follow them in the lift's order. `cascade` alone
            means K = 50. None: the matcher's own, `full` unless that costs too much.
        rerank: k-reciprocal re-ranking of the cosines; True for its published parameters.
        open_set: also find open-set figures, of a gallery from which this holds people out.

    Raises:
        UsageError: missing embeddings or fields, an unknown mode, re-ranking where scores are not cosines, or open-set
            figures of scores that a threshold cannot be set for.
        DataError: a trial in which no query has a correct gallery picture, or that has no open-set figures.
    """
    trials = list(protocol.trials())
    if not trials:
        raise DataError(f"protocol {protocol.name!r} has no trials")
    k = _candidates(mode or matcher.mode)
    # Then the two stages cannot differ from one, which is cheaper and is what the result calls it.
    equals_full = k is None or matcher.exact or all(k >= len(trial.gallery) for trial in trials)
    pictures = Pictures(embeddings, rows, matcher, trials)
    scores: Scores
    if k is None or equals_full:
        scores = FullScores(pictures, matcher, trials, track=track)
    else:
        scores = CascadeScores(pictures, matcher, trials, k, track=track)
    reranking = (KReciprocal() if rerank else None) if isinstance(rerank, bool) else rerank
    if open_set is not None and not (equals_full and reranking is None):
        raise UsageError(
            "open-set figures set one threshold for all queries, which scores of a cascade and re-ranked ones are not "
            "made for; ask for mode full without re-ranking"
        )
    identity = protocol.images["identity"].to_numpy()
    results = []
    for trial in track(trials, description="ranking", total=len(trials)):
        ids = identity[trial.query], identity[trial.gallery]
        ranking, recall, opened = _ranked(trial, scores, ids, protocol.cmc, k, open_set)
        if reranking is not None:
            ranking = _reranked(trial, pictures, matcher, ids, protocol.cmc, reranking, track)
        if not ranking.valid.any():
            raise DataError(f"trial {trial.index} of {protocol.name!r}: no query has a correct picture in its gallery")
        results.append(
            TrialResult(
                index=trial.index,
                query=trial.query,
                gallery=trial.gallery,
                ranking=ranking,
                recall=recall,
                open_set=opened,
            )
        )
    return EvaluationResult(
        protocol=protocol.name,
        fingerprint=protocol.fingerprint,
        mode="full" if equals_full else f"cascade:{k}",
        trials=tuple(results),
        cascade=None if k is None else Cascade(k=k, equals_full=equals_full),
        rerank=reranking,
        open_set=open_set,
    )


def _candidates(mode: str) -> int | None:
    """K of `cascade:K` (of `cascade`: the default), None for `full`."""
    if mode == "full":
        return None
    match = re.fullmatch(r"cascade(?::([1-9][0-9]*))?", mode)
    if match is None:
        raise UsageError(f"unknown mode {mode!r} (allowed: full, or cascade:K with K at least 1, as in cascade:100)")
    return int(match[1] or DEFAULT_K)


def _ranked(
    trial: Trial,
    scores: Scores,
    ids: tuple[NDArray[Any], NDArray[Any]],
    cmc: CmcKind,
    k: int | None,
    open_set: OpenSet | None,
) -> tuple[RankingResult, Recall | None, OpenSetFigures | None]:
    parts, recalls, collected = [], [], []
    enrolled = None if open_set is None else open_set.enrolled(ids[1], trial=trial.index)
    step = max(1, _BLOCK // max(1, len(trial.gallery)))
    for start in range(0, max(1, len(trial.query)), step):
        part = slice(start, start + step)
        block, invalid = scores.of(trial.query[part], trial.gallery, trial.invalid[part]), trial.invalid[part]
        parts.append(rank(block, ids[0][part], ids[1], invalid=invalid, cmc=cmc))
        if k is not None:
            recalls.append(Recall.of(block, ids[0][part], ids[1], invalid=invalid, k=k))
        if enrolled is not None:
            collected.append(collect(block, ids[0][part], ids[1], invalid=invalid, enrolled=enrolled, cmc=cmc))
    opened = OpenSetFigures.of(*join(*zip(*collected, strict=True))) if collected else None
    return merge(parts), Recall.total(recalls) if recalls else None, opened


def _reranked(
    trial: Trial,
    pictures: Pictures,
    matcher: Matcher,
    ids: tuple[NDArray[Any], NDArray[Any]],
    cmc: CmcKind,
    rerank: KReciprocal,
    track: Track,
) -> RankingResult:
    query, gallery = trial.query, trial.gallery
    between, among, within = (
        cosines(pictures, matcher, *sides, track=track)
        for sides in ((query, gallery), (query, query), (gallery, gallery))
    )
    scores = rerank(between, among, within, invalid=trial.invalid)
    return rank(scores, *ids, invalid=trial.invalid, cmc=cmc)
