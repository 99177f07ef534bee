"""A recipe: everything a training run is, in one complete YAML file and nothing inherited."""

from __future__ import annotations

import difflib
import hashlib
import math
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, field_validator, model_validator

from vireid.data.transforms import Augmentation
from vireid.errors import RecipeError, UsageError, choose
from vireid.files import digest_of
from vireid.methods import method_class, names
from vireid.methods.bundle import Preprocessing
from vireid.options import Options, parse

__all__ = ["DataChoice", "Optimiser", "Phase", "Recipe", "Schedule", "load_recipe", "recipe_names", "recipe_text"]

DataKind = Literal["sysu", "regdb", "llcm", "manifest", "folders"]


class DataChoice(Options):
    """Which data is trained on."""

    kind: DataKind
    root: Path | None = Field(None, description="folder of the data set; given on the command line: data.root=PATH")
    protocol: str | None = Field(None, description="protocol whose training split is used; default: the data set's")
    held_out: float = Field(
        0.0, ge=0.0, lt=1.0, description="share of training identities kept out, to select the best epoch on them"
    )
    validate_every: int = Field(10, ge=1, description="epochs between two validations on the identities held out")
    cache: Literal["auto", "packed", "none"] = Field(
        "auto",
        description="packed: decode and scale every picture once, into the cache folder; none: at every reading; "
        "auto: packed where the run reads each picture ten times or more",
    )


class BatchShape(Options):
    """The global batch, over all processes: P identities, each with K pictures of a modality."""

    identities: int = Field(ge=2)
    visible: int = Field(ge=0)
    infrared: int = Field(ge=0)


class Optimiser(Options):
    kind: Literal["sgd", "heavy-ball", "adam", "adamw"] = Field(
        description="sgd: with Nesterov's momentum; heavy-ball: SGD with the classical one"
    )
    rate: float = Field(gt=0.0, description="base learning rate; a method's parameter groups multiply it")
    weight_decay: float = Field(5e-4, ge=0.0)
    momentum: float = Field(0.9, ge=0.0, lt=1.0, description="SGD's momentum, or Adam's first beta")


class Schedule(Options):
    """Learning rate over a phase, as a pure function of the progress in epochs."""

    warmup_epochs: float = Field(0.0, ge=0.0, description="linear rise from a tenth of the rate")
    kind: Literal["constant", "steps", "cosine"] = "constant"
    milestones: dict[int, float] = Field({}, description="steps: from this epoch on, this multiple of the rate")
    final: float = Field(0.0, ge=0.0, lt=1.0, description="cosine: multiple of the rate that it ends at")

    @model_validator(mode="after")
    def _consistent(self) -> Schedule:
        if bool(self.milestones) != (self.kind == "steps"):
            raise ValueError("milestones belong to kind: steps, which needs them")
        if self.final and self.kind != "cosine":
            raise ValueError("final belongs to kind: cosine")
        return self

    def factor(self, epoch: float, epochs: int) -> float:
        """Multiple of the base rate at `epoch` (fractional within an epoch) of a phase of `epochs`."""
        if epoch < self.warmup_epochs:
            return 0.1 + 0.9 * epoch / self.warmup_epochs
        if self.kind == "cosine":
            done = min(1.0, (epoch - self.warmup_epochs) / (epochs - self.warmup_epochs))
            return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * done))
        passed = [start for start in self.milestones if epoch >= start]
        return self.milestones[max(passed)] if passed else 1.0


class Phase(Options):
    """One phase of training; a recipe lists exactly the phases its method names, in order."""

    name: str
    epochs: int = Field(ge=1)
    optimiser: Optimiser
    schedule: Schedule = Schedule()

    @model_validator(mode="after")
    def _fits(self) -> Phase:
        if self.schedule.warmup_epochs >= self.epochs:
            raise ValueError(f"schedule.warmup_epochs must be below epochs ({self.epochs})")
        return self


class Recipe(Options):
    """All of a run: method and options, data, pictures, batches, phases, numerics."""

    method: str
    options: dict[str, Any] = Field({}, description="the method's own options: `vireid methods show NAME`")
    start: str = Field(description="start weights: none, stand-in, imagenet, or a .safetensors file")
    data: DataChoice
    image: Preprocessing
    augmentation: Augmentation
    batch: BatchShape
    phases: tuple[Phase, ...] = Field(min_length=1)
    steps_per_epoch: int | None = Field(None, ge=1, description="default: enough to see the larger modality once")
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    seed: int = Field(0, ge=0)
    workers: int = Field(2, ge=0, description="processes that read pictures ahead")
    checkpoint_every: int = Field(200, ge=1, description="steps between two checkpoints (one ends every epoch too)")
    synchronise_batch_norm: bool = Field(True, description="batch statistics over all processes")

    @field_validator("method")
    @classmethod
    def _exists(cls, value: str) -> str:
        try:
            return choose(value, names(), "method")
        except UsageError as error:
            raise ValueError(str(error)) from None

    @property
    def supervised(self) -> bool:
        """Whether the method is trained with identities; otherwise none reaches it."""
        return method_class(self.method).supervised

    def method_options(self) -> Options:
        """The method's options, checked; the mistakes carry the path `options`."""
        return parse(method_class(self.method).Options, self.options, where="recipe", prefix="options.")

    def resolved(self) -> dict[str, Any]:
        """Every value spelt out, as plain YAML values; the data's folder is absolute."""
        plain = self.model_dump(mode="json")
        plain["options"] = self.method_options().model_dump(mode="json")
        if self.data.root is not None:
            plain["data"]["root"] = str(self.data.root.absolute())
        return plain

    @property
    def digest(self) -> str:
        """SHA-256 of what decides the result: start weights by content, nothing of where the data lies."""
        plain = self.resolved()
        for key in ("root", "cache"):
            plain["data"].pop(key)
        if Path(self.start).is_file():
            plain["start"] = hashlib.sha256(Path(self.start).read_bytes()).hexdigest()
        for key in ("workers", "checkpoint_every"):
            plain.pop(key)
        return digest_of(plain)


