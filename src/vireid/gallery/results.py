"""What indexing and searching answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from vireid.matching.calibration import expected_number

__all__ = ["Broken", "Hit", "IndexReport", "SearchResult"]


@dataclass(frozen=True)
class Broken:
    """A picture that could not be read."""

    path: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class IndexReport:
    """What became of the pictures.

    added: embedded now. updated: known by content, with a new path or new metadata. unchanged: known already.
    duplicates: the same bytes as a picture before them in this run; one entry stands for both.
    refused: deleted from the gallery before, and not to come back.
    ignored: files that are no pictures, by suffix.
    """

    added: int
    updated: int
    unchanged: int
    duplicates: int
    refused: int
    ignored: Mapping[str, int]
    broken: tuple[Broken, ...]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A picture of the gallery that a search found. `rank` counts from 1; a higher score is better.

    llr: natural log-likelihood ratio of one person against two; false_matches: how many pictures of other people are
    expected to reach it in what was searched. None where the model is not calibrated.
    """

    rank: int
    score: float
    path: str
    modality: str
    camera: int | str | None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    llr: float | None = None
    false_matches: float | None = None

    @property
    def identity(self) -> Any:
        """The identity where it is known, else None."""
        return self.metadata.get("identity")

    @property
    def box(self) -> str | None:
        """Which part of the picture at `path` was indexed, `x,y,width,height`; None for all of it."""
        return self.metadata.get("box")

    def value(self, column: str) -> Any:
        """What is known in a column of the gallery; None where nothing is."""
        own = {"path": self.path, "modality": self.modality, "camera": self.camera}
        return own[column] if column in own else self.metadata.get(column)


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """The ranked answer to one picture.

    query: its path, or what stands for one. searched: the modalities that were searched. note: what the searcher should
    know of how that was chosen. mode: `full`, or `cascade:K` where the K first of a first stage were rescored.
    picture: what was searched with (path, bytes or array); None for a bare vector. restricted: contact sheets leave the
    pictures out unless told otherwise. counts: pictures that match, by modality. calibration: digest of what `llr`
    comes from, empty where there is none. min_llr: the least that was asked for; false_matches: pictures of other
    people that are expected to reach it.
    """

    query: str
    modality: str | None
    searched: tuple[str, ...]
    mode: str
    note: str
    hits: tuple[Hit, ...]
    picture: Any = field(default=None, repr=False, compare=False)
    restricted: bool = False
    counts: Mapping[str, int] = field(default_factory=dict)
    calibration: str = ""
    min_llr: float | None = None
    false_matches: float | None = None

    @property
    def warning(self) -> str:
        """How many of the hits chance alone would give; empty where that is not known."""
        last = self.hits[-1] if self.hits else None
        if self.min_llr is not None and self.false_matches is not None:
            reached, expected = self.min_llr, self.false_matches
        elif last is not None and last.llr is not None and last.false_matches is not None:
            reached, expected = last.llr, last.false_matches
        else:
            return ""
        told = (
            f"in {sum(self.counts.values())} pictures about {expected_number(expected)} of other people are expected "
            f"at a log-likelihood ratio of {reached:.1f} or above"
        )
        first = self.hits[0].false_matches if self.hits else None
        return f"{told}; even the first hit is what chance gives" if first is not None and first >= 1 else told

    def __len__(self) -> int:
        return len(self.hits)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def to_json(self) -> dict[str, Any]:
        """Plain values, the picture left out."""
        return {
            "query": self.query,
            "modality": self.modality,
            "searched": list(self.searched),
            "mode": self.mode,
            "note": self.note,
            "restricted": self.restricted,
            "counts": dict(self.counts),
            "calibration": self.calibration or None,
            "min_llr": self.min_llr,
            "false_matches": self.false_matches,
            "warning": self.warning,
            "hits": [asdict(hit) for hit in self.hits],
        }
