"""What one seed's audit works on: sets that are rendered when they are first asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vireid.data import Dataset, open_dataset
from vireid.data.synthetic import synthesize
from vireid.types import Say, Track, silent, untracked

__all__ = ["Subject"]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One seed of one preset, below `folder`. changes: `key=value` for the recipe of all trained parts."""

    folder: Path
    preset: str
    seed: int
    workers: int = 1
    changes: tuple[str, ...] = ()
    device: str | None = None
    track: Track = untracked
    say: Say = silent

    def data(self, cue: str | None = None) -> Dataset:
        """The set in the layout of SYSU-MM01, or the one that shows a cue alone; rendered if it is not there."""
        root = self.folder / ("data" if cue is None else f"data-{cue}")
        synthesize(
            root,
            layout="sysu",
            preset=self.preset,
            seed=self.seed,
            workers=self.workers,
            only=cue,
            track=self.track,
        )
        return open_dataset("sysu", root)
