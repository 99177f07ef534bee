"""Ranking metrics and the evaluator. Nothing here needs torch."""

from vireid.evaluation.dropin import eval_llcm, eval_regdb, eval_sysu
from vireid.evaluation.evaluator import evaluate
from vireid.evaluation.external import evaluate_files
from vireid.evaluation.open_set import OpenSet
from vireid.evaluation.ranking import RankingResult, rank
from vireid.evaluation.results import EvaluationResult

__all__ = [
    "EvaluationResult",
    "OpenSet",
    "RankingResult",
    "eval_llcm",
    "eval_regdb",
    "eval_sysu",
    "evaluate",
    "evaluate_files",
    "rank",
]
