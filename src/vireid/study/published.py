"""Published figures of methods, with their sources, and where the shipped recipes depart from what was published.

They are other people's results on other people's machines, and are never ours.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field

from vireid.errors import choose
from vireid.options import Options, parse

__all__ = ["Departure", "Published", "PublishedFigures", "published", "published_names"]

Kind = Literal["sysu", "regdb", "llcm"]


class PublishedFigures(Options):
    """One row of a published table, in percent. Over the splits of RegDB the protocol is the direction alone."""

    protocol: str
    source: str = Field(description="where the figures stand")
    rank1: float | None = None
    rank5: float | None = None
    rank10: float | None = None
    rank20: float | None = None
    mAP: float | None = None  # noqa: N815 - the field's spelling
    mINP: float | None = None  # noqa: N815

    def metrics(self) -> dict[str, float]:
        """The figures that were published."""
        return {name: value for name, value in self.model_dump().items() if isinstance(value, float)}


class Departure(Options):
    """Something that the paper or its code does, and vireid does otherwise."""

    what: str
    paper: str
    here: str
    kinds: tuple[Kind, ...] = Field((), description="data sets that it matters for; none: all")
    applies: Literal["training", "both"] = Field("training", description="both: also where a released model is tested")


class Published(Options):
    """What is known of a published method. recipe: the shipped recipes are `RECIPE-KIND`."""

    title: str
    paper: str
    method: str
    recipe: str
    figures: dict[Kind, tuple[PublishedFigures, ...]] = Field({}, description="rows of published tables")
    deviations: tuple[Departure, ...] = ()

    def of(self, kind: str, protocol: str) -> PublishedFigures | None:
        """The published row for a data set and protocol."""
        rows = next((rows for name, rows in self.figures.items() if name == kind), ())
        return next((row for row in rows if row.protocol == protocol), None)

    def departures(self, kind: str, *, trained: bool) -> list[Departure]:
        """Departures that matter for a data set, where vireid trained the model or only tests it."""
        return [
            one
            for one in self.deviations
            if (not one.kinds or kind in one.kinds) and (trained or one.applies == "both")
        ]


def published_names() -> list[str]:
    """Names of the methods whose published figures are known."""
    folder = files("vireid.study") / "papers"
    return sorted(Path(str(item)).stem for item in folder.iterdir() if item.name.endswith(".yaml"))


def published(name: str) -> Published:
    """What is known of a published method.

    Raises:
        UsageError: nothing is known of a method of that name.
    """
    choose(name, published_names(), "published method")
    text = (files("vireid.study") / "papers" / f"{name}.yaml").read_text(encoding="utf-8")
    return parse(Published, yaml.safe_load(text), where=f"papers/{name}.yaml")
