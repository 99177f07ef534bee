"""What was run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from vireid.report.blocks import Block, Facts, Listing, Section
from vireid.report.material import Material

__all__ = ["overview"]


def overview(runs: Sequence[Material], *, command: str = "") -> Section:
    """Model, data and test of every run, and its recipe."""
    blocks: list[Block] = []
    if command:
        blocks.append(Facts("", {"command": command}))
    for run in runs:
        blocks.append(Facts(run.name if len(runs) > 1 else "", _facts(run)))
        if run.recipe is not None:
            text = yaml.safe_dump(run.recipe.resolved(), sort_keys=False)
            blocks.append(Listing(f"Recipe of {run.name}, every value", text))
    fingerprint = {name: _told(value) for name, value in runs[0].protocol.fingerprint.items()}
    return Section("What was run", [*blocks, Facts("Fingerprint of the test", fingerprint)])


def _facts(run: Material) -> Mapping[str, str]:
    card, recipe = run.bundle.card, run.recipe
    options: Mapping[str, Any] = run.bundle.header.options
    values = {
        "method": ", ".join(
            [run.bundle.method_name, *([options["architecture"]] if "architecture" in options else [])]
        ),
        "trained on": f"{card.dataset}, {len(card.identities)} identities of protocol {card.protocol}",
        "tested on": f"{run.dataset.name} {run.dataset.version}, {run.result.protocol}, {run.result.mode}",
        "terms of the data": run.dataset.licence + _shown(run),
        "pictures": f"{run.bundle.preprocessing.height} rows, {run.bundle.preprocessing.width} columns",
        "seed": str(card.seed),
    }
    if recipe is not None:
        values["epochs"] = ", ".join(f"{phase.name}: {phase.epochs}" for phase in recipe.phases)
        values["precision"] = recipe.precision
    return values | {
        "model hash": run.bundle.digest,
        "recipe hash": card.recipe,
        "training data hash": card.dataset_fingerprint,
        "vireid": card.vireid,
    }


def _shown(run: Material) -> str:
    if not run.dataset.restricted:
        return "; pictures may be shown"
    if run.album.shown:
        return "; pictures are shown at the word of whoever made this page: pass it on only where the terms allow it"
    return "; pictures are not shown"


def _told(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
