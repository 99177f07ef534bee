"""What an audit measures: one figure, and the band it is wanted in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

__all__ = ["CHANCE_SPREADS", "Finding", "pooled"]

CHANCE_SPREADS = 3.0
"""A figure is above chance if it exceeds the mean of relabelled people by so many standard deviations."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One measured figure.

    name: what was measured; the same in every seed. value: the figure. unit: %, points, bits or nothing.
    low, high: limits of the wanted band, both met when equalled; None is no limit. Without limits the figure only
    informs. chance: the figure with people relabelled at random, once per draw; it then sets the upper limit.
    note: what a reader must know to judge the figure.
    """

    name: str
    value: float
    unit: str = "%"
    low: float | None = None
    high: float | None = None
    chance: tuple[float, ...] = ()
    note: str = ""

    @property
    def limit(self) -> float | None:
        """Upper limit: the stated one, or what chance explains."""
        if not self.chance:
            return self.high
        return float(np.mean(self.chance) + CHANCE_SPREADS * np.std(self.chance))

    @property
    def judged(self) -> bool:
        return self.low is not None or self.limit is not None

    @property
    def met(self) -> bool:
        """Whether the figure lies in its band; a figure that is not a number does not."""
        if not self.judged:
            return True
        high = self.limit
        return math.isfinite(self.value) and not (
            (self.low is not None and self.value < self.low) or (high is not None and self.value > high)
        )

    @property
    def wanted(self) -> str:
        """The band in words."""
        unit = f" {self.unit}" if self.unit else ""
        if self.chance:
            return f"chance: at most {self.limit:.1f}{unit} (mean {np.mean(self.chance):.1f})"
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}{unit}"
        if self.low is not None:
            return f"at least {self.low:g}{unit}"
        return f"at most {self.high:g}{unit}" if self.high is not None else "for information"

    def to_json(self) -> dict[str, Any]:
        """Plain values; not-a-number becomes None."""
        values = asdict(self)
        values["value"] = self.value if math.isfinite(self.value) else None
        values["chance"] = [round(float(value), 4) for value in self.chance]
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Finding:
        number = values["value"]
        return cls(**(values | {"value": math.nan if number is None else number, "chance": tuple(values["chance"])}))


def pooled(findings: Sequence[Finding]) -> Finding:
    """The mean of one figure over seeds, in the band of their mean; draws of chance are averaged one by one."""
    first = findings[0]
    chance = tuple(float(x) for x in np.mean([f.chance for f in findings], axis=0)) if first.chance else ()
    limits = {
        name: float(np.mean([getattr(f, name) for f in findings])) if getattr(first, name) is not None else None
        for name in ("low", "high")
    }
    return Finding(
        name=first.name,
        value=float(np.mean([f.value for f in findings])),
        unit=first.unit,
        chance=chance,
        note=first.note if len({f.note for f in findings}) == 1 else f"first seed: {first.note}",
        **limits,
    )
