"""CMC and ROC of all runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vireid.evaluation.open_set import auc
from vireid.report.blocks import Drawing, Section
from vireid.report.material import Material, each
from vireid.report.plots import line_plot

__all__ = ["cmc_of", "curves", "roc_of"]

_RANKS = 20
_POINTS = 300  # of a drawn ROC curve

FloatArray = NDArray[np.floating[Any]]


def curves(runs: Sequence[Material]) -> Section:
    """Both curves, one line a run."""
    ranks = np.arange(1, _RANKS + 1)
    cmc = {run.name: (ranks, 100 * cmc_of(run)) for run in runs}
    roc = {run.name: (100 * fpr, 100 * tpr) for run in runs for fpr, tpr, _ in (roc_of(run),)}
    ends = each({name: f"{y[0]:.1f} % at rank 1, {y[-1]:.1f} % at rank {_RANKS}" for name, (_, y) in cmc.items()})
    areas = each({run.name: f"{100 * _area(run):.2f} %" for run in runs})
    return Section(
        "Curves",
        [
            Drawing(
                line_plot(cmc, x="rank", y="queries answered, %", alt=f"CMC curve. {ends}."),
                f"CMC, mean over trials. Counted among {_counted(runs[0])}. {ends}.",
            ),
            Drawing(
                line_plot(roc, x="false-positive rate, %", y="true-positive rate, %", alt=f"ROC. {areas}.", log_x=True),
                f"ROC of single pairs of pictures, first trial. Area under the curve: {areas}.",
            ),
        ],
    )


def cmc_of(run: Material) -> FloatArray:
    """(20,) share of valid queries answered at each rank, mean over trials."""
    found: FloatArray = np.mean([np.asarray(trial.ranking.cmc)[:_RANKS] for trial in run.result.trials], axis=0)
    return found


def roc_of(run: Material) -> tuple[FloatArray, FloatArray, FloatArray]:
    """FPR, TPR and threshold at a few hundred points of the ROC curve, even on a logarithmic axis of FPR; FPR rises."""
    impostor, genuine = np.sort(run.comparisons.impostor), np.sort(run.comparisons.genuine)
    count = len(impostor)
    matching = np.unique(np.rint(np.geomspace(1, count, _POINTS)).astype(np.int64))
    thresholds = impostor[count - matching]
    fpr, tpr = (1 - np.searchsorted(scores, thresholds) / max(1, len(scores)) for scores in (impostor, genuine))
    return fpr, tpr, thresholds


def _area(run: Material) -> float:
    return auc(run.comparisons.genuine, run.comparisons.impostor)


def _counted(run: Material) -> str:
    return "people, each at the best picture" if run.protocol.cmc == "identity" else "pictures"
