"""The methods by name. A method is a module of this package, or an entry point of the group `vireid.methods`."""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from vireid.errors import UsageError, choose, training_packages
from vireid.options import parse

if TYPE_CHECKING:
    from vireid.methods.base import Method
    from vireid.types import DataInfo

__all__ = ["create", "method_class", "names"]

_SEAMS = {
    "base",
    "bundle",
    "encoder",
    "explain",
    "exported",
    "onnx_encoder",
}  # modules of this package that are not methods


def names() -> list[str]:
    """Names of all methods, in-tree and installed."""
    inside = {module.name for module in pkgutil.iter_modules(__path__)} - _SEAMS
    outside = {entry.name for entry in entry_points(group="vireid.methods")}
    return sorted(inside | outside)


def method_class(name: str) -> type[Method]:
    """The class of a method.

    Raises:
        UsageError: there is no method of that name. MissingExtraError: torch is not installed.
    """
    choose(name, names(), "method")
    outside = {entry.name: entry for entry in entry_points(group="vireid.methods")}
    with training_packages():
        loaded: Any = outside[name].load() if name in outside else import_module(f"vireid.methods.{name}")
    candidates = [loaded] if inspect.isclass(loaded) else vars(loaded).values()
    found: list[Any] = [value for value in candidates if inspect.isclass(value) and vars(value).get("name") == name]
    if len(found) != 1:
        raise UsageError(f"{loaded.__name__} must define one Method with name = {name!r}, found {len(found)}")
    method: type[Method] = found[0]
    return method


def create(name: str, *, data: DataInfo, **options: Any) -> Method:
    """Build an untrained method.

    Raises:
        UsageError: unknown method; RecipeError: options that are not allowed, all at once.
    """
    method = method_class(name)
    return method(parse(method.Options, options, where=f"method {name}"), data)
