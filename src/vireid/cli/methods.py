"""`vireid methods`: what there is to train, and what its options mean."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vireid.cli.output import Json, print_json, print_table, say

if TYPE_CHECKING:
    from vireid.options import Options

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
    rows = list(_rows(method.Options))
    print_table(("option", "allowed", "default", "meaning"), rows, title=f"{name}: {method.title}")
    first = rows[0][2].strip("'")
    say(f"set one on the command line: vireid train {name}-demo {rows[0][0]}={first}")


def _rows(options: type[Options], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Name, allowed values, default and meaning of every option; those of a section under its name and a dot."""
    from vireid.options import Options

    schema = options.model_json_schema()
    for key, field in options.model_fields.items():
        if inspect.isclass(field.annotation) and issubclass(field.annotation, Options):
            yield from _rows(field.annotation, f"{prefix}{key}.")
        else:
            yield prefix + key, _allowed(schema, key), repr(field.default), field.description or ""


def _allowed(schema: dict[str, Any], name: str) -> str:
    entry = schema["properties"][name]
    if "enum" in entry:
        return " | ".join(map(str, entry["enum"]))
    bounds = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    limits = [f"{sign} {entry[key]}" for key, sign in bounds.items() if key in entry]
    return " ".join([str(entry.get("type", "section")), ", ".join(limits)]).strip()
