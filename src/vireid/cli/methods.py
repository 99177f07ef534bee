"""`vireid methods`: what there is to train, and what its options mean."""

from typing import Annotated, Any

import typer

from vireid.cli.output import Json, print_json, print_table, say

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
    fields = method.Options.model_fields
    rows = [(key, _allowed(schema, key), repr(field.default), field.description or "") for key, field in fields.items()]
    print_table(("option", "allowed", "default", "meaning"), rows, title=f"{name}: {method.title}")
    say(f"set one on the command line: vireid train {name}-demo {rows[0][0]}={fields[rows[0][0]].default}")


def _allowed(schema: dict[str, Any], name: str) -> str:
    entry = schema["properties"][name]
    if "enum" in entry:
        return " | ".join(map(str, entry["enum"]))
    bounds = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    limits = [f"{sign} {entry[key]}" for key, sign in bounds.items() if key in entry]
    return " ".join([str(entry.get("type", "section")), ", ".join(limits)]).strip()