def recipe_names() -> list[str]:
    """Names of the recipes shipped with vireid."""
    return sorted(Path(str(item)).stem for item in files("vireid.recipes").iterdir() if item.name.endswith(".yaml"))


def recipe_text(name: str) -> str:
    """Text of a shipped recipe.

    Raises:
        UsageError: there is no recipe of that name.
    """
    return (
        files("vireid.recipes").joinpath(choose(name, recipe_names(), "recipe") + ".yaml").read_text(encoding="utf-8")
    )


def load_recipe(source: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a shipped recipe by name, or a YAML file, and apply `key=value` overrides.

    Dots reach into sections (`data.root=PATH`); a key that is no field of a recipe is an option of the method
    (`triplet=squared`). Values are read as YAML.

    Raises:
        RecipeError: all mistakes at once, each with its path. UsageError: no such recipe.
    """
    path = Path(source)
    text = path.read_text(encoding="utf-8") if path.is_file() else recipe_text(str(source))
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{source}: not readable as YAML: {error}") from None
    if not isinstance(values, dict):
        raise RecipeError(f"{source}: a recipe is a mapping of names to values, not {type(values).__name__}")
    problems = []
    for override in overrides:
        try:
            _override(values, override)
        except UsageError as error:
            problems.append(str(error))
    recipe = None
    try:
        recipe = parse(Recipe, values, where=str(source))
    except RecipeError as error:
        problems.append(str(error))
    try:
        _check_method(recipe, values, str(source))
    except RecipeError as error:
        problems.append(str(error))
    if recipe is None or problems:
        raise RecipeError("\n".join(problems))
    return recipe


def _override(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise UsageError(f"cannot read {override!r}; write KEY=VALUE, for example data.root=PATH or seed=1")
    parts = key.split(".")
    if parts[0] not in Recipe.model_fields:
        known = sorted([*Recipe.model_fields, *_option_names(values)])
        if parts[0] not in known:
            near = difflib.get_close_matches(parts[0], known, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UsageError(f"{override!r}: {parts[0]!r} is neither part of a recipe nor an option{hint}")
        parts.insert(0, "options")
    target: Any = values
    for part in parts[:-1]:
        target = _step(target, part, override)
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise UsageError(f"{override!r}: {text!r} is not a YAML value") from None
    if isinstance(target, list):
        target[_index(target, parts[-1], override)] = value
    else:
        target[parts[-1]] = value


def _option_names(values: dict[str, Any]) -> list[str]:
    method = str(values.get("method"))
    return list(method_class(method).Options.model_fields) if method in names() else []


def _step(target: Any, part: str, override: str) -> Any:
    if isinstance(target, list):
        return target[_index(target, part, override)]
    if target.get(part) is None:
        target[part] = {}
    if not isinstance(target[part], dict | list):
        raise UsageError(f"{override!r}: {part!r} is a value, not a section")
    return target[part]


def _index(target: list[Any], part: str, override: str) -> int:
    """Position in a list by number, or by the `name` of its items (phases)."""
    labels = [
        str(item.get("name", place)) if isinstance(item, dict) else str(place) for place, item in enumerate(target)
    ]
    if part in labels:
        return labels.index(part)
    if part.isdecimal() and int(part) < len(target):
        return int(part)
    raise UsageError(f"{override!r}: no entry {part!r} (allowed: {', '.join(labels)})")


def _check_method(recipe: Recipe | None, values: dict[str, Any], where: str) -> None:
    """Options and phases are the method's; the options also where the rest of the recipe has mistakes."""
    method = values.get("method")
    if method not in names():
        return  # said by the recipe itself
    options = parse(method_class(method).Options, values.get("options") or {}, where=where, prefix="options.")
    expected, given = method_class(method).phases(options), tuple(p.name for p in recipe.phases) if recipe else None
    if given is not None and given != expected:
        raise RecipeError(f"{where}: phases: {method} trains {list(expected)}, in this order, not {list(given)}")
