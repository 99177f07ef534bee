"""Searches whose hits carry log-likelihood ratios, by which pictures of both modalities stand in one list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vireid.errors import UsageError
from vireid.gallery.filters import allows
from vireid.gallery.ranking import first_of_groups, rank_entries
from vireid.gallery.results import Hit
from vireid.gallery.store import Filters, GalleryStore
from vireid.matching import Matcher
from vireid.matching.calibration import Calibration, PairCalibration, expected_false_matches, pair_name
from vireid.types import Embeddings, Modality

__all__ = ["Aim", "aim_at", "rank_aimed"]


@dataclass(frozen=True, kw_only=True)
class Aim:
    """What one search looks at, and what its scores are worth.

    filters: with the modalities that are searched. counts: pictures of each that match. note: what the searcher should
    know of how they were chosen. calibrations: by modality; empty where scores are ranked as they are.
    """

    filters: Filters
    counts: Mapping[str, int]
    note: str
    calibrations: Mapping[str, PairCalibration] = field(default_factory=dict)

    def false_matches(self, llr: float) -> float | None:
        """Pictures of other people that are expected at or above `llr`; None where that is not known."""
        return float(expected_false_matches(self.counts, self.calibrations, llr)) if self.calibrations else None


def aim_at(
    store: GalleryStore, side: Modality | None, filters: Filters, calibration: Calibration | None, *, lacking: str
) -> Aim:
    """Choose the modalities that queries of modality `side` (None: unknown) are compared with.

    What the filters say counts. Otherwise it is everything where the model is calibrated for it, else the other
    modality alone: scores within a modality are higher than across, and would fill the first ranks.

    lacking: why there is no calibration, where there is none.
    """
    held = _counts(store, {}, [str(modality) for modality in Modality])
    stated = "modality" in filters
    chosen = [modality for modality in held if not stated or allows(filters["modality"], modality)]
    worth = {m: found for m in chosen if calibration and side and (found := calibration.of(side, m))}
    note = ""
    if side and len(chosen) > 1 and len(worth) < len(chosen):
        why = f"scores cannot be ranked together: {lacking if calibration is None else _gap(side, chosen, worth)}"
        if stated:
            note = f"the {side} pictures are likely to come first, since {why}"
        else:
            note = (
                f"searched the {held[side.other]} {side.other} pictures; the {held[side]} {side} ones are left out "
                f"unless a filter on modality asks for them, since {why}"
            )
            chosen = [str(side.other)]
    elif side and not stated and chosen == [str(side)]:
        note = f"the gallery holds {side} pictures only, as the query is: this is no search across modalities"
    complete = all(modality in worth for modality in chosen)
    return Aim(
        filters=filters if stated or len(chosen) == len(held) else {**filters, "modality": chosen},
        counts=_counts(store, filters, chosen),
        note=note,
        calibrations={modality: worth[modality] for modality in chosen} if complete else {},
    )


def rank_aimed(
    store: GalleryStore,
    matcher: Matcher,
    queries: Embeddings[Any],
    aim: Aim,
    *,
    top: int,
    min_llr: float | None = None,
    group: str | None = None,
    together: bool = False,
) -> tuple[str, list[tuple[Hit, ...]]]:
    """As `rank_entries`; by log-likelihood ratio, and no hit below `min_llr`, where the aim is calibrated.

    Within a modality the ratio rises with the score, so that its order is the scores'. With `together` it is that of
    the mean score, though calibrated on scores of single pictures.

    Raises:
        UsageError: a least ratio, and no calibration.
    """
    if not aim.counts:
        return "full", [() for _ in range(1 if together else len(queries))]
    if not aim.calibrations:
        if min_llr is not None:
            raise UsageError("min_llr needs a calibrated model and a query of known modality; run `vireid calibrate`")
        return rank_entries(store, matcher, queries, top=top, filters=aim.filters, group=group, together=together)
    found: list[list[Hit]] = [[] for _ in range(1 if together else len(queries))]
    for modality, calibration in aim.calibrations.items():
        narrowed = {**aim.filters, "modality": [modality]}
        mode, ranked = rank_entries(store, matcher, queries, top=top, filters=narrowed, group=group, together=together)
        for place, hits in enumerate(ranked):
            found[place] += [replace(hit, llr=float(calibration.llr(hit.score))) for hit in hits]
    return mode, [_merged(hits, aim, top, min_llr, group) for hits in found]


def _merged(hits: list[Hit], aim: Aim, top: int, min_llr: float | None, group: str | None) -> tuple[Hit, ...]:
    ordered = sorted(hits, key=lambda hit: -(hit.llr or 0.0))
    if group:
        ordered = [ordered[place] for place in first_of_groups([hit.value(group) for hit in ordered])]
    return tuple(
        replace(hit, rank=rank, false_matches=aim.false_matches(hit.llr))
        for rank, hit in enumerate(ordered[:top], start=1)
        if hit.llr is not None and (min_llr is None or hit.llr >= min_llr)
    )


def _gap(side: Modality, chosen: Sequence[str], worth: Mapping[str, PairCalibration]) -> str:
    lacking = next(modality for modality in chosen if modality not in worth)
    return f"the model's calibration has no {pair_name(side, lacking)}"


def _counts(store: GalleryStore, filters: Filters, modalities: Sequence[str]) -> dict[str, int]:
    counts = {modality: store.count({**filters, "modality": [modality]}) for modality in modalities}
    return {modality: count for modality, count in counts.items() if count}
