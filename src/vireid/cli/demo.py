"""`vireid demo`: the whole path on rendered people."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vireid.cli.output import Json, print_json, print_values, say, track

if TYPE_CHECKING:
    from vireid.data import Dataset
    from vireid.training.recipe import Recipe
    from vireid.training.run import Run

_QUERIES = 6  # searches shown on the demo's page


def demo(
    out: Annotated[Path, typer.Option(help="Folder to write; a stopped demo goes on from it.")] = Path("runs/demo"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the people and of the training.")] = 0,
    preset: Annotated[str, typer.Option(help="Size of the synthetic data set.")] = "demo",
    workers: Annotated[int, typer.Option(min=1, help="Processes that render.")] = 2,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change to the recipe agw-demo.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Render people, train on them, test under the SYSU-MM01 protocol and search: everything in one command.

    The same command goes on where it was stopped; a finished demo is tested and searched anew, not trained.

    Example: vireid demo --out runs/demo
    """
    from vireid.data import open_dataset
    from vireid.data.synthetic import synthesize
    from vireid.files import write_json
    from vireid.report.page import write_report
    from vireid.training.loop import train
    from vireid.training.measure import measure
    from vireid.training.run import Run

    changes = overrides or []
    named = out  # as it was typed: commands that are printed are short
    command = ["vireid", "demo", "--out", str(out), "--preset", preset, "--seed", str(seed)]
    command += [word for change in changes for word in ("--set", change)]
    out = out.absolute()
    data, run = out / "data", Run(out)
    recipe = _recipe(out, seed, changes)
    begun = run.recipe_file.is_file()
    if begun:
        run.find(recipe, resume=True)  # refuses another recipe before anything is made
    say(f"1/4 rendering the data set '{preset}' in the layout of SYSU-MM01")
    synthesize(data, layout="sysu", preset=preset, seed=seed, workers=workers, track=track)
    dataset = open_dataset("sysu", data)
    say(f"2/4 training {recipe.method}")
    bundle = train(recipe, dataset, run, resume=begun, track=track, say=say)
    say("3/4 testing on identities that were not trained on")
    for protocol in ("visible-to-visible", "indoor-single-agw", dataset.default_protocol):
        result = measure(bundle, dataset, dataset.protocol(protocol), folder=out / "embeddings", track=track)
        values = result.to_json()
        bundle.record(values)
    write_json(out / "metrics.json", values)
    say("4/4 searching the visible gallery with infrared pictures")
    query = _search(dataset, run)
    links = {"Ranked answers to infrared pictures": "search.html"}
    write_report([out], out / "report.html", links=links, command=shlex.join(command), track=track, say=say)
    if as_json:
        print_json(values)
    else:
        print_values({name: f"{values[name]:.1f} %" for name in ("rank1", "rank5", "rank10", "mAP", "mINP")})
        say(f"look at {out / 'report.html'} and {out / 'search.html'}")
    say(f"search in the browser, with pictures such as {query}:\n{_serve(named)}")


def _recipe(out: Path, seed: int, changes: Sequence[str]) -> "Recipe":
    """The recipe with the changes, on the demo's own data."""
    from vireid.errors import UsageError
    from vireid.training.recipe import load_recipe

    recipe = load_recipe("agw-demo", [f"seed={seed}", *changes])
    if recipe.seed != seed:
        raise UsageError(f"the seed also decides the people, so the demo has an option for it: --seed {recipe.seed}")
    if recipe.data.root is not None or recipe.data.kind != "sysu":
        raise UsageError("the demo renders its own data, in the layout of SYSU-MM01; for other data use `vireid train`")
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"root": out / "data"})})


def _serve(out: Path) -> str:
    """The command that opens the console over the demo's gallery; it prints the address, and the first key once."""
    words = ["vireid", "serve", str(out / "service"), "--bundle", f"demo={out}", "--adopt", str(out / "gallery")]
    return shlex.join([*words, "--purpose", "trial=rendered people, nobody is concerned"])


def _search(dataset: "Dataset", run: "Run") -> Path:
    """Index the first trial's gallery, search it with a few of its queries, and write the contact sheet; returns the
    first of the queries.
    """
    from vireid.files import write_text
    from vireid.gallery import Gallery
    from vireid.gallery.sheet import contact_sheet_html
    from vireid.methods.bundle import Bundle

    bundle = Bundle.open(run.path)
    protocol: Any = dataset.protocol(dataset.default_protocol)
    trial = next(iter(protocol.trials()))
    encoder = bundle.encoder()
    gallery = Gallery.build(
        run.path / "gallery", bundle, dataset.images.loc[trial.gallery], encoder=encoder, track=track
    )
    step = max(1, len(trial.query) // _QUERIES)
    queries = dataset.images.loc[trial.query[step // 2 :: step][:_QUERIES]]
    results = [
        gallery.search(Path(query.path), modality=query.modality, top=10, encoder=encoder)
        for query in queries.itertuples()
    ]
    write_text(
        run.path / "search.html",
        contact_sheet_html(results, identities=[int(identity) for identity in queries.identity]),
    )
    return Path(queries.path.iloc[0])
