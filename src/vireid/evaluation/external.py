"""Evaluate embeddings, scores or distances that another program computed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vireid.data.protocol import Rule, forbidden
from vireid.errors import DataError, UsageError, choose
from vireid.evaluation.external_files import Given, Task, read_task
from vireid.evaluation.open_figures import OpenSetFigures
from vireid.evaluation.open_set import OpenSet, collect, join
from vireid.evaluation.ranking import merge, rank
from vireid.evaluation.results import EvaluationResult, TrialResult
from vireid.files import digest_of
from vireid.matching import KReciprocal
from vireid.types import CmcKind, Track, untracked

__all__ = ["RULES", "Metric", "evaluate_files"]

_BLOCK = 1 << 24  # scores ranked at once


@dataclass(frozen=True, kw_only=True)
class NamedRule:
    """What a protocol says of a finished matrix: which pairs do not count, and what the CMC counts."""

    rule: Rule
    cmc: CmcKind


RULES: Mapping[str, NamedRule] = {
    "sysu": NamedRule(rule=Rule.SYSU_LOCATION, cmc=CmcKind.IDENTITY),
    "regdb": NamedRule(rule=Rule.NONE, cmc=CmcKind.IMAGE),
    "llcm": NamedRule(rule=Rule.SAME_IDENTITY_AND_CAMERA, cmc=CmcKind.IDENTITY),
}


class Metric(StrEnum):
    """How embeddings are compared: by the cosine of their angle, or by their Euclidean distance."""

    COSINE = "cosine"
    EUCLIDEAN = "euclidean"


def evaluate_files(
    paths: Sequence[str | Path],
    *,
    given: str,
    rule: str,
    labels: str | Path | None = None,
    metric: str = Metric.COSINE,
    rerank: bool = False,
    open_set: OpenSet | None = None,
    track: Track = untracked,
) -> EvaluationResult:
    """Evaluate files of other programs, one a trial, under a rule.

    Nobody knows how queries and galleries were chosen: the result is called `external`, and its fingerprint holds the
    files' digest, so that it passes for no result of a protocol.

    Args:
        given: what the files hold: `embeddings`, `scores` (higher is better) or `distances` (lower is better).
        rule: `sysu`, `regdb` or `llcm`: which pairs do not count, and whether the CMC counts identities or pictures.
        labels: table of identities and cameras (see `read_task`) of files that hold none; for all of them the same.
        metric: of embeddings, `cosine` or `euclidean`. rerank: k-reciprocal re-ranking of their cosines.
        open_set: also find open-set figures.

    Raises:
        UsageError: an unknown word, options that do not go together, or a file that is not there.
        DataError: a file lacks something, its parts do not fit, or no query has a correct picture.
    """
    kind, named = Given(choose(given, list(Given), "input")), RULES[choose(rule, RULES, "rule")]
    compared = Metric(choose(metric, list(Metric), "metric"))
    if not paths:
        raise UsageError("give at least one file")
    if rerank and (kind is not Given.EMBEDDINGS or compared is not Metric.COSINE):
        raise UsageError("re-ranking needs the cosines among queries and among the gallery: give embeddings, by cosine")
    if rerank and open_set is not None:
        raise UsageError("open-set figures set one threshold for all queries; re-ranked scores are not made for that")
    reranking = KReciprocal() if rerank else None
    label_file = None if labels is None else Path(labels)
    trials: list[TrialResult] = []
    digests: list[str] = []
    for index, path in enumerate(track(paths, description="ranking", total=len(paths))):
        task = read_task(Path(path), given=kind, cameras=named.rule is not Rule.NONE, labels=label_file)
        _check_cameras(task, named.rule)
        if task.digest in digests:
            raise UsageError(f"{path} holds what {paths[digests.index(task.digest)]} does; a file is one trial")
        digests.append(task.digest)
        trials.append(_trial(index, task, named, _scorer(task, kind, compared, reranking), open_set))
    return EvaluationResult(
        protocol="external",
        fingerprint={
            "dataset": "external",
            "kind": "external",
            "data": digest_of(digests),
            "protocol": "external",
            "rule": str(named.rule),
            "cmc": str(named.cmc),
            "trials": f"{len(trials)}: one a file",
            "compared": str(compared) if kind is Given.EMBEDDINGS else f"{kind} as given",
            "files": digests,
        },
        mode="full",
        trials=tuple(trials),
        rerank=reranking,
        open_set=open_set,
    )


def _trial(
    index: int, task: Task, named: NamedRule, scores_of: Callable[[slice], NDArray[Any]], open_set: OpenSet | None
) -> TrialResult:
    queries, gallery = len(task.query_ids), task.gallery_ids
    enrolled = None if open_set is None else open_set.enrolled(gallery, trial=index)
    rows = max(1, _BLOCK // max(1, len(gallery)))
    parts, collected = [], []
    for start in range(0, max(1, queries), rows):
        part = slice(start, start + rows)
        scores, ids, invalid = scores_of(part), task.query_ids[part], _invalid(task, named.rule, part)
        parts.append(rank(scores, ids, gallery, invalid=invalid, cmc=named.cmc))
        if enrolled is not None:
            collected.append(collect(scores, ids, gallery, invalid=invalid, enrolled=enrolled, cmc=named.cmc))
    ranking = merge(parts)
    if not ranking.valid.any():
        raise DataError(f"{task.path}: no query has a correct picture in the gallery; do the identities agree?")
    return TrialResult(
        index=index,
        query=np.arange(queries),
        gallery=np.arange(len(gallery)),
        ranking=ranking,
        open_set=OpenSetFigures.of(*join(*zip(*collected, strict=True))) if collected else None,
    )


def _invalid(task: Task, rule: Rule, part: slice) -> NDArray[np.bool_] | None:
    if task.query_cameras is None or task.gallery_cameras is None:
        return None
    query = task.query_ids[part], task.query_cameras[part]
    return forbidden(rule, query, (task.gallery_ids, task.gallery_cameras))


def _check_cameras(task: Task, rule: Rule) -> None:
    for side, cameras in (("query", task.query_cameras), ("gallery", task.gallery_cameras)):
        if cameras is None or not len(cameras):
            continue
        least, most = int(cameras.min()), int(cameras.max())
        if rule is Rule.SYSU_LOCATION and not 1 <= least <= most <= 6:
            raise DataError(
                f"{task.path}: {side}_cameras are {least} to {most}; SYSU-MM01's are 1 to 6, and its rule goes by "
                f"these numbers. Are they counted from 0?"
            )
        if least < 0:
            raise DataError(f"{task.path}: {side}_cameras holds {least}; the rule needs to know every camera")


def _scorer(task: Task, given: Given, metric: Metric, reranking: KReciprocal | None) -> Callable[[slice], NDArray[Any]]:
    """Gives the scores of a block of queries."""
    query, gallery, matrix = task.query_features, task.gallery_features, task.matrix
    if matrix is not None and given is Given.SCORES:
        return lambda part: matrix[part]
    if matrix is not None:
        return lambda part: -matrix[part].astype(np.result_type(matrix, np.float32), copy=False)
    if query is None or gallery is None:
        raise UsageError(f"{task.path} was read without embeddings")
    if metric is Metric.EUCLIDEAN:
        return partial(_minus_distances, query, gallery)
    one, other = _unit(query, "query_features", task), _unit(gallery, "gallery_features", task)
    if reranking is None:
        return lambda part: one[part] @ other.T
    nowhere = np.zeros((len(one), len(other)), np.bool_)
    scores = reranking(one @ other.T, one @ one.T, other @ other.T, invalid=nowhere)
    return lambda part: np.asarray(scores[part])


def _minus_distances(query: NDArray[Any], gallery: NDArray[Any], part: slice) -> NDArray[np.float64]:
    query, gallery = query[part].astype(np.float64), gallery.astype(np.float64)
    squares = (query**2).sum(axis=1)[:, None] + (gallery**2).sum(axis=1) - 2 * query @ gallery.T
    distances: NDArray[np.float64] = np.sqrt(squares.clip(min=0))
    return -distances


def _unit(features: NDArray[Any], key: str, task: Task) -> NDArray[Any]:
    length = np.linalg.norm(features, axis=1, keepdims=True)
    if not length.all():
        raise DataError(f"{task.path}: row {int(np.argmin(length)) + 1} of {key} is zero and has no direction")
    unit: NDArray[Any] = features / length
    return unit
