"""The page of a calibration: what scores mean, how well that holds on people it was not fitted on, and thresholds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vireid.evaluation.open_figures import GALLERY_SIZES
from vireid.files import write_text
from vireid.matching.calibration import (
    PairCalibration,
    ScoredPairs,
    expected_false_matches,
    expected_number,
    isotonic_llr,
)
from vireid.report.blocks import Block, Drawing, Facts, Section, Table, Text
from vireid.report.page import render
from vireid.report.plots import line_plot
from vireid.training.calibrating import Calibrated

__all__ = ["thresholds_of", "write_calibration_report"]

FloatArray = NDArray[np.float64]

_RATIOS = (1, 10, 100, 1_000, 10_000)
_POINTS = 400  # of a curve

_MEANING = (
    "A log-likelihood ratio (llr) says how much likelier a score is if two pictures show one person than if they show "
    "two: 0 says nothing, 2.3 ten times, 4.6 a hundred times, a negative one speaks for two people. Cllr is what they "
    "cost: 0 bits where they are perfect, 1 where they say nothing. Cllr and the plots are of people that the map was "
    "not fitted on, by folds; intervals hold 95 % and come of drawing people anew."
)
_RELIABLE = (
    "What was said against what was found (the best monotone map of these very pairs, by pool adjacent violators). "
    "Below the diagonal the ratios speak for one person more than they should. The ends rest on few pairs."
)
_TIPPETT = (
    "Share of the pairs that reach a log-likelihood ratio. At 0 the curve of one person should still be near 100 %, "
    "that of two people near 0."
)


def write_calibration_report(made: Calibrated, out: Path, *, title: str, command: str = "") -> None:
    """Write the page, one self-contained HTML file."""
    calibration, names = made.calibration, list(made.calibration.pairs)
    told: list[Block] = [Text(_MEANING), _figures(made)]
    if calibration.missing:
        told.append(Text("; ".join(f"{name} is not calibrated: {why}" for name, why in calibration.missing.items())))
    sections = [
        Section("What scores mean", told),
        Section("Reliability", [Text(_RELIABLE), *(_reliability(name, made.llr[name]) for name in names)]),
        Section("Tippett plots", [Text(_TIPPETT), *(_tippett(name, made.llr[name]) for name in names)]),
        Section("Error trade-off", [_trade_off(made)]),
        Section("Thresholds", [_thresholds(name, calibration.pairs[name], made.llr[name]) for name in names]),
        Section("Who it was made on", [_origin(made, command)]),
    ]
    note = f"Calibrated on {len(calibration.identities)} people that were not trained on."
    write_text(out, render(title=title, note=note, sections=sections))


def thresholds_of(found: PairCalibration, llr: ScoredPairs) -> list[dict[str, Any]]:
    """For ratios of 1 to 10,000: the llr, shares of pairs of one person and of two that reach it, false matches."""
    return [
        {
            "llr": float(np.log(ratio)),
            "true_match_rate": float(np.mean(llr.genuine >= np.log(ratio))),
            "false_match_rate": float(found.false_match_rate(np.log(ratio))),
            **{
                f"false_matches_in_{size}": float(
                    expected_false_matches({"gallery": size}, {"gallery": found}, np.log(ratio))
                )
                for size in GALLERY_SIZES
            },
        }
        for ratio in _RATIOS
    ]


def _figures(made: Calibrated) -> Table:
    columns = ["query with gallery", "llr", "people", "pairs of one", "pairs of two", "Cllr", "least Cllr", "EER, %"]
    rows = [
        [
            name,
            f"{found.slope:.2f} x score {found.intercept:+.2f}",
            f"{found.identities}",
            f"{found.genuine_pairs:,}",
            f"{found.impostor_pairs:,}",
            f"{found.cllr:.3f} ({found.cllr_interval[0]:.3f} to {found.cllr_interval[1]:.3f})",
            f"{found.min_cllr:.3f}",
            f"{100 * found.equal_error_rate:.1f}",
        ]
        for name, found in made.calibration.pairs.items()
    ]
    caption = "Least Cllr is what the order of the scores makes unavoidable; what Cllr exceeds it by is miscalibration."
    return Table(caption, columns, rows)


def _reliability(name: str, llr: ScoredPairs) -> Drawing:
    said, found = isotonic_llr(llr.genuine, llr.impostor)
    finite = np.isfinite(found)
    said, found = said[finite], found[finite]
    ends = np.array([min(said.min(), found.min()), max(said.max(), found.max())])
    series = {"found": _thinned(said, found), "as said": (ends, ends)}
    alt = f"Log-likelihood ratios that were found against those said, {name}, with the diagonal."
    svg = line_plot(series, x="llr as said", y="llr found", alt=alt)
    return Drawing(svg, f"{name}: {len(llr.genuine):,} pairs of one person, {len(llr.impostor):,} of two.")


def _tippett(name: str, llr: ScoredPairs) -> Drawing:
    series = {
        "one person": _thinned(*_reaching(llr.genuine)),
        "two people": _thinned(*_reaching(llr.impostor)),
    }
    misled = [100 * float(np.mean(part)) for part in (llr.genuine < 0, llr.impostor > 0)]
    alt = f"Share of pairs that reach a log-likelihood ratio, {name}."
    svg = line_plot(series, x="llr", y="% of pairs that reach it", alt=alt, from_zero=True)
    told = f"{name}: {misled[0]:.1f} % of the pairs of one person speak for two, {misled[1]:.1f} % of two for one."
    return Drawing(svg, told)


def _trade_off(made: Calibrated) -> Drawing:
    series = {}
    for name, llr in made.llr.items():
        thresholds, matched = _reaching(llr.impostor)
        missed = 100 * np.searchsorted(np.sort(llr.genuine), thresholds) / len(llr.genuine)
        series[name] = _thinned(matched, missed)
    alt = "Missed pairs of one person against matching pairs of two, by pair of modalities."
    svg = line_plot(series, x="% of pairs of two people that match", y="% of one missed", alt=alt, log_x=True)
    return Drawing(svg, "Errors of a threshold on the log-likelihood ratio, of people that the map was not fitted on.")


def _thresholds(name: str, found: PairCalibration, llr: ScoredPairs) -> Table:
    columns = ["llr", "times likelier", "pairs of one found, %", "pairs of two that match, %"]
    columns += [f"false in {size:,}" for size in GALLERY_SIZES]
    rows = [
        [
            f"{row['llr']:.1f}",
            f"{ratio:,}",
            f"{100 * row['true_match_rate']:.1f}",
            expected_number(100 * row["false_match_rate"]),
            *(expected_number(row[f"false_matches_in_{size}"]) for size in GALLERY_SIZES),
        ]
        for ratio, row in zip(_RATIOS, thresholds_of(found, llr), strict=True)
    ]
    return Table(f"{name}: false matches that one search of so many pictures is expected to give.", columns, rows)


def _origin(made: Calibrated, command: str) -> Block:
    calibration = made.calibration
    values = {
        "data": f"{calibration.dataset}, {calibration.people}",
        "people": f"{len(calibration.identities)}",
        "pictures": f"at most {calibration.pictures} of a person before a camera, seed {calibration.seed}",
        "pairs left out": f"two pictures of one place, whoever they show ({calibration.rule})",
        "model": calibration.bundle[:16],
        "calibration": calibration.digest[:16],
        "vireid": calibration.vireid,
        "made": calibration.created,
    }
    return Facts("", values | ({"command": command} if command else {}))


def _reaching(llr: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Ratios, falling, and the percentage that reaches each."""
    return np.sort(llr)[::-1], 100 * np.arange(1, len(llr) + 1) / len(llr)


def _thinned(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """At most 400 points, more of them at the ends, where few pairs are."""
    if len(x) <= _POINTS:
        return x, y
    half = np.geomspace(1, len(x) / 2, _POINTS // 2)
    places = np.unique(np.concatenate([half, len(x) + 1 - half]).round().astype(int)) - 1
    return x[places], y[places]
