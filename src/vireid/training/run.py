"""The run folder: what a training run leaves behind, and what it resumes from.

recipe.yaml      the resolved recipe
metrics.jsonl    one JSON object a step (losses, rate) and a validation
tensorboard/     the same for TensorBoard
checkpoints/     step-XXXXXXXX/{state.safetensors, state.json}: the newest complete one
bundle/          the trained model
embeddings/      per evaluated data set, see `vireid.training.measure`
evaluations/     every query of an evaluation, see `vireid.evaluation.records`
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from vireid.errors import UsageError
from vireid.files import new_file, new_folder, write_json, write_text
from vireid.options import parse
from vireid.training.recipe import Recipe
from vireid.types import Modality

__all__ = ["Checkpoint", "Run", "flat_numbers"]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """All state of a run between two steps: named tensors, and plain values (the clock, the best epoch)."""

    tensors: Mapping[str, torch.Tensor]
    values: Mapping[str, Any]

    def part(self, name: str) -> dict[str, torch.Tensor]:
        """Tensors below `name.`, without that prefix."""
        return {key[len(name) + 1 :]: value for key, value in self.tensors.items() if key.startswith(f"{name}.")}


class Run:
    """A run folder by path."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.recipe_file = self.path / "recipe.yaml"
        self.metrics_file = self.path / "metrics.jsonl"
        self.bundle_folder = self.path / "bundle"
        self.checkpoints = self.path / "checkpoints"

    def find(self, recipe: Recipe, *, resume: bool) -> Checkpoint | None:
        """Where to go on, None where to begin; writes nothing. A run that took no step yet may begin afresh.

        Raises:
            UsageError: a run is there and `resume` is off; nothing is there to resume; the recipes differ.
        """
        exists = self.recipe_file.is_file()
        if resume and not exists:
            raise UsageError(f"{self.path} holds no run to resume; leave out --resume to start one")
        if exists and not resume and (self.records() or self._newest()):
            raise UsageError(f"{self.path} already holds a run; add --resume to go on with it, or choose another --out")
        if not resume:
            return None
        self._refuse_other_recipe(recipe)
        return self._newest()

    def create(self, recipe: Recipe) -> None:
        """Make the folder of a new run."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_text(self.recipe_file, yaml.safe_dump(recipe.resolved(), sort_keys=False))

    def recipe(self) -> Recipe:
        """The resolved recipe of this run."""
        if not self.recipe_file.is_file():
            raise UsageError(f"{self.path} holds no run (no recipe.yaml)")
        return parse(Recipe, yaml.safe_load(self.recipe_file.read_text(encoding="utf-8")), where=str(self.recipe_file))

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint by rename, then drop the older ones."""
        folder = self.checkpoints / f"step-{checkpoint.values['step']:08d}"
        with new_folder(folder) as temporary:
            contiguous = {name: value.detach().cpu().contiguous() for name, value in checkpoint.tensors.items()}
            save_file(contiguous, temporary / "state.safetensors")
            write_json(temporary / "state.json", dict(checkpoint.values))
        for old in (*self.checkpoints.glob("step-*"), *self.checkpoints.glob(".step-*")):  # the latter a kill left
            if old != folder:
                shutil.rmtree(old, ignore_errors=True)

    def log(self, record: Mapping[str, Any]) -> None:
        """Append one record to metrics.jsonl."""
        with self.metrics_file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record, allow_nan=False) + "\n")

    def records(self) -> list[dict[str, Any]]:
        """All records of metrics.jsonl; a last line cut by a crash is left out."""
        if not self.metrics_file.is_file():
            return []
        lines = self.metrics_file.read_text(encoding="utf-8").split("\n")[:-1]
        return [json.loads(line) for line in lines]

    def labels(self) -> dict[Modality, NDArray[np.int64]]:
        """The classes that the newest checkpoint was trained on, by modality; none without a checkpoint."""
        found = self._newest()
        return {Modality(name): value.numpy() for name, value in found.part("labels").items()} if found else {}

    def forget_after(self, step: int) -> None:
        """Drop the records of steps that will be taken again."""
        kept = [json.dumps(record) for record in self.records() if record["step"] < step]
        with new_file(self.metrics_file) as temporary:
            temporary.write_text("".join(line + "\n" for line in kept), encoding="utf-8")

    def _refuse_other_recipe(self, recipe: Recipe) -> None:
        stored = self.recipe()
        if stored.digest == recipe.digest:
            return
        old, new = _flat(stored.resolved()), _flat(recipe.resolved())
        differing = [key for key in old | new if old.get(key) != new.get(key) and key not in {"data.root", "workers"}]
        changes = ", ".join(f"{key} was {old.get(key)!r}, now {new.get(key)!r}" for key in differing)
        raise UsageError(f"{self.path} was begun with another recipe ({changes}); choose another --out")

    def _newest(self) -> Checkpoint | None:
        found = sorted(self.checkpoints.glob("step-*/state.json"))
        if not found:
            return None
        values = json.loads(found[-1].read_text(encoding="utf-8"))
        return Checkpoint(tensors=load_file(found[-1].with_name("state.safetensors")), values=values)


def flat_numbers(values: Mapping[str, Any], prefix: str) -> dict[str, float]:
    """The numbers of nested records, each by its path (`labels/visible/clusters`)."""
    found: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= flat_numbers(value, f"{prefix}/{name}")
        elif isinstance(value, int | float):
            found[f"{prefix}/{name}"] = float(value)
    return found


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(values, dict):
        items = values.items()
    elif isinstance(values, list) and values and isinstance(values[0], dict):
        items = {str(item.get("name", place)): item for place, item in enumerate(values)}.items()
    else:
        return {prefix: values}
    return {
        key: value
        for name, child in items
        for key, value in _flat(child, f"{prefix}.{name}" if prefix else name).items()
    }
