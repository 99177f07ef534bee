"""`vireid export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vireid.cli.output import Device, Json, print_json, print_table, say, track

if TYPE_CHECKING:
    from vireid.export.measuring import Task
    from vireid.methods.bundle import Bundle


def export(
    model: Annotated[Path, typer.Argument(help="Run folder or bundle.")],
    out: Annotated[Path, typer.Option(help="Folder of the export; one that lies there is replaced.")],
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantise the encoder; the loss in mAP is measured and limited.")
    ] = False,
    most_loss: Annotated[
        float | None, typer.Option(min=0.0, help="With --int8: mAP points that it may cost (default: 1).")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Data set to compare on; for --int8 by default where the run was trained.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="sysu, regdb, llcm or manifest (default: the model's).")] = None,
    protocol: Annotated[str | None, typer.Option(help="Name of a protocol (default: the model's).")] = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Write a model as ONNX graphs that index and search without torch, compared with the model before they are kept.

    Example: vireid export runs/demo --out exports/demo

    Example: vireid export runs/demo --out exports/demo-int8 --int8 --data runs/demo/data
    """
    from vireid.errors import UsageError, export_packages
    from vireid.methods.bundle import Bundle

    if most_loss is not None and not int8:
        raise UsageError("--most-loss limits what --int8 costs; add --int8, or leave it out")
    with export_packages():
        from vireid.export import Int8, export_bundle
    bundle = Bundle.open(model)
    task = _task(model, bundle, data, kind, protocol, needed=int8)
    wanted = (Int8() if most_loss is None else Int8(most_loss=most_loss)) if int8 else None
    found = export_bundle(bundle, out, task=task, int8=wanted, device=device, track=track)
    parity = found.parity()
    if as_json:
        print_json({"export": str(out), "digest": found.digest, **parity})
        return
    rows = [
        [modality, name, f"{value:.1e}"]
        for modality, arrays in parity["arrays"].items()
        for name, value in arrays.items()
    ]
    print_table(("modality", "array", "largest difference"), rows, title=f"{out} against {model}, {parity['pictures']}")
    say(f"ranked lists: {parity['identical']} of {parity['lists']} identical; least cosine {parity['cosine']:.6f}")
    if loss := parity.get("int8"):
        told = f"mAP {loss['mAP']:.2f} to {loss['mAP_int8']:.2f}, {loss['dataset']}, {loss['protocol']}, {loss['mode']}"
        say(f"int8: {told}. It is a model of its own: galleries of the bundle do not take it")
    say(f"index with it: vireid index FOLDER --modality visible --bundle {out} --out GALLERY")


def _task(
    model: Path, bundle: "Bundle", data: Path | None, kind: str | None, protocol: str | None, *, needed: bool
) -> "Task | None":
    from vireid.data import open_dataset
    from vireid.errors import UsageError
    from vireid.export.measuring import Task
    from vireid.training.run import Run

    run = Run(model)
    root = data
    if root is None and needed and run.recipe_file.is_file():
        root = run.recipe().data.root
    if root is None:
        if needed:
            raise UsageError(f"{model} is a bundle and does not know where its data lies; --int8 needs --data PATH")
        if kind or protocol:
            raise UsageError("--kind and --protocol say what lies in --data and how it is tested; add --data PATH")
        return None
    dataset = open_dataset(kind or bundle.card.dataset_kind, root)
    name = protocol or (bundle.card.protocol if kind is None else dataset.default_protocol)
    return Task(dataset=dataset, protocol=dataset.protocol(name))
