"""What a page is built of: plain values that the template knows how to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from markupsafe import Markup

__all__ = ["Bar", "Block", "Drawing", "Facts", "Hit", "Listing", "Picture", "Ranking", "Section", "Table", "Text"]


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class Facts:
    """Names and values."""

    kind: ClassVar[str] = "facts"
    title: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class Listing:
    """Text that is kept as it is, folded away until it is asked for."""

    kind: ClassVar[str] = "listing"
    title: str
    text: str


@dataclass(frozen=True)
class Bar:
    """A cell of a table that is drawn as well as written; share: 0 to 1."""

    share: float
    text: str


@dataclass(frozen=True)
class Table:
    """Cells after the first `names` columns are numbers."""

    kind: ClassVar[str] = "table"
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | Bar]]
    names: int = 1


@dataclass(frozen=True)
class Drawing:
    """SVG of our own making, which carries its alternative text."""

    kind: ClassVar[str] = "drawing"
    svg: Markup
    caption: str


@dataclass(frozen=True)
class Picture:
    """A data URL, or the reason why there is none; width and height in pixels."""

    url: str = ""
    problem: str = ""
    width: int = 0
    height: int = 0


@dataclass(frozen=True)
class Hit:
    """One picture of a ranked list. right is None for the query itself."""

    picture: Picture
    identity: str
    about: str
    right: bool | None = None


@dataclass(frozen=True)
class Ranking:
    """A query and what was found, best first."""

    kind: ClassVar[str] = "ranking"
    title: str
    query: Hit
    hits: Sequence[Hit]


Block: TypeAlias = Text | Facts | Listing | Table | Drawing | Ranking


@dataclass(frozen=True)
class Section:
    """A part of the page under a heading."""

    title: str
    blocks: Sequence[Block]

    @property
    def anchor(self) -> str:
        return "-".join("".join(c if c.isalnum() else " " for c in self.title.lower()).split())

    @property
    def drawings(self) -> list[Drawing]:
        return [block for block in self.blocks if isinstance(block, Drawing)]
