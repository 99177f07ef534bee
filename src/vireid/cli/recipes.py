"""`vireid recipes`: the runs that are ready to start."""

from typing import Annotated

import typer

from vireid.cli.output import Json, print_json, print_table

app = typer.Typer(help="List the shipped recipes and print one.", no_args_is_help=True)


@app.command("list")
def list_recipes(as_json: Json = False) -> None:
    """List all recipes.

    Example: vireid recipes list
    """
    from vireid.training.recipe import recipe_names, recipe_text

    commands = {name: recipe_text(name).splitlines()[0].removeprefix("# ") for name in recipe_names()}
    if as_json:
        print_json(commands)
    else:
        print_table(("recipe", "command"), commands.items())


@app.command("show")
def show(name: Annotated[str, typer.Argument(help="Name of a recipe.")]) -> None:
    """Print a recipe, ready to be saved and changed.

    Example: vireid recipes show agw-sysu > mine.yaml
    """
    from vireid.training.recipe import recipe_text

    typer.echo(recipe_text(name), nl=False)
