"""What indexing and searching answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

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
    """A picture of the gallery that a search found. `rank` counts from 1; a higher score is better."""

    rank: int
    score: float
    path: str
    modality: str
    camera: int | str | None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> Any:
        """The identity where it is known, else None."""
        return self.metadata.get("identity")

    @property
    def box(self) -> str | None:
        """Which part of the picture at `path` was indexed, `x,y,width,height`; None for all of it."""
        return self.metadata.get("box")


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """The ranked answer to one picture.

    query: its path, or what stands for one. searched: the modalities that were searched. note: what the searcher should
    know of how that was chosen. mode: `full`, or `cascade:K` where the K first of a first stage were rescored.
    picture: what was searched with (path, bytes or array); None for a bare vector. restricted: contact sheets leave the
    pictures out unless told otherwise.
    """

    query: str
    modality: str | None
    searched: tuple[str, ...]
    mode: str
    note: str
    hits: tuple[Hit, ...]
    picture: Any = field(default=None, repr=False, compare=False)
    restricted: bool = False

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
            "hits": [asdict(hit) for hit in self.hits],
        }
