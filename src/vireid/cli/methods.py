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
    """Explain a method: what it is, what was published of it, its recipes and options.

    Example: vireid methods show agw
    """
    import inspect

    from vireid.methods import method_class
    from vireid.study.published import published, published_names
    from vireid.training.recipe import load_recipe, recipe_names

    method = method_class(name)
    schema: dict[str, Any] = method.Options.model_json_schema()
    about = inspect.cleandoc(method.__doc__ or "")
    papers = [paper for paper in map(published, published_names()) if paper.method == name]
    recipes = [recipe for recipe in recipe_names() if load_recipe(recipe).method == name]
    if as_json:
        found = [paper.model_dump(mode="json", exclude_none=True, exclude={"method", "deviations"}) for paper in papers]
        print_json(
            {
                "name": name,
                "title": method.title,
                "about": about,
                "published": found,
                "recipes": recipes,
                "options": schema,
            }
        )
        return
    typer.echo(f"{method.title}\n\n{about}\n")
    for paper in papers:
        typer.echo(f"{paper.title}: {paper.paper}\n")
        print_table(
            ("data set", "protocol", "rank-1", "mAP", "source"),
            [
                (kind, row.protocol, _percent(row.rank1), _percent(row.mAP), row.source)
                for kind, rows in paper.figures.items()
                for row in rows
            ],
            title="As published, by its authors or as the source says; not measured by vireid",
        )
        typer.echo()
    rows = list(_rows(method.Options, schema, schema.get("$defs", {})))
    print_table(("option", "default", "meaning"), rows, title="Options")
    typer.echo(f"\nrecipes: {', '.join(recipes) or 'none is shipped'}")
    if recipes:
        first, field = next(iter(method.Options.model_fields.items()))
        say(f"set an option on the command line: vireid train {recipes[0]} {first}={field.default}")


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _rows(
    model: type[BaseModel], schema: dict[str, Any], models: dict[str, Any], prefix: str = ""
) -> Iterator[tuple[str, str, str]]:
    """One row for each option, those of a nested section below it."""
    from vireid.options import Options

    for key, field in model.model_fields.items():
        inner, entry = field.annotation, schema["properties"][key]
        if isinstance(inner, type) and issubclass(inner, Options):
            yield f"{prefix}{key}", "", field.description or ""
            yield from _rows(inner, models[inner.__name__], models, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(field.default), f"{field.description or ''} [{_allowed(entry)}]".strip()


def _allowed(entry: dict[str, Any]) -> str:
    if "enum" in entry:
        return " | ".join(map(str, entry["enum"]))
    bounds = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    limits = [f"{sign} {entry[key]}" for key, sign in bounds.items() if key in entry]
    return " ".join([str(entry.get("type", "section")), ", ".join(limits)]).strip()
