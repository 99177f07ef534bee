"""From a bundle to an export that has been compared with it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import onnxruntime
import torch

from vireid import __version__
from vireid.errors import ExportError, UsageError
from vireid.export.files import save_graphs
from vireid.export.graphs import OPSET, Graphs, trace
from vireid.export.int8 import Int8, quantise
from vireid.export.measuring import Task
from vireid.export.parity import Parity, compare, made_up_pictures
from vireid.files import new_folder, write_json
from vireid.matching.calibration import Calibration
from vireid.methods.bundle import EXPORT, HEADER, Bundle
from vireid.methods.exported import PARITY, ExportedBundle, ExportHeader, graph_file
from vireid.types import Modality, Track, untracked

__all__ = ["export_bundle"]

_COMPARED, _COMPARED_IN_PAIRS = 32, 12  # pictures of each modality; fewer where a network looks at every pair


def export_bundle(
    bundle: Bundle,
    out: str | Path,
    *,
    task: Task | None = None,
    int8: Int8 | None = None,
    device: str | None = None,
    track: Track = untracked,
) -> ExportedBundle:
    """Write `bundle` as ONNX graphs, compare both, and keep the export if it may take the bundle's place.

    Args:
        out: its folder; an export that lies there is replaced.
        task: test pictures that both are compared on; without one, made-up ones. int8 needs it.
        int8: quantise the encoder. The export is a model of its own then, with the measured loss in `parity.json`.
        device: where the bundle itself is run for the comparison, `cpu` or `cuda`. The graphs run on the CPU.

    Raises:
        UsageError: `out` is something else; int8 without a task; the bundle is an export; no such device.
        LeakError: the test holds people that the model was trained on.
        ExportError: the method cannot be written as graphs, the graphs answer otherwise, or int8 costs too much.
        DataError: there are no pictures of a modality. Nothing is written in any of these cases.
    """
    folder = Path(out)
    _check(bundle, folder, task, int8)
    chosen = bundle.device(device)
    graphs = trace(bundle)
    with new_folder(folder) as new:
        export = _write(new, bundle, graphs, int8=int8, task=task)
        report, parity = _compared(bundle, export, task, device=chosen)
        if int8 is None:
            parity.refuse()
        elif task is not None:
            report["int8"] = _loss(bundle, export, task, int8, device=chosen, track=track)
        write_json(new / PARITY, report)
        if int8 is None and (calibration := _calibration(bundle, folder)):
            export.attach(calibration)
    found = Bundle.open(folder)
    assert isinstance(found, ExportedBundle)
    return found


def _calibration(bundle: Bundle, folder: Path) -> Calibration | None:
    """That of the bundle, or of its export that is replaced: what answers as the bundle does keeps what scores mean."""
    earlier = Bundle.open(folder) if folder.exists() else bundle
    return bundle.calibration() or (earlier.calibration() if earlier.digest == bundle.digest else None)


def _check(bundle: Bundle, folder: Path, task: Task | None, int8: Int8 | None) -> None:
    if isinstance(bundle, ExportedBundle):
        raise UsageError(f"{bundle.path} is an export already; export the bundle that it was made from")
    if folder.exists() and not (folder / EXPORT).is_file():
        raise UsageError(f"{folder} exists and is no export; name a new folder")
    if int8 is not None and task is None:
        raise UsageError("int8 learns its ranges from training pictures, and its loss is measured: say where they lie")
    if task is not None:
        bundle.refuse_leak(task.dataset, task.test_rows())


def _write(folder: Path, bundle: Bundle, graphs: Graphs, *, int8: Int8 | None, task: Task | None) -> ExportedBundle:
    models = {name: graph.model for name, graph in graphs.of.items()}
    if int8 is not None and task is not None:
        crops = task.sample(task.protocol.training_rows, int8.pictures)
        for modality in Modality:
            name = graph_file(modality)
            models[name] = quantise(graphs.of[name], crops[modality], bundle.preprocessing)
    shutil.copyfile(bundle.path / HEADER, folder / HEADER)
    header = ExportHeader(
        bundle=bundle.digest,
        precision="fp32" if int8 is None else "int8",
        opset=OPSET,
        outputs=graphs.outputs,
        files=save_graphs(folder, models),
        vireid=__version__,
        torch=torch.__version__,
    )
    write_json(folder / EXPORT, header.model_dump(mode="json"))
    opened = Bundle.open(folder)
    assert isinstance(opened, ExportedBundle)
    return opened


def _compared(
    bundle: Bundle, export: ExportedBundle, task: Task | None, *, device: str
) -> tuple[dict[str, Any], Parity]:
    count = _COMPARED if bundle.matcher().exact else _COMPARED_IN_PAIRS
    if task is None:
        what, pictures = "made-up pictures", made_up_pictures(bundle.preprocessing.size, count)
    else:
        what = f"test pictures of {task.dataset.name}, {task.protocol.name}"
        pictures = task.sample(task.test_rows(), count)
    parity = compare(
        (bundle.encoder(device=device), bundle.matcher(device=device)),
        (export.encoder(device="cpu"), export.matcher(device="cpu")),
        pictures,
        what=what,
    )
    report = {
        "bundle": bundle.digest,
        "export": export.digest,
        "precision": export.export.precision,
        **parity.to_json(),
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
        "device": device,
    }
    return report, parity


def _loss(
    bundle: Bundle, export: ExportedBundle, task: Task, int8: Int8, *, device: str, track: Track
) -> dict[str, Any]:
    """What quantisation costs on the whole test."""
    before, mode = task.measure(bundle.encoder(device=device), bundle.matcher(device=device), track=track)
    after, _ = task.measure(export.encoder(device="cpu"), export.matcher(device="cpu"), track=track)
    if before - after > int8.most_loss:
        raise ExportError(
            f"int8 costs {before - after:.2f} mAP ({before:.2f} to {after:.2f}, {task.protocol.name}, {mode}), more "
            f"than the {int8.most_loss:g} allowed; nothing was written. Export in fp32, or allow more with --most-loss"
        )
    return {
        "dataset": task.dataset.name,
        "protocol": task.protocol.name,
        "fingerprint": task.protocol.digest,
        "mode": mode,
        "mAP": before,
        "mAP_int8": after,
        "loss": before - after,
        "most_loss": int8.most_loss,
        "calibration_pictures": int8.pictures,
    }
