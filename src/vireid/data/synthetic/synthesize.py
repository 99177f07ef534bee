"""Synthetic data sets in the official layouts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vireid.data.synthetic.cues import Only
from vireid.data.synthetic.engine import SynthesisReport, produce
from vireid.data.synthetic.knockouts import NOTHING_OUT, Knockouts
from vireid.data.synthetic.plan import Plan
from vireid.data.synthetic.plan_llcm import plan_llcm
from vireid.data.synthetic.plan_regdb import plan_regdb
from vireid.data.synthetic.plan_sysu import plan_sysu
from vireid.data.synthetic.presets import LAYOUTS, PRESETS
from vireid.errors import UsageError, choose
from vireid.types import Track, untracked

__all__ = ["BenchmarkSettings", "synthesize"]

PLANNERS = {"sysu": plan_sysu, "regdb": plan_regdb, "llcm": plan_llcm}


@dataclass(frozen=True, kw_only=True)
class BenchmarkSettings:
    """What decides the bytes of a benchmark set."""

    layout: str
    preset: str
    seed: int
    knockouts: Knockouts = NOTHING_OUT
    only: Only | None = None

    def __post_init__(self) -> None:
        choose(self.layout, LAYOUTS, "layout")
        choose(self.preset, PRESETS, "preset")
        if self.seed < 0:
            raise UsageError(f"the seed is {self.seed}; it must be 0 or more")

    @property
    def size(self) -> tuple[int, int]:
        return PRESETS[self.preset].size

    def plan(self) -> Plan:
        return PLANNERS[self.layout](PRESETS[self.preset], self.seed)

    def head(self) -> dict[str, Any]:
        name = f"vireid-synthetic-{self.layout}-{self.preset}-seed{self.seed}"
        head = {"dataset": self.layout, "seed": self.seed, "knockouts": self.knockouts.model_dump()}
        if self.only is None:
            return {"name": name} | head
        return {"name": f"{name}-only-{self.only}", "only": str(self.only)} | head


def synthesize(
    out: Path,
    *,
    layout: str,
    preset: str,
    seed: int,
    workers: int = 1,
    knockouts: Knockouts = NOTHING_OUT,
    only: str | None = None,
    track: Track = untracked,
) -> SynthesisReport:
    """Render a synthetic data set in an official layout.

    An interrupted call leaves whole pictures; the same call goes on where it stopped. `expected.json` is written last
    and marks a finished set, of which nothing is rendered again.

    Args:
        out: folder of the set; new, empty, or holding the same set, finished or not.
        layout: `sysu`, `regdb` or `llcm`.
        preset: `tiny`, `demo`, `study` or `full`.
        seed: any number from 0.
        workers: processes; more than one need a main module that can be imported without starting anew.
        knockouts: causes to take out.
        only: `background`, `head` or `silhouette`: the same scenes, of which the pictures show this alone.
        track: shows progress over pictures.

    Raises:
        UsageError: unknown layout, preset or cue, or `out` holds something else.
    """
    cue = None if only is None else Only(choose(only, list(Only), "cue"))
    settings = BenchmarkSettings(layout=layout, preset=preset, seed=seed, knockouts=knockouts, only=cue)
    return produce(settings, out, workers=workers, track=track)
