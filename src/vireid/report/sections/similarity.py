"""How scores of one person and of two people lie, by modality and by camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vireid.evaluation.open_set import Comparisons, auc
from vireid.report.blocks import Block, Drawing, Section, Table
from vireid.report.material import Material
from vireid.report.plots import step_plot
from vireid.types import Modality

__all__ = ["Histogram", "camera_pairs", "histogram", "modality_pairs", "similarity"]

_BINS = 60
_DRAWN = 6  # camera pairs that get a drawing
_MOST = 2000  # pictures of a modality that are compared with each other

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts (B,) of pairs of one person and of two people between `edges` (B + 1,)."""

    edges: FloatArray
    same: IntArray
    different: IntArray


def similarity(run: Material) -> Section:
    """Histograms by modality; the hardest pairs of cameras drawn, all of them in a table."""
    blocks: list[Block] = [_drawing(name, pairs, _area(pairs)) for name, pairs in modality_pairs(run).items()]
    cameras = camera_pairs(run)
    areas = {name: _area(pairs) for name, pairs in cameras.items()}
    hardest = sorted(cameras, key=lambda name: np.nan_to_num(areas[name], nan=2.0))  # those without one come last
    blocks += [_drawing(name, cameras[name], areas[name]) for name in hardest[:_DRAWN]]
    rows = [_row(name, cameras[name], areas[name]) for name in hardest]
    columns = ["cameras", "pairs of one person", "pairs of two", "median score, one person", "two", "AUC, %"]
    caption = "Permitted pairs of the first trial by camera of query and gallery, the hardest first."
    return Section("Scores of the same and of different people", [*blocks, Table(caption, columns, rows)])


def histogram(pairs: Comparisons) -> Histogram:
    """Over the whole range of the scores."""
    parts = pairs.genuine, pairs.impostor
    least, most = min(part.min() for part in parts if len(part)), max(part.max() for part in parts if len(part))
    (same, edges), (different, _) = (np.histogram(part, _BINS, (float(least), float(most))) for part in parts)
    return Histogram(edges, same, different)


def modality_pairs(run: Material) -> dict[str, Comparisons]:
    """Query with gallery as the protocol permits it; and within each modality every two pictures of its test.

    Of more than 2,000 pictures of a modality so many are drawn.
    """
    sides = f"{run.protocol.query_modality} query, {run.protocol.gallery_modality} gallery"
    found = {sides: run.comparisons}
    rows = np.union1d(run.trial.query, run.trial.gallery)
    modality = run.dataset.images["modality"].to_numpy()[rows]
    rng = np.random.default_rng(run.seed)
    for one in Modality:
        mine = rows[modality == one]
        if len(mine) > _MOST:
            mine = np.sort(rng.choice(mine, _MOST, replace=False))
        if len(mine) > 1:
            upper = np.triu_indices(len(mine), 1)
            scores, same = run.scores_of(mine, mine)[upper], _same(run, mine, mine)[upper]
            found[f"{one} with {one}"] = Comparisons(genuine=scores[same], impostor=scores[~same])
    return found


def camera_pairs(run: Material) -> dict[str, Comparisons]:
    """Permitted pairs of the first trial by camera of the query and of the gallery picture."""
    query, gallery = run.trial.query, run.trial.gallery
    same, permitted, found = _same(run, query, gallery), ~run.trial.invalid, {}
    for one in np.unique(run.camera[query]):
        for other in np.unique(run.camera[gallery]):
            block = np.ix_(run.camera[query] == one, run.camera[gallery] == other)
            scores, own, there = run.scores[block], same[block], permitted[block]
            if there.any():
                pairs = Comparisons(genuine=scores[own & there], impostor=scores[~own & there])
                found[f"camera {one} with {other}"] = pairs
    return found


def _same(run: Material, query: IntArray, gallery: IntArray) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = run.identity[query][:, None] == run.identity[gallery]
    return found


def _row(name: str, pairs: Comparisons, area: float) -> list[str]:
    sides = pairs.genuine, pairs.impostor
    return [name, *(f"{len(side):,}" for side in sides), *map(_median, sides), _told(area)]


def _drawing(name: str, pairs: Comparisons, area: float) -> Drawing:
    found = histogram(pairs)
    series = {"one person": _percent(found.same), "two people": _percent(found.different)}
    told = f"{len(pairs.genuine):,} pairs of one person, {len(pairs.impostor):,} of two"
    alt = f"Histogram of scores, {name}. Medians: one person {_median(pairs.genuine)}, two {_median(pairs.impostor)}."
    svg = step_plot(found.edges, series, x="score", y="% of pairs", alt=alt)
    return Drawing(svg, f"{name}: {told}; AUC {_told(area)} %.")


def _percent(counts: IntArray) -> FloatArray:
    found: FloatArray = 100 * counts / max(1, int(counts.sum()))
    return found


def _area(pairs: Comparisons) -> float:
    return auc(pairs.genuine, pairs.impostor)


def _told(share: float) -> str:
    return "-" if np.isnan(share) else f"{100 * share:.2f}"


def _median(scores: FloatArray) -> str:
    return f"{np.median(scores):.3f}" if len(scores) else "-"
