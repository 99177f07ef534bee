"""Distillation: a small network learns the vectors of a trained model, on pictures that nobody labelled.

What is taught is what the model's vector says (`vector_distillation`, through a projection that is thrown away) and how
pictures of a batch are alike (`similarity_distillation`). The teacher looks at the same changed picture as the student:
Beyer et al., "Knowledge Distillation: A Good Teacher Is Patient and Consistent", CVPR 2022.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from vireid.data import Dataset, open_dataset
from vireid.data.transforms import normalise
from vireid.errors import UsageError
from vireid.files import write_json
from vireid.losses import gather
from vireid.losses.distillation import similarity_distillation, vector_distillation
from vireid.matching import Dot
from vireid.methods import create
from vireid.methods.agw import AGW
from vireid.methods.base import Method, unit
from vireid.methods.bundle import Bundle
from vireid.networks.modes import evaluating
from vireid.networks.weights import LoadReport
from vireid.options import Options
from vireid.training.loop import Training
from vireid.training.pictures import TrainingData
from vireid.training.recipe import Recipe, load_recipe
from vireid.training.run import Run
from vireid.types import Batch, Clock, Embeddings, Modality, Say, Track, ViewRequest, silent, untracked

__all__ = ["Distillation", "Student", "Teacher", "distill"]

RECIPE, SETTINGS = "agw-distill", "distillation.json"


class Distillation(Options):
    """What of a teacher is taught, and how strongly."""

    vector: float = Field(1.0, ge=0.0, description="weight of the angle between the two vectors")
    similarity: float = Field(1.0, ge=0.0, description="weight of how pictures of a batch are alike")
    temperature: float = Field(0.05, gt=0.0, description="of likeness: the lower, the more the most alike count")

    @model_validator(mode="after")
    def _something(self) -> Distillation:
        if not self.vector and not self.similarity:
            raise ValueError("vector and similarity are both 0; nothing would be taught")
        return self


class Teacher:
    """A trained model that is asked and never changes; no part of the student's module, nor of its checkpoints.

    mean, std: how the pictures that it is shown were normalised.
    """

    def __init__(self, bundle: Bundle, *, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        self.method, self.preprocessing = bundle.method(), bundle.preprocessing
        self._device = torch.device("cpu")
        self.mean, self.std = (torch.tensor(values).view(1, 3, 1, 1) for values in (mean, std))
        blank = torch.zeros(1, 3, *self.preprocessing.size)
        with torch.inference_mode(), evaluating(self.method):
            self.width = int(self.method.embed(blank, Modality.VISIBLE).vector.shape[1])

    @torch.no_grad()
    def vectors(self, images: Tensor, modality: Modality) -> Tensor:
        """Unit rows (N, `width`), in fp32, of normalised images (N, 3, H, W) of any size."""
        if images.device != self._device:
            self._device = images.device
            self.method.to(images.device)
            self.mean, self.std = self.mean.to(images.device), self.std.to(images.device)
        seen = (images * self.std + self.mean).clamp(0, 1)
        if tuple(seen.shape[2:]) != self.preprocessing.size:
            seen = F.interpolate(seen, self.preprocessing.size, mode="bilinear", antialias=True).clamp(0, 1)
        pixels = (255 * seen).round().to(torch.uint8)
        inputs = normalise(pixels, self.preprocessing.mean, self.preprocessing.std)
        with evaluating(self.method):
            return self.method.embed(inputs, modality).vector.float()


class Student(Method):
    """AGW's network under a teacher. A bundle keeps the network alone, as `agw`; its classifier is never used."""

    name = "distill"
    title = "A network that learns from a trained model"
    Options = AGW.Options
    supervised: ClassVar[bool] = False

    def __init__(self, network: AGW, teacher: Teacher, settings: Distillation) -> None:
        super().__init__(network.options, network.data)
        self.network, self.settings = network, settings
        self.projection = nn.Linear(network.network.channels, teacher.width, bias=False)
        self._teacher = teacher
        network.head.classifier.requires_grad_(False)

    def load_start(self, source: str) -> LoadReport | None:
        return self.network.load_start(source)

    def learnt(self) -> Method:
        return self.network

    def views(self) -> dict[str, ViewRequest]:
        return self.network.views()

    def embed(self, images: Tensor, modality: Modality) -> Embeddings[Tensor]:
        return self.network.embed(images, modality)

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:  # noqa: ARG002 - no schedule in the losses
        images = {m: [view.images for view in batch.values() if view.modality is m] for m in Modality}
        shown = {m: torch.cat(parts) for m, parts in images.items() if parts}
        taught = torch.cat([self._teacher.vectors(pictures, m) for m, pictures in shown.items()])
        features = self.network.features(shown.get(Modality.VISIBLE), shown.get(Modality.INFRARED))
        losses, settings = {}, self.settings
        if settings.vector:
            losses["vector"] = settings.vector * vector_distillation(self.projection(features), taught)
        if settings.similarity:
            own, theirs = gather(unit(features)), gather(taught)
            alike = similarity_distillation(own, theirs, temperature=settings.temperature)
            losses["similarity"] = settings.similarity * alike
        return losses


