"""`vireid data`: make and inspect data sets."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from vireid.cli.audit_benchmark import audit_benchmark
from vireid.cli.doctor import doctor
from vireid.cli.output import Json, print_json, print_table, print_values, say, track

app = typer.Typer(
    help="Render synthetic data sets, find faults in copies of any, and look at their counts.", no_args_is_help=True
)
app.command("doctor")(doctor)
app.command("audit-benchmark")(audit_benchmark)


@app.command("synthesize")
def synthesize(
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    layout: Annotated[str, typer.Option(help="sysu, regdb or llcm.")] = "sysu",
    preset: Annotated[str, typer.Option(help="Size of the set.")] = "demo",
    seed: Annotated[int, typer.Option(min=0, help="Another seed makes other people.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes that render.")] = 2,
    knockout: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Take a cause out, for example finish_map=permuted; may be repeated."),
    ] = None,
    only: Annotated[
        str | None, typer.Option(metavar="CUE", help="Show one cue alone: background, head or silhouette.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Render people who do not exist, in the official layout of a data set; a stopped rendering goes on.

    Example: vireid data synthesize data/sysu-demo --layout sysu --preset demo --seed 0
    """
    from vireid.data.synthetic import Knockouts
    from vireid.data.synthetic import synthesize as render
    from vireid.options import parse

    chosen = parse(Knockouts, dict(_pair(text) for text in knockout or []), where="--knockout")
    report = render(
        out, layout=layout, preset=preset, seed=seed, workers=workers, knockouts=chosen, only=only, track=track
    )
    if as_json:
        print_json({**asdict(report), "root": str(out)})
    else:
        say(f"{report.images} pictures in {out} ({report.seconds:.0f} s)")


def _pair(text: str) -> tuple[str, object]:
    """NAME=VALUE, the value read as YAML; NAME alone is NAME=true."""
    import yaml

    name, equals, value = text.partition("=")
    return name, yaml.safe_load(value) if equals else True


@app.command("show")
def show(
    root: Annotated[Path, typer.Argument(help="Folder of the data set.")],
    kind: Annotated[str, typer.Option(help="sysu, regdb, llcm or manifest.")] = "sysu",
    as_json: Json = False,
) -> None:
    """Count pictures and identities, and list the protocols with their query, gallery and valid sizes.

    Example: vireid data show data/sysu-demo --kind sysu
    """
    from vireid.data import open_dataset

    dataset = open_dataset(kind, root)
    counts = dataset.images.groupby(["split", "modality", "camera"]).identity.agg(["nunique", "size"]).reset_index()
    sizes = []
    for name in dataset.protocols():
        trials = list(dataset.protocol(name).trials())
        identity = dataset.images.identity.to_numpy()
        first = trials[0]
        matched = (identity[first.query][:, None] == identity[first.gallery][None]) & ~first.invalid
        sizes.append([name, len(trials), len(first.query), len(first.gallery), int(matched.any(axis=1).sum())])
    if as_json:
        columns = ("protocol", "trials", "queries", "gallery", "valid_queries")
        print_json(
            {
                "name": dataset.name,
                "fingerprint": dataset.fingerprint,
                "licence": dataset.licence,
                "restricted": dataset.restricted,
                "counts": counts.to_dict("records"),
                "protocols": [dict(zip(columns, row, strict=True)) for row in sizes],
            }
        )
        return
    title = f"{dataset.name} ({len(dataset.images)} pictures, {dataset.images.identity.nunique()} identities)"
    print_table(("split", "modality", "camera", "identities", "pictures"), counts.to_numpy().tolist(), title=title)
    print_table(("protocol", "trials", "queries", "gallery", "valid queries"), sizes, title="protocols, first trial")
    shown = "may be shown" if not dataset.restricted else "restricted: galleries of it are not shown unless asked for"
    print_values({"licence": dataset.licence, "pictures": shown})
