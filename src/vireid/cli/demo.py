"""`vireid demo`: the whole path on rendered people."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vireid.cli.output import Json, print_json, print_values, say, track

if TYPE_CHECKING:
    from vireid.data import Dataset
    from vireid.training.run import Run

_QUERIES = 6  # searches shown on the demo's page


def demo(
    out: Annotated[Path, typer.Option(help="Folder to write; a stopped demo goes on from it.")] = Path("runs/demo"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the people, the start weights and the training.")] = 0,
    preset: Annotated[str, typer.Option(help="Size of the synthetic data set.")] = "demo",
    workers: Annotated[int, typer.Option(min=1, help="Processes that render.")] = 2,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change to the recipe agw-demo.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Render people, train on them, test under the SYSU-MM01 protocol and search: everything in one command.

    Example: vireid demo --out runs/demo
    """
    from vireid.data import open_dataset
    from vireid.data.synthetic import synthesize
    from vireid.files import write_json
    from vireid.methods.bundle import Bundle
    from vireid.report.summary import write_summary
    from vireid.training.loop import train
    from vireid.training.measure import measure
    from vireid.training.pretraining import pretrain
    from vireid.training.recipe import load_recipe
    from vireid.training.run import Run

    data, run = out / "data", Run(out)
    say(f"1/5 rendering the data set '{preset}' in the layout of SYSU-MM01")
    synthesize(data, layout="sysu", preset=preset, seed=seed, workers=workers, track=track)
    dataset = open_dataset("sysu", data)
    recipe = load_recipe("agw-demo", [f"data.root={data}", f"seed={seed}", *(overrides or [])])
    say("2/5 start weights from other rendered people")
    size = [f"image.height={recipe.image.height}", f"image.width={recipe.image.width}"]
    start = pretrain(
        architecture=recipe.options["architecture"],
        out=out / "start.safetensors",
        overrides=size,
        seed=seed,
        workers=workers,
        track=track,
    )
    recipe = recipe.model_copy(update={"start": str(start)})
    say(f"3/5 training {recipe.method}")
    if not (run.bundle_folder / "bundle.json").is_file():
        train(recipe, dataset, run, resume=run.recipe_file.is_file(), track=track, say=say)
    bundle = Bundle.open(out)
    say("4/5 testing on identities that were not trained on")
    for protocol in ("visible-to-visible", "indoor-single-agw", dataset.default_protocol):
        result = measure(bundle, dataset, dataset.protocol(protocol), folder=out / "embeddings", track=track)
        values = result.to_json()
        bundle.record(values)
    write_json(out / "metrics.json", values)
    say("5/5 searching the visible gallery with infrared pictures")
    _search(dataset, run)
    command = f"vireid demo --out {out} --preset {preset} --seed {seed}"
    write_summary(
        run, out / "report.html", links={"Ranked answers to infrared pictures": "search.html"}, command=command
    )
    if as_json:
        print_json(values)
    else:
        print_values({name: f"{values[name]:.1f} %" for name in ("rank1", "rank5", "rank10", "mAP", "mINP")})
        say(f"look at {out / 'report.html'} and {out / 'search.html'}")


def _search(dataset: "Dataset", run: "Run") -> None:
    """Index the first trial's gallery, search it with a few of its queries, and write the contact sheet."""
    from vireid.files import write_text
    from vireid.gallery import Gallery
    from vireid.gallery.sheet import contact_sheet_html
    from vireid.methods.bundle import Bundle
    from vireid.methods.encoder import open_encoder

    bundle = Bundle.open(run.path)
    protocol: Any = dataset.protocol(dataset.default_protocol)
    trial = next(iter(protocol.trials()))
    encoder = open_encoder(bundle)
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
