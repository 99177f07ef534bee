"""The command table, and the one place where errors become messages and exit codes."""

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from vireid.cli import (
    audit,
    calibrate,
    compare,
    data,
    demo,
    distill,
    documents,
    evaluate,
    export,
    gallery,
    import_checkpoint,
    index,
    keys,
    methods,
    pretrain,
    recipes,
    report,
    reproduce,
    search,
    serve,
    study,
    train,
    verify,
)
from vireid.errors import UsageError, VireidError, training_packages

__all__ = ["app", "main"]


class Commands(TyperGroup):
    """The commands; Ctrl-C is answered here, since typer turns it into a silent exit before `main` sees it."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            sys.stderr.write("vireid: stopped; what was done is kept\n")
            raise typer.Exit(130) from None


app = typer.Typer(
    name="vireid",
    cls=Commands,
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
app.command("distill")(distill.distill)
app.command("evaluate")(evaluate.evaluate)
app.command("calibrate")(calibrate.calibrate)
app.command("compare")(compare.compare)
app.command("study")(study.study)
app.command("report")(report.report)
app.command("reproduce")(reproduce.reproduce)
app.command("import")(import_checkpoint.import_checkpoint)
app.command("export")(export.export)
app.command("index")(index.index)
app.command("search")(search.search)
app.command("verify")(verify.verify)
app.add_typer(gallery.app, name="gallery")
app.command("serve")(serve.serve)
app.command("documents")(documents.documents)
app.add_typer(keys.app, name="keys")
app.add_typer(audit.app, name="audit")
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
    except OSError as error:
        told = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
        sys.stderr.write(f"vireid: {told}\n")
        sys.exit(1)
