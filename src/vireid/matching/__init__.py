"""Comparing embeddings: matchers, exact top-K, re-ranking. Nothing here needs torch."""

from vireid.matching.base import Dot, Matcher, create_matcher
from vireid.matching.reranking import KReciprocal, k_reciprocal
from vireid.matching.topk import best_of, top_k

__all__ = ["Dot", "KReciprocal", "Matcher", "best_of", "create_matcher", "k_reciprocal", "top_k"]
