"""`vireid evaluate`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from vireid.cli.output import Device, Json, print_json, print_table, print_values, say, track

if TYPE_CHECKING:
    from vireid.evaluation import OpenSet

Evaluated: TypeAlias = tuple[Mapping[str, Any], str, Callable[[], None]]
"""The result as JSON, a title for its table, and what keeps it."""

_GIVEN = ("embeddings", "scores", "distances")
_FILES = "Files of other programs, in place of a model; repeat an option for several trials"


def evaluate(
    model: Annotated[Path | None, typer.Argument(help="Run folder or bundle.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder of the data set (default: where the run was trained).")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="sysu, regdb, llcm or manifest (default: the run's).")] = None,
    protocol: Annotated[str | None, typer.Option(help="Name of a protocol (default: the run's).")] = None,
    mode: Annotated[
        str | None,
        typer.Option(help="full, or cascade:K to score the K best of a first stage (K = 50); default: the model's."),
    ] = None,
    rerank: Annotated[bool, typer.Option("--rerank", help="k-reciprocal re-ranking; the result says so.")] = False,
    open_set: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Also take this share of the people (as 0.5) out of the gallery: FNIR at FPIR, TPR at FPR.",
        ),
    ] = None,
    embeddings: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Features of queries and gallery.", rich_help_panel=_FILES),
    ] = None,
    scores: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Score matrix, higher is better.", rich_help_panel=_FILES),
    ] = None,
    distances: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Distance matrix, lower is better.", rich_help_panel=_FILES),
    ] = None,
    rule: Annotated[
        str | None, typer.Option(help="Whose rule and CMC: sysu, regdb or llcm.", rich_help_panel=_FILES)
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Table of side, identity, camera beside a matrix.", rich_help_panel=_FILES),
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="Of embeddings: cosine (default) or euclidean.", rich_help_panel=_FILES)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File for the JSON result.")] = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Test a trained model, or what another program computed: CMC, mAP and mINP as mean over trials, with their spread.

    Example: vireid evaluate runs/demo --protocol indoor-single-agw

    Example: vireid evaluate --distances results.npz --rule sysu
    """
    from vireid.errors import UsageError
    from vireid.evaluation.open_set import OpenSet
    from vireid.files import write_json

    opened = None if open_set is None else OpenSet(share=open_set)
    given = {name: files for name, files in zip(_GIVEN, (embeddings, scores, distances), strict=True) if files}
    _refuse_unlike(model, given)
    if model is not None:
        _refuse({"--rule": rule, "--labels": labels, "--metric": metric}, "files of other programs")
        values, title, keep = _evaluate_model(
            model, data, kind, protocol, mode=mode, rerank=rerank, opened=opened, device=device
        )
    else:
        others = {"--data": data, "--kind": kind, "--protocol": protocol, "--mode": mode, "--device": device}
        _refuse(others, "a model")
        if rule is None:
            raise UsageError("say by which rule pairs count: --rule sysu, --rule regdb or --rule llcm")
        values, title, keep = _evaluate_files(given, rule, labels, metric=metric, rerank=rerank, opened=opened)
    if as_json:
        print_json(values)
    else:
        _print_tables(values, title)
    if out:
        write_json(out, values)
    keep()  # last: a bundle that cannot be written must not cost the result


def _refuse_unlike(model: Path | None, given: Mapping[str, list[Path]]) -> None:
    from vireid.errors import UsageError

    told = [*([str(model)] if model else []), *(f"--{name}" for name in given)]
    if len(told) != 1:
        there = " and ".join(told) or "none"
        raise UsageError(f"give one of a run folder or bundle, --embeddings, --scores and --distances, not {there}")


def _refuse(options: Mapping[str, object], what: str) -> None:
    from vireid.errors import UsageError

    stated = [name for name, value in options.items() if value is not None]
    if stated:
        raise UsageError(f"{', '.join(stated)} goes with {what}, which is not what is evaluated here; leave it out")


def _evaluate_model(
    model: Path,
    data: Path | None,
    kind: str | None,
    protocol: str | None,
    *,
    mode: str | None,
    rerank: bool,
    opened: "OpenSet | None",
    device: str | None,
) -> Evaluated:
    from vireid.data import open_dataset
    from vireid.errors import UsageError
    from vireid.methods.bundle import Bundle
    from vireid.report.figures import ranking_of
    from vireid.study.evaluations import keep_evaluation
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
    options: dict[str, Any] = {"mode": mode, "rerank": rerank, "open_set": opened, "device": device}
    result = measure(bundle, dataset, chosen, folder=folder, track=track, say=say, **options)
    values = result.to_json()

    def keep() -> None:
        keep_evaluation(model, bundle, chosen, result)
        bundle.record(values)

    ranking = f"{ranking_of(values)}, {values['trials']} trials"
    return values, f"{bundle.method_name} on {dataset.name}, {chosen.name}, {ranking}", keep


def _evaluate_files(
    given: Mapping[str, list[Path]],
    rule: str,
    labels: Path | None,
    *,
    metric: str | None,
    rerank: bool,
    opened: "OpenSet | None",
) -> Evaluated:
    from vireid.evaluation.external import evaluate_files
    from vireid.report.figures import ranking_of

    [(kind, files)] = given.items()
    result = evaluate_files(
        files,
        given=kind,
        rule=rule,
        labels=labels,
        metric=metric or "cosine",
        rerank=rerank,
        open_set=opened,
        track=track,
    )
    values = result.to_json()
    title = f"external {kind}, rule of {rule}, {ranking_of(values)}, {values['trials']} trials"
    return values, title, lambda: None


def _print_tables(values: Mapping[str, Any], title: str) -> None:
    from vireid.evaluation.results import metric_label
    from vireid.report.figures import cells_of, counts_of

    rows = [[metric_label(name), *cells] for name, cells in cells_of(values, digits=2).items()]
    print_table(("metric", "percent", "std over trials"), rows, title=title)
    print_values(counts_of(values))
    if "open_set" in values:
        _print_open_set(values["open_set"])


def _print_open_set(values: Mapping[str, Any]) -> None:
    from vireid.evaluation.open_figures import GALLERY_SIZES

    names = ("threshold", "fnir_rank1", "fnir", *(f"false_matches_in_{size}" for size in GALLERY_SIZES))
    searches = [[f"{row['fpir']:g} %", *(f"{row[name]:.4g}" for name in names)] for row in values["identification"]]
    held_out = f"open set, {100 * values['held_out_share']:g} % of the people held out (seed {values['seed']})"
    columns = ("FPIR", "threshold", "FNIR at rank 1, %", "FNIR, %", *(f"false in {size:,}" for size in GALLERY_SIZES))
    print_table(columns, searches, title=held_out)
    pairs = [[f"{row['fpr']:g} %", f"{row['threshold']:.4g}", f"{row['tpr']:.2f}"] for row in values["verification"]]
    print_table(("FPR", "threshold", "TPR, %"), pairs, title=f"pairs of pictures, AUC {values['auc']:.2f} %")
    kinds = [name for name in values if name.endswith(("_identities", "_searches", "_pairs"))]
    print_values(
        {
            name.replace("non_", "non-").replace("_", " "): ", ".join(map(str, dict.fromkeys(values[name])))
            for name in kinds
        }
    )
