"""Strict, typed options: what they share, and how their mistakes are told, all at once and each with its path."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from vireid.errors import RecipeError

__all__ = ["Options", "parse"]

OptionsT = TypeVar("OptionsT", bound="Options")


class Options(BaseModel):
    """Base of every options class: unknown names are refused, values are frozen, defaults are checked too."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def parse(model: type[OptionsT], values: Mapping[str, Any], *, where: str, prefix: str = "") -> OptionsT:
    """Build `model` from plain values; `where` (a file or command) begins each message, `prefix` each path.

    Raises:
        RecipeError: one line per mistake: `where: path: what is wrong (value)`.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        lines = [_tell(model, problem, f"{where}: {prefix}") for problem in error.errors(include_url=False)]
        raise RecipeError("\n".join(lines)) from None


def _tell(model: type[BaseModel], problem: Any, where: str) -> str:
    path = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        allowed = _fields_at(model, problem["loc"][:-1])
        near = difflib.get_close_matches(str(problem["loc"][-1]), allowed, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return f"{where}{path}: no such option; {hint}(allowed: {', '.join(allowed)})"
    if problem["type"] == "missing":
        return f"{where}{path}: is required"
    if problem["type"] == "value_error":  # our own validators say the value themselves
        return f"{where}{path}: {problem['ctx']['error']}"
    return f"{where}{path}: {problem['msg']}, not {problem['input']!r}"


def _fields_at(model: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    """Field names of the model that stands at `loc` below `model`."""
    current: Any = model
    for part in loc:
        if isinstance(part, int):
            continue
        annotation = current.model_fields[part].annotation if part in current.model_fields else None
        current = _first_model(annotation) or current
    return sorted(current.model_fields)


def _first_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _first_model(argument)
        if found is not None:
            return found
    return None
