"""A study file: the question, the rows that are trained, and the contrasts that are decided before any run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, field_validator, model_validator

from vireid.data.synthetic import LAYOUTS, PRESETS, Knockouts
from vireid.errors import RecipeError, UsageError, choose
from vireid.files import digest_of
from vireid.options import Options, parse
from vireid.study.checks import references
from vireid.training.recipe import DataKind, Recipe, load_recipe

__all__ = [
    "Contrast",
    "Planned",
    "Row",
    "Source",
    "Study",
    "Synthesis",
    "arguments",
    "load_study",
    "recipe_of",
]

Metric = Literal["rank1", "rank5", "rank10", "rank20", "mAP", "mINP"]


class Synthesis(Options):
    """A set to render; see `vireid data synthesize`."""

    layout: str = "sysu"
    preset: str = "study"
    seed: int = Field(0, ge=0)
    knockouts: Knockouts = Knockouts()

    @field_validator("layout", "preset")
    @classmethod
    def _known(cls, value: str, info: Any) -> str:
        try:
            return choose(value, LAYOUTS if info.field_name == "layout" else PRESETS, info.field_name)
        except UsageError as error:
            raise ValueError(str(error)) from None

    @property
    def folder(self) -> str:
        """One name for one set, so that a set is rendered once."""
        out = self.knockouts.model_dump(exclude_defaults=True)
        return f"{self.layout}-{self.preset}-{self.seed}" + (f"-{digest_of(out)[:8]}" if out else "")


class Source(Options):
    """Data: either a set that lies somewhere (`kind` and `root`), or one to render (`synthesize`; `root` if it is to
    lie elsewhere than in the study's folder, to be shared by studies)."""

    kind: DataKind | None = None
    root: Path | None = Field(None, description="folder; relative to the study file")
    synthesize: Synthesis | None = None
    protocols: tuple[str, ...] | None = Field(None, min_length=1, description="default: those of the study")

    @model_validator(mode="after")
    def _one_of_both(self) -> Source:
        if self.synthesize is None and (self.kind is None or self.root is None):
            raise ValueError("give kind and root of a data set, or synthesize")
        if self.synthesize is not None and self.kind is not None:
            raise ValueError("kind is that of synthesize.layout; leave it out")
        return self

    @property
    def layout(self) -> str:
        return self.synthesize.layout if self.synthesize else str(self.kind)


class Row(Options):
    """A configuration: a recipe with changes, trained on every data set and with every seed of the study."""

    recipe: str = Field(description="name of a shipped recipe, or a YAML file; relative to the study file")
    set: dict[str, Any] = Field({}, description="changes to the recipe, after those of the study")
    mode: str = Field("full", pattern=r"^(full|cascade:[1-9][0-9]*)$", description="how it is evaluated")
    data: tuple[str, ...] | None = Field(None, min_length=1, description="default: all data of the study")
    seeds: tuple[int, ...] | None = Field(None, min_length=1, description="default: those of the study")


class Contrast(Options):
    """A comparison that is decided before the runs: `row` against `baseline`.

    direction: what is expected of the metric of `row`: greater, less, or none, which claims that the difference stays
    within +- `margin` percentage points (a module whose cause was taken out).
    """

    row: str
    baseline: str
    metric: Metric = "mAP"
    protocol: str = Field(description="one of the data's protocols; over the splits of RegDB a pattern: split*-v2i")
    data: tuple[str, ...] = Field(min_length=1, description="a data set, or several that are the splits of RegDB")
    direction: Literal["greater", "less", "none"]
    margin: float | None = Field(None, gt=0.0, description="in percentage points")

    @field_validator("data", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _margin_where_needed(self) -> Contrast:
        if (self.direction == "none") != (self.margin is not None):
            raise ValueError("direction: none needs a margin in percentage points, and only it has one")
        if self.row == self.baseline:
            raise ValueError(f"row and baseline are both {self.row!r}")
        return self


class Study(Options):
    """A study file. Names of rows and data become parts of folder names."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    question: str = Field(min_length=1)
    data: dict[str, Source] = Field(min_length=1)
    rows: dict[str, Row] = Field(min_length=1)
    contrasts: dict[str, Contrast] = Field({}, description="none: all that is found is exploratory")
    seeds: tuple[int, ...] = Field(min_length=1)
    protocols: tuple[str, ...] = Field((), description="for all data that do not name their own")
    set: dict[str, Any] = Field({}, description="changes to the recipes of all rows")

    @field_validator("data", "rows")
    @classmethod
    def _names(cls, value: dict[str, Any]) -> dict[str, Any]:
        strange = [name for name in value if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name)]
        if strange:
            raise ValueError(f"{strange[0]!r} cannot be part of a folder's name; use letters, digits, '.', '_', '-'")
        return value

    @field_validator("seeds")
    @classmethod
    def _seeds(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) < len(value) or min(value) < 0:
            raise ValueError(f"seeds must be different numbers from 0, not {list(value)}")
        return value

    def protocols_of(self, data: str) -> tuple[str, ...]:
        return self.data[data].protocols or self.protocols


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One run of a study: a row on data with a seed."""

    row: str
    data: str
    seed: int

    @property
    def name(self) -> str:
        """Of its folder; neither row nor data can hold the sign between them."""
        return f"{self.row}@{self.data}-{self.seed}"


def load_study(path: Path) -> Study:
    """Read a study file, with every recipe that it names.

    Raises:
        UsageError: there is no such file. RecipeError: all mistakes at once, each with its path.
    """
    if not path.is_file():
        raise UsageError(f"there is no study file {path}")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise RecipeError(f"{path}: not readable as YAML: {error}") from None
    if not isinstance(values, dict):
        raise RecipeError(f"{path}: a study is a mapping of names to values, not {type(values).__name__}")
    problems = []
    study = None
    try:
        study = parse(Study, values, where=str(path))
    except RecipeError as error:
        problems.append(str(error))
    problems += [f"{path}: {wrong}" for wrong in references(values)]
    problems += [f"{path}: {wrong}" for wrong in _recipes(study, path.parent)] if study else []
    if study is None or problems:
        raise RecipeError("\n".join(problems))
    return study


def _recipes(study: Study, folder: Path) -> Iterator[str]:
    """What is wrong with the recipes of the rows."""
    for name, row in study.rows.items():
        try:
            recipe_of(study, row, folder)
        except UsageError as error:
            yield from (f"rows.{name}: {line}" for line in str(error).splitlines())


def recipe_of(study: Study, row: Row, folder: Path) -> Recipe:
    """The recipe of a row with its changes; data and seed come on top of it.

    Raises:
        UsageError: no such recipe, wrong values, or changes of what the study sets itself.
    """
    ours = {"seed", "data.root", "data.kind"} & {*study.set, *row.set}
    if ours:
        raise UsageError(f"set: {min(ours)} comes from the study's seeds and data; leave it out")
    return load_recipe(source_of(row, folder), arguments({**study.set, **row.set}))


def source_of(row: Row, folder: Path) -> str:
    """What `vireid train` calls the recipe: a file beside the study, or the name of a shipped one."""
    file = folder / row.recipe
    return str(file) if file.is_file() else row.recipe


def arguments(changes: Mapping[str, Any]) -> list[str]:
    """`KEY=VALUE` words that read as these values again."""
    return [f"{key}={_text(value)}" for key, value in changes.items()]


def _text(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"[\w./-]+", value) and yaml.safe_load(value) == value:
        return value
    return json.dumps(value)
