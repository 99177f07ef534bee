"""`vireid evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from vireid.cli.output import Json, print_json, print_table, track


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
    device: Annotated[str | None, typer.Option(help="cpu or cuda (default: CUDA where there is one).")] = None,
    as_json: Json = False,
) -> None:
    """Test a trained model under a protocol: CMC, mAP and mINP as mean over trials, with their spread.

    Example: vireid evaluate runs/demo --protocol indoor-single-agw
    """
    from vireid.data import open_dataset
    from vireid.errors import UsageError
    from vireid.files import write_json
    from vireid.methods.bundle import Bundle
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
    result = measure(bundle, dataset, chosen, folder=folder, mode=mode, rerank=rerank, device=device, track=track)
    values = result.to_json()
    bundle.record(values)
    if out:
        write_json(out, values)
    if as_json:
        print_json(values)
        return
    metrics = ("rank1", "rank5", "rank10", "rank20", "mAP", "mINP")
    spread = values["std"]
    rows = [[name, f"{values[name]:.2f}", "-" if spread[name] is None else f"{spread[name]:.2f}"] for name in metrics]
    title = f"{bundle.name} on {dataset.name}, {chosen.name}, {values['mode']}, {values['trials']} trials"
    print_table(("metric", "percent", "std over trials"), rows, title=title)
