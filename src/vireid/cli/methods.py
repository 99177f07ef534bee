"""`vireid methods`: what there is to train, and what its options mean."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vireid.cli.output import Json, print_json, print_table, say

if TYPE_CHECKING:
    from pydantic import BaseModel

app = typer.Typer(help="List the methods and explain their options.", no_args_is_help=True)


@app.command("list")
def list_methods(as_json: Json = False) -> None:
    """List all methods.

    Example: vireid methods list
    """
    from vireid.methods import method_class, names

    found = {name: method_class(name).title for name in names()}
    if as_json:
        print_json(found)
    else:
        print_table(("method", "what it is"), found.items())


@app.command("show")
def show(name: Annotated[str, typer.Argument(help="Name of a method.")], as_json: Json = False) -> None:
    """Explain a method and its options.

    Example: vireid methods show agw
    """
    from vireid.methods import method_class

    method = method_class(name)
    schema: dict[str, Any] = method.Options.model_json_schema()
    if as_json:
        print_json({"name": name, "title": method.title, "options": schema})
        return
    rows = list(_rows(method.Options, schema, schema.get("$defs", {})))
    print_table(("option", "allowed", "default", "meaning"), rows, title=f"{name}: {method.title}")
    first, field = next(iter(method.Options.model_fields.items()))
    say(f"set one on the command line: vireid train {name}-demo {first}={field.default}")


def _rows(
    model: type[BaseModel], schema: dict[str, Any], models: dict[str, Any], prefix: str = ""
) -> Iterator[tuple[str, str, str, str]]:
    """One row for each option, those of a nested section below it."""
    from vireid.options import Options

    for key, field in model.model_fields.items():
        inner, entry = field.annotation, schema["properties"][key]
        if isinstance(inner, type) and issubclass(inner, Options):
            yield f"{prefix}{key}", "", "", field.description or ""
            yield from _rows(inner, models[inner.__name__], models, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _allowed(entry), repr(field.default), field.description or ""


def _allowed(entry: dict[str, Any]) -> str:
    if "enum" in entry:
        return " | ".join(map(str, entry["enum"]))
    bounds = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    limits = [f"{sign} {entry[key]}" for key, sign in bounds.items() if key in entry]
    return " ".join([str(entry.get("type", "section")), ", ".join(limits)]).strip()
