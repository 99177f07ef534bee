"""Reproduce a published method on the data set that its holder has: look at the data, train, test, and compare."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vireid.data import Dataset, open_dataset
from vireid.data.doctor import LAYOUTS, Check, Diagnosis, Level, examine
from vireid.errors import DataError, UsageError, choose
from vireid.files import write_json
from vireid.methods.bundle import Bundle
from vireid.methods.encoder import choose_device
from vireid.study.deviations import deviations_of
from vireid.study.environment import environment
from vireid.study.evaluations import keep_evaluation
from vireid.study.published import Published, published
from vireid.study.reproduction import Reproduction, settings_of
from vireid.training.loop import train
from vireid.training.measure import measure
from vireid.training.recipe import Recipe, load_recipe
from vireid.training.run import Run
from vireid.types import Say, Track, silent, untracked

__all__ = ["reproduce"]

_LEFT_OUT = ("val", "visible-to-visible")  # the one is trained on, the other crosses no modality
_SHOWN = 5
_DIAGNOSIS = "doctor.json"


def reproduce(
    name: str,
    *,
    kind: str,
    root: Path,
    out: Path,
    models: Sequence[Path] = (),
    overrides: Sequence[str] = (),
    splits: Sequence[int] = (),
    pictures: bool = True,
    device: str | None = None,
    track: Track = untracked,
    say: Say = silent,
) -> Reproduction:
    """Reproduce the published method `name` in the folder `out`; the same call goes on where it was stopped.

    Args:
        name: one of `published_names()`.
        kind: `sysu`, `regdb` or `llcm`.
        root: where that data set lies.
        out: folder to write: the runs, `reproduction.json` and `reproduction.md`.
        models: bundles or run folders to test in place of training; on RegDB one for each split.
        overrides: changes to the shipped recipe; the result names each.
        splits: of RegDB; none: all.
        pictures: let the doctor open every picture, not look at names, lists and counts alone.
        device: `cpu` or `cuda`; None: CUDA where there is one.

    Raises:
        UsageError: unknown names, or options that do not go together. DataError: the doctor finds errors.
        LeakError: a model was trained on people of the test.
    """
    paper = published(name)
    choose(kind, LAYOUTS, "kind of data set")
    choose_device(device)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("reproduce is one process; train with torchrun and `vireid train`, then add --model RUN")
    if models and (overrides or splits):
        raise UsageError("--set and --split belong to training; the models given are tested as they are")
    if splits and kind != "regdb":
        raise UsageError(f"--split belongs to RegDB; {kind} has one training set")
    bundles = [_open(path, paper, kind) for path in models]
    recipe = None if bundles else _recipe(paper, kind, overrides, root)
    diagnosis = _examined(kind, root, out, pictures=pictures, track=track, say=say)
    dataset = open_dataset(kind, root)
    kit = _Kit(dataset, out, device=device, track=track, say=say)
    tested = kit.models(bundles) if recipe is None else kit.trained(recipe, splits)
    evaluations = kit.tested(tested)
    result = _result(name, paper, dataset, diagnosis, tested, evaluations, recipe=recipe, device=device)
    result.save(out)
    return result


@dataclass(frozen=True, kw_only=True)
class _Model:
    """A model to test, and the run that trained it here."""

    name: str
    bundle: Bundle
    run: Run | None = None


class _Kit:
    """Training and testing on one data set in one folder."""

    def __init__(self, dataset: Dataset, out: Path, *, device: str | None, track: Track, say: Say) -> None:
        self.dataset, self.out, self.device, self.track, self.say = dataset, out, device, track, say

    def models(self, bundles: Sequence[Bundle]) -> list[_Model]:
        """Released models by split, or the one of a set without splits."""
        names = [_split(bundle.card.protocol) or "model" for bundle in bundles]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            what = f"two models of {twice}" if twice != "model" else f"{len(names)} models for one training set"
            raise UsageError(f"{what} of {self.dataset.name}; give each once")
        return [_Model(name=name, bundle=bundle) for name, bundle in zip(names, bundles, strict=True)]

    def trained(self, recipe: Recipe, splits: Sequence[int]) -> list[_Model]:
        """Train what is not trained yet: one model, or one for each split."""
        protocols = _training_protocols(self.dataset, splits)
        found = []
        for number, (name, protocol) in enumerate(protocols.items(), start=1):
            self.say(f"training {number}/{len(protocols)}: {name}")
            choice = recipe.data.model_copy(update={"root": self.dataset.root, "protocol": protocol})
            run = Run(self.out / "runs" / name)
            bundle = train(
                recipe.model_copy(update={"data": choice}),
                self.dataset,
                run,
                resume=run.recipe_file.is_file(),
                device=self.device,
                track=self.track,
                say=self.say,
            )
            found.append(_Model(name=name, bundle=bundle, run=run))
        return found

    def tested(self, models: Sequence[_Model]) -> dict[str, list[dict[str, Any]]]:
        """Results of every protocol that tests a model, by setting: on RegDB the direction."""
        found: dict[str, list[dict[str, Any]]] = {}
        for model in models:
            split = _split(model.bundle.card.protocol)
            for protocol in self.dataset.protocols():
                if protocol in _LEFT_OUT or _split(protocol) != split:
                    continue
                self.say(f"testing {model.name}: {protocol}")
                setting = protocol.removeprefix(f"{split}-") if split else protocol
                found.setdefault(setting, []).append(self._test(model, protocol))
        return found

    def _test(self, model: _Model, protocol: str) -> dict[str, Any]:
        chosen = self.dataset.protocol(protocol)
        folder = (model.run.path if model.run else self.out / model.name) / "embeddings"
        result = measure(
            model.bundle, self.dataset, chosen, folder=folder, device=self.device, track=self.track, say=self.say
        )
        values = result.to_json()
        if model.run:
            keep_evaluation(model.run.path, model.bundle, chosen, result)
            model.bundle.record(values)
        return values


def _open(path: Path, paper: Published, kind: str) -> Bundle:
    bundle = Bundle.open(path)
    if bundle.method_name != paper.method:
        raise UsageError(f"{path} is a model of {bundle.method_name!r}; {paper.title} is one of {paper.method!r}")
    if bundle.card.dataset_kind != kind:
        raise UsageError(f"{path} was trained on {bundle.card.dataset} ({bundle.card.dataset_kind}), not on {kind}")
    return bundle


def _recipe(paper: Published, kind: str, overrides: Sequence[str], root: Path) -> Recipe:
    shipped = load_recipe(f"{paper.recipe}-{kind}").data
    recipe = load_recipe(f"{paper.recipe}-{kind}", overrides)
    if recipe.method != paper.method:
        raise UsageError(f"{paper.title} is method {paper.method!r}; --set method={recipe.method} makes it another one")
    for field, option in (("root", "--data"), ("kind", "--kind"), ("protocol", "--split")):
        if getattr(recipe.data, field) != getattr(shipped, field):
            raise UsageError(f"data.{field} is said with {option}, not with --set")
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"root": root.absolute()})})


def _examined(kind: str, root: Path, out: Path, *, pictures: bool, track: Track, say: Say) -> Diagnosis:
    """The doctor's diagnosis, kept in the folder; errors end the reproduction before it costs anything."""
    say("the doctor looks at the data set")
    diagnosis = examine(root, layout=kind, pictures=pictures, track=track)
    write_json(out / _DIAGNOSIS, diagnosis.to_json())
    if not diagnosis.healthy:
        codes = list(dict.fromkeys(f.code for f in diagnosis.findings if f.level is Level.ERROR))
        raise DataError(
            f"{root} is not the data set that {kind} stands for ({', '.join(codes[:_SHOWN])}): results would not be "
            f"comparable. See what is wrong: vireid data doctor {root} --layout {kind}"
        )
    if diagnosis.root != root.absolute():
        raise UsageError(f"the data set lies in {diagnosis.root}; add --data {diagnosis.root}")
    return diagnosis


