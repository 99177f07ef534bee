"""The command table, and the one place where errors become messages and exit codes."""

import sys

import typer

from vireid.cli import data, demo, evaluate, index, methods, pretrain, recipes, search, train
from vireid.errors import UsageError, VireidError, training_packages

__all__ = ["app", "main"]

app = typer.Typer(
    name="vireid",
    help="Visible-infrared person re-identification: train, evaluate and search across modalities.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.add_typer(data.app, name="data")
app.command("pretrain")(pretrain.pretrain)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("index")(index.index)
app.command("search")(search.search)
app.add_typer(methods.app, name="methods")
app.add_typer(recipes.app, name="recipes")


def main() -> None:
    """Run the command line; exit code 2 for a wrong use, 1 for anything else that went wrong, 130 for Ctrl-C."""
    try:
        with training_packages():
            app()
    except VireidError as error:
        sys.stderr.write(f"vireid: {error}\n")
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except KeyboardInterrupt:
        sys.stderr.write("vireid: stopped; what was done is kept\n")
        sys.exit(130)
