"""`vireid evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from vireid.cli.output import Device, Json, print_json, print_table, print_values, say, track


def evaluate(
    model: Annotated[Path, typer.Argument(help="Run folder or bundle.")],
    data: Annotated[
        Path | None, typer.Option(help="Folder of the data set (default: where the run was trained).")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="sysu, regdb, llcm or manifest (default: the run's).")] = None,
    protocol: Annotated[str | None, typer.Option(help="Name of a protocol (default: the run's).")] = None,
    mode: Annotated[
        str, typer.Option(help="full, or cascade:K to score the K best of a first stage (cascade: K = 50).")
    ] = "full",
    rerank: Annotated[bool, typer.Option("--rerank", help="k-reciprocal re-ranking; the result says so.")] = False,
    out: Annotated[Path | None, typer.Option(help="File for the JSON result.")] = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Test a trained model under a protocol: CMC, mAP and mINP as mean over trials, with their spread.

    Example: vireid evaluate runs/demo --protocol indoor-single-agw
    """
    from vireid.data import open_dataset
    from vireid.errors import UsageError
    from vireid.files import write_json
    from vireid.methods.bundle import Bundle
    from vireid.report.figures import cells_of, counts_of, label, ranking_of
    from vireid.training.measure import measure
    from vireid.training.run import Run

    bundle = Bundle.open(model)
    run = Run(model)
    choice = run.recipe().data if run.recipe_file.is_file() else None
    root = data or (choice.root if choice else None)
    if root is None:
        raise UsageError(f"{model} is a bundle and does not know where its data lies; add --data PATH")
    dataset = open_dataset(kind or bundle.card.dataset_kind, root)
    chosen = dataset.protocol(protocol or (bundle.card.protocol if kind is None else dataset.default_protocol))
    folder = model / "embeddings" if choice else bundle.path.with_name(bundle.path.name + "-embeddings")
    result = measure(
        bundle, dataset, chosen, folder=folder, mode=mode, rerank=rerank, device=device, track=track, say=say
    )
    values = result.to_json()
    if as_json:
        print_json(values)
    else:
        rows = [[label(name), *cells] for name, cells in cells_of(values, digits=2).items()]
        title = (
            f"{bundle.method_name} on {dataset.name}, {chosen.name}, {ranking_of(values)}, {values['trials']} trials"
        )
        print_table(("metric", "percent", "std over trials"), rows, title=title)
        print_values(counts_of(values))
    if out:
        write_json(out, values)
    bundle.record(values)  # last: a bundle that cannot be written must not cost the result
