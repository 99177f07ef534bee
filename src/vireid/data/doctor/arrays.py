"""Array files that other code made of SYSU-MM01: vireid does not read them, but they tell how the set was prepared."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vireid.data.doctor.counting import explain_training
from vireid.data.doctor.findings import Finding, warning
from vireid.data.doctor.standard import Standard
from vireid.data.doctor.tree import Tree
from vireid.types import Modality

__all__ = ["check_arrays"]

_LABELS = {"train_rgb_resized_label.npy": Modality.VISIBLE, "train_ir_resized_label.npy": Modality.INFRARED}


def check_arrays(tree: Tree, standard: Standard) -> Iterator[Finding]:
    """Label arrays beside the published SYSU-MM01 that hold other numbers than its training set."""
    if not standard.official or standard.layout != "sysu":
        return
    for name, modality in _LABELS.items():
        # Code that glues folder and name without a separator leaves them beside the folder.
        for path in (tree.root / name, tree.root.parent / f"{tree.root.name}{name}"):
            if path.is_file() and (finding := _judge(path, modality)):
                yield finding


def _judge(path: Path, modality: Modality) -> Finding | None:
    expected = {
        Modality.VISIBLE: "22,258 labels of 395 identities",
        Modality.INFRARED: "11,909 labels of 395 identities",
    }
    try:
        labels = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as problem:
        found, cause = f"{path.name} cannot be read ({problem})", "the preparation stopped while it wrote the file"
    else:
        identities = len(np.unique(labels))
        found = f"{path.name}: {labels.size:,} labels of {identities} identities"
        told = explain_training(modality, images=labels.size, identities=identities)
        if told is None:
            return None
        cause = told
    return warning(
        "arrays.training",
        found=found,
        expected=expected[modality],
        cause=cause,
        remedy="vireid reads the pictures, not this file; make it anew before other code trains on it",
        examples=[str(path)],
    )
