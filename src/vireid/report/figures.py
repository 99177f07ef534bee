"""How measured figures are told to people; the command line and the report use the same words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vireid.evaluation.results import METRICS

__all__ = ["cells_of", "counts_of", "ranking_of"]


def ranking_of(figure: Mapping[str, Any]) -> str:
    """How the ranking was had: its mode, and the re-ranking with its parameters where there was one."""
    rerank = figure.get("rerank")
    if rerank is None:
        return str(figure["mode"])
    parameters = ", ".join(f"{name}={value}" for name, value in rerank.items() if name != "name")
    return f"{figure['mode']}, re-ranked ({rerank['name']}: {parameters})"


def cells_of(figure: Mapping[str, Any], *, digits: int) -> dict[str, tuple[str, str]]:
    """Every metric with its mean over trials and its standard deviation (`-` for a single trial), in percent."""
    return {
        name: (f"{figure[name]:.{digits}f}", "-" if spread is None else f"{spread:.{digits}f}")
        for name in METRICS
        for spread in (figure["std"][name],)
    }


def counts_of(figure: Mapping[str, Any]) -> dict[str, str]:
    """Pictures searched with and in, least to most over trials."""
    return {
        "queries": _range(figure["queries"]),
        "of these valid (with a correct picture)": _range(figure["valid_queries"]),
        "gallery pictures": _range(figure["gallery"]),
    }


def _range(counts: list[int]) -> str:
    least, most = min(counts), max(counts)
    return str(least) if least == most else f"{least} to {most}"
