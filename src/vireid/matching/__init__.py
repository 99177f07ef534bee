"""Comparing embeddings: matchers, exact top-K, re-ranking. Nothing here needs torch."""

from vireid.matching.base import Dot, Matcher
from vireid.matching.modulated import ModulatedCosine, ModulatedEuclidean, ModulatedPartCosine, modulated_distances
from vireid.matching.pairs import PairNetworkMatcher
from vireid.matching.registry import create_matcher, is_registered
from vireid.matching.reranking import KReciprocal, k_reciprocal
from vireid.matching.target_aware import TargetAware, TargetAwareMutual
from vireid.matching.topk import best_of, top_k

__all__ = [
    "Dot",
    "KReciprocal",
    "Matcher",
    "ModulatedCosine",
    "ModulatedEuclidean",
    "ModulatedPartCosine",
    "PairNetworkMatcher",
    "TargetAware",
    "TargetAwareMutual",
    "best_of",
    "create_matcher",
    "is_registered",
    "k_reciprocal",
    "modulated_distances",
    "top_k",
]
