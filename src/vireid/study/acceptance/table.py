"""The audit as a table: figures of all seeds pooled, judged, and put under the heading they belong to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vireid.study.acceptance.effects import baseline_findings, comparison, cue_share, effect_findings
from vireid.study.acceptance.findings import Finding, pooled
from vireid.study.acceptance.parts import CUES, Measured

__all__ = ["COLUMNS", "Row", "Table", "assemble"]

COLUMNS = ("item", "wanted", "measured", "per seed", "verdict", "note")
TITLES: Mapping[str, str] = {
    "shortcuts": "Shortcuts: unlearned features",
    "metadata": "Shortcuts: file metadata",
    **{f"{learner}-{cue}": "Shortcuts: one cue alone" for cue in CUES for learner in ("xqda", "network")},
    "oracle": "Ceiling and baseline",
    "agw": "Ceiling and baseline",
    "effects": "Effects known from real data",
    "start": "The untrained start",
    "exceptions": "Places that do tell",
    "population": "People and sightings",
    "bytes": "The same seed, the same bytes",
}
"""Heading of every part, in the order of the table."""

Seeds = Mapping[int, Mapping[str, Measured]]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One item: its figure over all seeds, and each seed's."""

    title: str
    finding: Finding
    seeds: tuple[float, ...]

    @property
    def verdict(self) -> str:
        if not self.finding.judged:
            return ""
        return "met" if self.finding.met else "NOT met"

    def cells(self) -> list[str]:
        """As text, in the order of `COLUMNS`."""
        finding = self.finding
        unit = f" {finding.unit}" if finding.unit else ""
        several = ", ".join(_number(value) for value in self.seeds) if len(self.seeds) > 1 else ""
        return [finding.name, finding.wanted, f"{_number(finding.value)}{unit}", several, self.verdict, finding.note]

    def to_json(self) -> dict[str, Any]:
        """Plain values; the draws of chance are told by the limit they set."""
        finding = self.finding
        value = finding.value if math.isfinite(finding.value) else None
        return {
            "section": self.title,
            "item": finding.name,
            "wanted": finding.wanted,
            "low": finding.low,
            "high": finding.limit,
            "value": value,
            "unit": finding.unit,
            "seeds": [each if math.isfinite(each) else None for each in self.seeds],
            "met": finding.met if finding.judged else None,
            "note": finding.note,
        }


@dataclass(frozen=True, kw_only=True)
class Table:
    """All rows, under their headings in order; `missing` are parts that some seed has not measured."""

    rows: tuple[Row, ...]
    missing: tuple[str, ...]

    @property
    def judged(self) -> int:
        return sum(row.finding.judged for row in self.rows)

    @property
    def unmet(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if not row.finding.met)

    @property
    def accepted(self) -> bool:
        """Everything measured, and everything met."""
        return not self.missing and not self.unmet

    def summary(self) -> str:
        """How many items are met, in a sentence."""
        told = f"{self.judged - len(self.unmet)} of {self.judged} items met"
        return f"{told}; not measured: {', '.join(self.missing)}" if self.missing else told

    def markdown(self) -> str:
        """One table per heading."""
        lines: list[str] = []
        title = None
        for row in self.rows:
            if row.title != title:
                title = row.title
                lines += ["", f"**{title}**", "", f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
            lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in row.cells())} |")
        return "\n".join([self.summary() + ".", *lines]) + "\n"


def assemble(seeds: Seeds, parts: Iterable[str]) -> Table:
    """Judge what is measured; items that compare parts are computed where every seed has those parts."""
    rows: list[Row] = []
    grouped: dict[str, list[tuple[str, Sequence[Finding]]]] = {}
    for part in parts:
        own = [seeds[seed][part].findings for seed in seeds if part in seeds[seed]]
        grouped.setdefault(part, []).extend(_by_name(own))
    for part, found in _derived(seeds).items():
        grouped.setdefault(part, []).extend(found)
    for part, title in TITLES.items():
        for _, each in grouped.get(part, ()):
            rows.append(Row(title=title, finding=pooled(each), seeds=tuple(f.value for f in each)))
    missing = tuple(part for part in parts if any(part not in measured for measured in seeds.values()))
    return Table(rows=tuple(rows), missing=missing)


def _by_name(seeds: Sequence[Sequence[Finding]]) -> list[tuple[str, Sequence[Finding]]]:
    """Findings of the same name of all seeds, in the order of the first."""
    named: dict[str, list[Finding]] = {}
    for findings in seeds:
        for finding in findings:
            named.setdefault(finding.name, []).append(finding)
    return list(named.items())


def _derived(seeds: Seeds) -> dict[str, list[tuple[str, Sequence[Finding]]]]:
    raw = {part: _raws(seeds, part) for part in ("agw", "caj", "caj-no-erasing", "oracle", "network-silhouette")}
    found: dict[str, list[tuple[str, Sequence[Finding]]]] = {}
    if raw["agw"] and raw["oracle"]:
        pairs = zip(raw["agw"], raw["oracle"], strict=True)
        found["agw"] = _by_name([baseline_findings(agw, oracle["mAP"]) for agw, oracle in pairs])
    if raw["agw"]:
        found["effects"] = _by_name([effect_findings(agw) for agw in raw["agw"]])
        found["exceptions"] = _by_name([[Finding.from_json(agw["location"])] for agw in raw["agw"]])
    if raw["agw"] and raw["network-silhouette"]:
        pairs = zip(raw["agw"], raw["network-silhouette"], strict=True)
        found["network-silhouette"] = _by_name([[cue_share(agw, cue, "silhouette")] for agw, cue in pairs])
    for name, better, worse, clearly in (
        ("CAJ above AGW", "caj", "agw", True),
        ("erasing helps: CAJ above CAJ without erasing", "caj", "caj-no-erasing", False),
    ):
        if raw[better] and raw[worse]:
            compared = comparison(name, raw[better], raw[worse], clearly=clearly)
            found.setdefault("effects", []).extend((each.name, [each]) for each in compared)
    return found


def _raws(seeds: Seeds, part: str) -> list[Mapping[str, Any]]:
    """Values of a part by seed; none unless every seed has them."""
    found = [measured[part].raw for measured in seeds.values() if part in measured]
    return found if len(found) == len(seeds) else []


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "none"
    return f"{value:.0f}" if value == round(value) and abs(value) < 1000 else f"{value:.2f}"
