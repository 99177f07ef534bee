"""Writes docs/reference.md from the code: commands, recipes and options as they are, never by hand.

Usage: python docs/generate_reference.py
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from typer.main import get_command

PAGE = Path(__file__).with_name("reference.md")

EXPLAINED_IN: Mapping[str, str] = {
    "demo": "tutorial.md",
    "data audit-benchmark": "benchmark.md",
    "data doctor": "doctor.md",
    "data show": "data-sets.md",
    "data synthesize": "data-sets.md",
    "pretrain": "training.md",
    "train": "training.md",
    "distill": "distilling.md",
    "evaluate": "protocols.md",
    "report": "report.md",
    "calibrate": "scores.md",
    "compare": "comparing.md",
    "study": "study.md",
    "reproduce": "reproduce.md",
    "import": "importing.md",
    "export": "export.md",
    "index": "own-pictures.md",
    "search": "own-pictures.md",
    "verify": "scores.md",
    "gallery info": "galleries.md",
    "gallery list": "galleries.md",
    "gallery delete": "galleries.md",
    "gallery compact": "galleries.md",
    "gallery migrate": "galleries.md",
    "serve": "service.md",
    "keys create": "service.md",
    "keys list": "service.md",
    "keys revoke": "service.md",
    "audit verify": "operating.md",
    "documents": "operating.md",
    "methods list": "own-method.md",
    "methods show": "own-method.md",
    "recipes list": "training.md",
    "recipes show": "training.md",
}
"""The page that tells how and why each command is used; a new command needs one."""

INTRODUCTION = """# Commands, recipes and options

Written from the code by `python docs/generate_reference.py`; do not edit. The Python interface is [here](api.md).

Exit codes: 0 done, 1 something is wrong (an input, or what was asked about it), 2 wrong use, 130 stopped by Ctrl-C.
Every command has `--help`. Results go to standard output, remarks and progress to standard error.
"""


def commands() -> dict[str, Any]:
    """All commands by their full name, in the order of `vireid --help`."""
    from vireid.cli.app import app

    return dict(_walk(get_command(app), ""))


def _walk(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        full = f"{prefix}{name}"
        if hasattr(command, "commands"):
            yield from _walk(command, f"{full} ")
        else:
            yield full, command


def reference() -> str:
    """The whole page."""
    parts = [INTRODUCTION, *_commands(), *_recipe(), *_methods()]
    return "\n".join(parts).rstrip() + "\n"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines) + "\n"


def _commands() -> Iterator[str]:
    for name, command in commands().items():
        text, *examples = re.split(r"\n\s*Example: ", command.help or "")
        yield f"## vireid {name}\n"
        yield f"{_plain(text)}\n"
        yield "```bash\n" + "\n".join(_plain(example) for example in examples) + "\n```\n"
        rows = [_parameter(parameter) for parameter in command.params if parameter.name != "help"]
        if rows:
            yield _table(("argument or option", "default", "meaning"), rows)
        if name in EXPLAINED_IN and PAGE.with_name(EXPLAINED_IN[name]).is_file():
            yield f"More: [{_title(EXPLAINED_IN[name])}]({EXPLAINED_IN[name]}).\n"


def _plain(text: str) -> str:
    return re.sub(r"\n(?!\n)\s*", " ", text).strip() if "\n\n" not in text else text.strip()


def _parameter(parameter: Any) -> tuple[str, str, str]:
    meaning = parameter.help + (" May be repeated." if parameter.multiple and "repeat" not in parameter.help else "")
    if parameter.param_type_name == "argument":
        words = parameter.metavar or parameter.name.upper()
        return f"`{words}`", "required" if parameter.required else "", meaning
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    if parameter.is_flag:
        chosen = parameter.opts if parameter.default else parameter.secondary_opts
        return names, f"`{chosen[0]}`" if chosen else "", meaning
    default = "" if parameter.default is None else f"`{parameter.default}`"
    return f"{names} {_value_of(parameter)}", "required" if parameter.required else default, meaning


def _value_of(option: Any) -> str:
    """What an option takes, in capitals, with the bounds of a number."""
    if option.metavar:
        return str(option.metavar)
    words = {Path: "PATH", str: "TEXT", int: "INTEGER", float: "NUMBER"}
    kind = option.type_descriptor.annotation
    kinds = [kind, *get_args(kind), *(inner for outer in get_args(kind) for inner in get_args(outer))]
    word = next(words[kind] for kind in kinds if kind in words)
    return f"{word} >= {option.min}" if option.min is not None else word


def _title(page: str) -> str:
    return PAGE.with_name(page).read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")


def _recipe() -> Iterator[str]:
    from vireid.training.recipe import Recipe, recipe_names, recipe_text

    yield "## Recipes\n"
    shipped = [(f"`{name}`", f"`{recipe_text(name).splitlines()[0].removeprefix('# ')}`") for name in recipe_names()]
    yield _table(("recipe", "the command that runs it"), shipped)
    yield "## What a recipe says\n"
    yield "On the command line a name with dots reaches in: `image.height=384`, `phases.train.optimiser.rate=0.01`.\n"
    yield _table(("name", "allowed", "default", "meaning"), _fields(Recipe.model_json_schema()))


def _methods() -> Iterator[str]:
    from vireid.methods import method_class, names

    for name in names():
        method = method_class(name)
        if not method.__module__.startswith("vireid."):
            continue  # installed on this machine, not part of vireid
        yield f"## Options of {name}\n"
        yield f"{method.title}. [More](methods/{name}.md).\n"
        yield _table(("option", "allowed", "default", "meaning"), _fields(method.Options.model_json_schema()))


def _fields(schema: Mapping[str, Any], known: Mapping[str, Any] | None = None, prefix: str = "") -> Iterator[list[str]]:
    """Rows of a model's fields, those of nested models below theirs."""
    models = known or schema.get("$defs", {})
    for name, field in schema["properties"].items():
        inner = _model(field, models)
        if inner:
            yield [
                f"`{prefix}{name}`",
                "",
                "",
                _first_sentence(field.get("description") or inner.get("description", "")),
            ]
            yield from _fields(inner, models, f"{prefix}{name}.{'NAME.' if 'items' in field else ''}")
            continue
        default = f"`{json.dumps(field['default'])}`" if "default" in field else "required"
        yield [f"`{prefix}{name}`", _allowed(field), default, field.get("description", "")]


def _first_sentence(text: str) -> str:
    return " ".join(text.split("\n\n")[0].split())


def _model(field: Mapping[str, Any], models: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The nested model that a field holds, alone or as items of a list."""
    for entry in (field, field.get("items", {}), *field.get("allOf", ())):
        if "$ref" in entry and "properties" in (found := models[entry["$ref"].rpartition("/")[2]]):
            return dict(found)
    return None


def _allowed(field: Mapping[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_allowed(option) for option in field["anyOf"])
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if "prefixItems" in field:
        return f"{len(field['prefixItems'])} x {_allowed(field['prefixItems'][0])}"
    bounds = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    limits = ", ".join(f"{sign} {field[key]}" for key, sign in bounds.items() if key in field)
    return " ".join(filter(None, [str(field.get("format") or field.get("type", "")), limits]))


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