def distill(
    teacher: str | Path,
    out: Path,
    *,
    overrides: Sequence[str] = (),
    settings: Distillation | None = None,
    resume: bool = False,
    device: str | None = None,
    track: Track = untracked,
    say: Say = silent,
) -> Bundle:
    """Train a small network from the bundle or run folder `teacher`, into the run folder `out`; returns its bundle.

    Args:
        overrides: changes to the recipe `agw-distill`. Without `data.kind` and `data.root` the pictures are those that
            the teacher was trained on, where its run folder says which; without `image.height` and `image.width` they
            have the teacher's size.
        settings: what is taught. resume: go on with the run in `out`.

    Raises:
        BundleError: there is no teacher, or an export in its place. UsageError: no pictures are named; `out` holds
            another run, or one under another teacher. Others: as `vireid.training.loop.train`.
    """
    settings = settings or Distillation()
    bundle = Bundle.open(teacher)
    recipe = _recipe(Path(teacher), bundle, overrides)
    if recipe.data.root is None:
        raise UsageError(
            f"{teacher} does not say which pictures it was trained on; add data.kind=KIND data.root=PATH "
            "(folders: a folder that holds visible/ and infrared/)"
        )
    run, dataset = Run(out), open_dataset(recipe.data.kind, recipe.data.root)
    run.find(recipe, resume=resume)
    student, data = _student(bundle, dataset, recipe, settings)
    _keep_settings(run, {"teacher": bundle.digest, **settings.model_dump()}, resume=resume)
    say(_described(bundle))
    training = Training(recipe, student, data, run, teacher=bundle.card, device=device, track=track, say=say)
    return training.run(resume=resume)


def _recipe(teacher: Path, bundle: Bundle, overrides: Sequence[str]) -> Recipe:
    """The shipped recipe with the teacher's pictures and size, and the overrides."""
    given = {override.partition("=")[0] for override in overrides}
    found: list[str] = []
    if not given & {"image.height", "image.width"}:
        height, width = bundle.preprocessing.size
        found += [f"image.height={height}", f"image.width={width}"]
    known = Run(teacher)
    if not given & {"data.kind", "data.root"} and known.recipe_file.is_file():
        data = known.recipe().data
        found += [f"data.kind={data.kind}", f"data.root={json.dumps(str(data.root))}"]
        found += [f"data.protocol={bundle.card.protocol}"] if "data.protocol" not in given else []
    recipe = load_recipe(RECIPE, [*found, *overrides])
    if recipe.method != AGW.name:
        raise UsageError(f"a student is the network of {AGW.name}, which method={recipe.method} cannot change")
    if recipe.data.held_out:
        raise UsageError("a student learns without labels, so nobody can be held out by them: leave data.held_out away")
    return recipe


def _student(bundle: Bundle, dataset: Dataset, recipe: Recipe, settings: Distillation) -> tuple[Student, TrainingData]:
    data = TrainingData.of(dataset, recipe, supervised=False)
    data = replace(data, labels=data.without_labels())
    torch.manual_seed(recipe.seed)
    network = create(AGW.name, data=replace(data.info(recipe), identities=1), **recipe.options)
    assert isinstance(network, AGW)
    teacher = Teacher(bundle, mean=recipe.image.mean, std=recipe.image.std)
    return Student(network, teacher, settings), data


def _keep_settings(run: Run, settings: Mapping[str, Any], *, resume: bool) -> None:
    """Write down what decides the student beside the recipe, or compare it with what the run began with."""
    file = run.path / SETTINGS
    if not resume:
        write_json(file, dict(settings))
        return
    begun = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    changes = [
        f"{key} was {begun.get(key)!r}, now {value!r}" for key, value in settings.items() if begun.get(key) != value
    ]
    if changes:
        raise UsageError(f"{run.path} was begun otherwise ({', '.join(changes)}); choose another --out")


def _described(bundle: Bundle) -> str:
    told = f"learning from {bundle.method_name} {bundle.digest[:12]}"
    if bundle.header.matcher != Dot.name:
        told += f": its vector alone, not what its matcher {bundle.header.matcher!r} adds to it"
    return told
