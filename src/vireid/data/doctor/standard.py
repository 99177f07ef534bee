"""What a data set is measured against: the published one, or what it states of itself."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from vireid.data.counts import EXPECTED_FILE, Counts, Expected, official_counts, official_pictures, read_expected
from vireid.data.doctor.findings import Finding, error
from vireid.data.synthetic.presets import PRESETS
from vireid.errors import DataError

__all__ = ["Standard", "read_standard"]

_RENDERED = re.compile(r"vireid-synthetic-[a-z]+-([a-z]+)-seed\d+")


@dataclass(frozen=True, kw_only=True)
class Standard:
    """layout: `sysu`, `regdb` or `llcm`. expected: the set's own statement, if there is one that can be read.

    official: the set has to be the published one. counts: what must be found; None where nobody says.
    """

    layout: str
    expected: Expected | None
    official: bool
    counts: Counts | None

    @property
    def version(self) -> str:
        """As in the data set's fingerprint; `unknown` where the set's own statement cannot be read."""
        if self.expected:
            return self.expected.version
        return "official" if self.official else "unknown"

    @property
    def published_names(self) -> bool:
        """Whether files must be called as in the published set: there, and in rendered sets, which copy it."""
        return self.official or (self.expected is not None and self.expected.synthetic)

    @cached_property
    def sightings(self) -> pd.DataFrame:
        """Published number of pictures per split, modality, camera and identity; empty unless `official`."""
        table = official_pictures(self.layout)
        return table[table["split"] != "unlisted"] if self.official else table.iloc[:0]

    def identities(self, split: str) -> list[int]:
        """The published identities of a split, ascending; empty unless `official`."""
        table = self.sightings
        return sorted(set(table["identity"][table["split"] == split].tolist()))

    def at_least(self, split: str) -> int:
        """How many identities a split must have at least, as far as it is known."""
        known = self.identities(split)
        counted = [count.identities for place, count in (self.counts or {}).items() if place.split == split]
        return len(known) or max(counted, default=0)

    @property
    def rendered_size(self) -> tuple[int, int] | None:
        """(height, width) of every picture of a rendered benchmark, which its name tells; None for other sets."""
        named = _RENDERED.match(self.expected.name) if self.expected and self.expected.synthetic else None
        preset = PRESETS.get(named[1]) if named else None
        return preset.size if preset else None

    @property
    def one_cue(self) -> bool:
        """Whether the pictures were rendered to show one cue alone, without the colours of a whole picture."""
        return self.expected is not None and "only" in self.expected.stated


def read_standard(root: Path, layout: str) -> tuple[Standard, list[Finding]]:
    """The standard for a set in `root`; a finding if its own statement cannot be read."""
    try:
        expected = read_expected(root, layout)
    except DataError as problem:
        finding = error(
            "layout.expected",
            found=str(problem),
            expected=f"{EXPECTED_FILE} as the set's author wrote it, or none",
            cause=f"{EXPECTED_FILE} was edited, cut off, or belongs to another set",
            remedy=f"restore {EXPECTED_FILE} from where the set comes from; remove it from a copy of the published set",
        )
        return Standard(layout=layout, expected=None, official=False, counts=None), [finding]
    counts = official_counts(layout) if expected is None else expected.table()
    return Standard(layout=layout, expected=expected, official=expected is None, counts=counts), []
