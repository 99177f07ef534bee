"""What the trained baselines show: convergence, the gap to the ceiling, and effects known from real data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vireid.evaluation.samples import Sample
from vireid.evaluation.statistics import difference
from vireid.study.acceptance.findings import Finding

__all__ = ["baseline_findings", "comparison", "cue_share", "effect_findings"]

Raw = Mapping[str, Any]
DEFAULT, INDOOR, MULTI, SAME = "all-single-agw", "indoor-single-agw", "all-multi-agw", "visible-to-visible"

CONVERGED = 1.0
"""Points of mAP that the last fifth of training may still gain."""
HEADROOM = 20.0
RANK1_BAND = (25.0, 75.0)
CUE_SHARE = 40.0
CLOSE = 5.0
"""Points by which single-shot rank-1 and mAP may differ; AGW and CAJ differ by 0 to 3 on the real set."""
FAR_ABOVE = 15.0
MINP_SHARE = (0.70, 0.85)
DRAWS = 4000


def baseline_findings(agw: Raw, ceiling: float) -> list[Finding]:
    """One seed's converged baseline against the oracle's mAP `ceiling`."""
    figures = agw["protocols"][DEFAULT]
    gain = figures["mAP"] - agw["early"]["mAP"]
    told = f"{agw['early']['epochs']} of {agw['epochs']} epochs: mAP {agw['early']['mAP']:.1f} %"
    return [
        Finding(name="agw, rank-1", value=figures["rank1"], low=RANK1_BAND[0], high=RANK1_BAND[1]),
        Finding(name="agw, mAP", value=figures["mAP"], note=f"mINP {figures['mINP']:.1f} %"),
        Finding(name="mAP that the last fifth of training gains", value=gain, unit="points", high=CONVERGED, note=told),
        Finding(
            name="oracle's mAP above agw's",
            value=ceiling - figures["mAP"],
            unit="points",
            low=HEADROOM,
            note=f"oracle {ceiling:.1f} %",
        ),
    ]


def effect_findings(agw: Raw) -> list[Finding]:
    """One seed's effects within the baseline."""
    of = agw["protocols"]
    single, indoor, multi, same = (of[name] for name in (DEFAULT, INDOOR, MULTI, SAME))
    ratio = single["mINP"] / single["mAP"] if single["mAP"] else float("nan")
    rows: list[tuple[str, float, str, float | None, float | None]] = [
        ("rank-1 and mAP differ, single-shot", abs(single["rank1"] - single["mAP"]), "points", None, CLOSE),
        ("mINP over mAP", ratio, "", *MINP_SHARE),
        ("indoor above all, rank-1", indoor["rank1"] - single["rank1"], "points", 0.0, None),
        ("indoor above all, mAP", indoor["mAP"] - single["mAP"], "points", 0.0, None),
        ("multi-shot above single-shot, rank-1", multi["rank1"] - single["rank1"], "points", 0.0, None),
        ("multi-shot above single-shot, mAP", multi["mAP"] - single["mAP"], "points", None, 0.0),
        (
            "visible-to-visible above infrared-to-visible, rank-1",
            same["rank1"] - single["rank1"],
            "points",
            FAR_ABOVE,
            None,
        ),
    ]
    return [Finding(name=n, value=v, unit=u, low=low, high=high) for n, v, u, low, high in rows]


def cue_share(agw: Raw, cue: Raw, name: str) -> Finding:
    """mAP of the baseline trained on one cue as a share of the full one's."""
    full, alone = agw["protocols"][DEFAULT]["mAP"], cue["mAP"]
    return Finding(
        name=f"{name} only, trained network, share of the full baseline's mAP",
        value=100 * alone / full if full else float("nan"),
        high=CUE_SHARE,
        note=f"mAP {alone:.1f} % against {full:.1f} %",
    )


def comparison(name: str, better: Sequence[Raw], worse: Sequence[Raw], *, clearly: bool) -> list[Finding]:
    """mAP of one baseline above another's over all seeds, and the lower end of its 95 % interval.

    Every seed has people of its own, so identities are drawn anew within a seed, paired, and seeds above them. One
    seed alone says nothing of other seeds. clearly: the lower end, too, must be above zero.
    """
    found = [
        difference(_sample(a), _sample(b), resamples=DRAWS, seed=place)
        for place, (a, b) in enumerate(zip(better, worse, strict=True))
    ]
    low, high = np.quantile(_nested([each.draws for each in found]), (0.025, 0.975)).tolist()
    value = float(np.mean([each.value for each in found]))
    note = f"95 % interval {low:.1f} to {high:.1f} over identities of {len(found)} seed{'s' * (len(found) > 1)}"
    end = Finding(name=f"{name}, mAP, lower end", value=low, unit="points", low=0.0 if clearly else None, note=note)
    return [Finding(name=f"{name}, mAP", value=value, unit="points", low=0.0, note=note), end]


def _sample(raw: Raw) -> Sample:
    sums = raw["sums"]
    return Sample(
        identities=np.array(sums["identities"], np.int64),
        total=np.array(sums["total"], np.float64)[None],
        count=np.array(sums["count"], np.float64)[None],
    )


def _nested(draws: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Draws of the mean over seeds: seeds drawn with replacement, within each a draw of its own."""
    rng = np.random.default_rng(0)
    stacked = np.stack(draws)
    seeds = rng.integers(len(stacked), size=(len(stacked), stacked.shape[1]))
    within = rng.integers(stacked.shape[1], size=seeds.shape)
    mean: NDArray[np.float64] = stacked[seeds, within].mean(axis=0)
    return mean