def _training_protocols(dataset: Dataset, splits: Sequence[int]) -> dict[str, str]:
    """A protocol for each model to train, by the model's name."""
    found: dict[str, str] = {}
    for protocol in dataset.known_protocols():
        split = _split(protocol)
        if split:
            found.setdefault(split, protocol)
    if not found:
        return {"model": dataset.default_protocol}
    wanted = [choose(f"split{number}", found, f"split of {dataset.name}") for number in splits] or list(found)
    return {name: found[name] for name in dict.fromkeys(wanted)}


def _split(protocol: str) -> str | None:
    """The split that a protocol of RegDB names."""
    return protocol.partition("-")[0] if protocol.startswith("split") else None


def _result(
    name: str,
    paper: Published,
    dataset: Dataset,
    diagnosis: Diagnosis,
    tested: Sequence[_Model],
    evaluations: dict[str, list[dict[str, Any]]],
    *,
    recipe: Recipe | None,
    device: str | None,
) -> Reproduction:
    official = dataset.expected is None
    bundles = [model.bundle for model in tested]
    warnings = dict.fromkeys(f.code for f in diagnosis.findings if f.level is Level.WARNING)
    return Reproduction.of(
        {
            "format": 1,
            "method": name,
            "title": paper.title,
            "paper": paper.paper,
            "trained": recipe is not None,
            "data": {
                "name": dataset.name,
                "kind": dataset.kind,
                "version": dataset.version,
                "fingerprint": dataset.fingerprint,
                "doctor": {
                    "warnings": list(warnings),
                    "pictures": all(check.level is not Level.SKIPPED for check in _opening(diagnosis)),
                },
            },
            "settings": settings_of(evaluations, paper, dataset.kind, compared=official),
            "not_compared": None if official else _incomparable(dataset),
            "deviations": deviations_of(paper, dataset, bundles, [model.name for model in tested], recipe=recipe),
            "models": [_told(model) for model in tested],
            "environment": environment(device),
            "evaluations": evaluations,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    )


def _opening(diagnosis: Diagnosis) -> list[Check]:
    return [check for check in diagnosis.checks if check.name == "pictures"]


def _incomparable(dataset: Dataset) -> str:
    return (
        f"Published figures are left out: they were measured on the official data set, and {dataset.name} shows other "
        "pictures, so that the two say nothing of each other."
    )


def _told(model: _Model) -> dict[str, Any]:
    card = model.bundle.card
    seconds = sum(record.get("seconds", 0.0) for record in model.run.records()) if model.run else None
    return {
        "name": model.name,
        "bundle": model.bundle.digest,
        "recipe": card.recipe,
        "seed": card.seed,
        "imported": card.imported,
        "training_seconds": None if seconds is None else round(seconds, 1),
    }
