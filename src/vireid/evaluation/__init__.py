"""Ranking metrics and the evaluator. Nothing here needs torch."""

from vireid.evaluation.evaluator import evaluate
from vireid.evaluation.ranking import RankingResult, rank
from vireid.evaluation.results import EvaluationResult

__all__ = ["EvaluationResult", "RankingResult", "evaluate", "rank"]
