"""What an evaluation found: figures over trials, and per query what later statistics need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vireid.evaluation.open_figures import OpenSetFigures, open_set_json
from vireid.evaluation.open_set import OpenSet
from vireid.evaluation.ranking import RankingResult
from vireid.matching import KReciprocal, best_of

__all__ = ["METRICS", "Cascade", "EvaluationResult", "Recall", "TrialResult", "metric_label"]

METRICS = ("rank1", "rank5", "rank10", "rank20", "mAP", "mINP")


def metric_label(metric: str) -> str:
    """A metric as people write it: `rank-1`, `mAP`."""
    return metric.replace("rank", "rank-")


@dataclass(frozen=True, kw_only=True)
class Recall:
    """How much a first stage passed on, in counts.

    valid: queries with a correct picture; answered: those with one among their K candidates. correct: pairs of a query
    and a correct picture; passed: those among the candidates.
    """

    valid: int
    answered: int
    correct: int
    passed: int

    @classmethod
    def of(
        cls,
        scores: NDArray[Any],
        query_ids: NDArray[Any],
        gallery_ids: NDArray[Any],
        *,
        invalid: NDArray[np.bool_],
        k: int,
    ) -> "Recall":
        """Of scores (Q, G) whose K first valid pictures are the candidates."""
        candidates = best_of(scores, k, invalid=invalid)[0]
        hits = ((gallery_ids[candidates] == query_ids[:, None]) & (candidates >= 0)).sum(axis=1)
        correct = ((gallery_ids == query_ids[:, None]) & ~invalid).sum(axis=1)
        return cls(
            valid=int((correct > 0).sum()),
            answered=int((hits > 0).sum()),
            correct=int(correct.sum()),
            passed=int(hits.sum()),
        )

    @classmethod
    def total(cls, parts: "Sequence[Recall]") -> "Recall":
        return cls(
            valid=sum(part.valid for part in parts),
            answered=sum(part.answered for part in parts),
            correct=sum(part.correct for part in parts),
            passed=sum(part.passed for part in parts),
        )

    def shares(self) -> dict[str, float]:
        """Percent of valid queries, and of correct pictures."""
        return {"queries": 100 * self.answered / self.valid, "pictures": 100 * self.passed / self.correct}


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """One trial. query and gallery are rows of the image table; the ranking's arrays follow the query rows."""

    index: int
    query: NDArray[np.int64]
    gallery: NDArray[np.int64]
    ranking: RankingResult
    recall: Recall | None = None
    open_set: OpenSetFigures | None = None

    def metrics(self) -> dict[str, float]:
        """The figures of this trial, in percent."""
        ranks = {f"rank{r}": 100 * float(self.ranking.cmc[r - 1]) for r in (1, 5, 10, 20)}
        return {**ranks, "mAP": 100 * self.ranking.mAP, "mINP": 100 * self.ranking.mINP}


@dataclass(frozen=True, kw_only=True)
class Cascade:
    """A first stage that passes on `k` candidates; `equals_full` says that its ranking is the full one."""

    k: int
    equals_full: bool


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """The trials of a protocol.

    mode is how the ranking was had: `full`, or `cascade:K`. A cascade that cannot differ from the full ranking,
    because the matcher's lift is exact or K covers every gallery, is called `full`.
    """

    protocol: str
    fingerprint: Mapping[str, Any]
    mode: str
    trials: tuple[TrialResult, ...]
    cascade: Cascade | None = None
    rerank: KReciprocal | None = None
    open_set: OpenSet | None = None

    def to_json(self) -> dict[str, Any]:
        """Means over trials in percent, `std` with one degree of freedom less (None for a single trial)."""
        table = {name: [trial.metrics()[name] for trial in self.trials] for name in METRICS}
        values: dict[str, Any] = {
            "protocol": self.protocol,
            "fingerprint": dict(self.fingerprint),
            "mode": self.mode,
            "trials": len(self.trials),
            **{name: float(np.mean(column)) for name, column in table.items()},
            "std": {name: float(np.std(column, ddof=1)) if len(column) > 1 else None for name, column in table.items()},
            "queries": [len(trial.query) for trial in self.trials],
            "valid_queries": [int(trial.ranking.valid.sum()) for trial in self.trials],
            "gallery": [len(trial.gallery) for trial in self.trials],
        }
        if self.cascade is not None:
            shares = [trial.recall.shares() for trial in self.trials if trial.recall is not None]
            values["cascade"] = {
                "k": self.cascade.k,
                "first_stage_recall": {
                    name: float(np.mean([share[name] for share in shares])) for name in ("queries", "pictures")
                },
                "equals_full": self.cascade.equals_full,
            }
        if self.rerank is not None:
            values["rerank"] = self.rerank.to_json()
        if self.open_set is not None:
            values["open_set"] = open_set_json(self.open_set, [t.open_set for t in self.trials if t.open_set])
        return values
