"""The training loop: for every phase and epoch relabel, then losses, one backward, step; validate; checkpoint.

A step depends on (seed, phase, epoch, batch) and the state of the checkpoint alone, so that a run that was killed
ends, after resuming, with the same bits on a CPU.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch.utils.tensorboard import SummaryWriter

from vireid.data import Dataset
from vireid.data.loaders import RawView, TrainingLoader
from vireid.data.samplers import Share
from vireid.errors import TrainingError, UsageError
from vireid.methods import method_class
from vireid.methods.base import Labels, Method
from vireid.methods.bundle import Bundle, Card, save_bundle
from vireid.methods.encoder import choose_device
from vireid.training.distributed import share_batch_statistics, taken_from_first, tensors_of_first
from vireid.training.interruption import Interruption
from vireid.training.optimisation import Optimisation, only_these_train
from vireid.training.pictures import TrainingData
from vireid.training.recipe import Phase, Recipe
from vireid.training.run import Checkpoint, Run, flat_numbers
from vireid.types import Clock, Say, Track, silent, untracked

__all__ = ["Training", "train"]

_STEP_STREAM = 3  # first word of the seed of what a step draws (dropout)


def train(
    recipe: Recipe,
    dataset: Dataset,
    out: Run,
    *,
    resume: bool = False,
    device: str | None = None,
    track: Track = untracked,
    say: Say = silent,
) -> Bundle:
    """Train as the recipe says, into the run folder `out`; a finished run that is resumed gives its bundle at once.

    device: `cpu` or `cuda` (default: CUDA where there is one). say: is told what is trained from which start.

    Raises:
        UsageError: the folder holds another run. TrainingError: a loss is not a number, too few identities, ...
        KeyboardInterrupt: stopped by a signal; a checkpoint was written and `resume` goes on from it.
    """
    data = TrainingData.of(dataset, recipe)
    torch.manual_seed(recipe.seed)
    method = method_class(recipe.method)(recipe.method_options(), data.info(recipe))
    return Training(recipe, method, data, out, device=device, track=track, say=say).run(resume=resume)


def _accelerator(device: str | None) -> Accelerator:
    """The launcher's processes on `device`; a process keeps the device that its first run chose."""
    wanted = choose_device(device).type
    try:
        accelerator = Accelerator(cpu=wanted == "cpu")
    except ValueError as error:
        raise UsageError(f"this process cannot train on {wanted} any more: {error}") from error
    if accelerator.device.type != wanted:
        raise UsageError(f"this process trained on {accelerator.device.type} before; train on {wanted} in another one")
    return accelerator


class Training:
    """One run in progress, of any `Method`; `train` builds it from a recipe.

    teacher: the card of the model that this one learns from, if it learns from one.
    """

    def __init__(
        self,
        recipe: Recipe,
        method: Method,
        data: TrainingData,
        out: Run,
        *,
        teacher: Card | None = None,
        device: str | None = None,
        track: Track = untracked,
        say: Say = silent,
    ) -> None:
        self.recipe, self.data, self.out, self.track, self.teacher = recipe, data, out, track, teacher
        self.accelerator = _accelerator(device)
        self.device = self.accelerator.device
        if recipe.precision == "fp16" and self.device.type != "cuda":
            raise UsageError("precision=fp16 needs a CUDA device; on a CPU use precision=bf16 or fp32")
        self.method = method
        self.main = self.accelerator.is_main_process
        self._say = say if self.main else silent
        self.step = 0
        self.best: dict[str, float] | None = None
        self.labels: Labels = data.labels

    def run(self, *, resume: bool) -> Bundle:
        """Train from the beginning, or from the newest checkpoint, to the end; returns the bundle."""
        found = self.out.find(self.recipe, resume=resume)
        self.accelerator.wait_for_everyone()  # all have looked before the first one writes
        if found:
            self._refuse_other_pictures(found)
        if found and found.values["phase"] == len(self.recipe.phases) and self.out.bundle_folder.exists():
            return Bundle.open(self.out.bundle_folder)
        self._say(self.data.describe(supervised=self.method.supervised))
        if found:
            self._say(f"resuming at step {found.values['step']}")
        else:
            self._begin()
        self.data = self.data.cached(self.recipe, track=self.track, say=self._say)
        if self.main and not found:
            self.out.create(self.recipe)
        self.method.to(self.device).to(memory_format=torch.channels_last)
        if self.accelerator.num_processes > 1 and self.recipe.synchronise_batch_norm:
            share_batch_statistics(self.method)
        first = self._restore(found) if found else 0
        if self.main:
            self.out.forget_after(self.step)
        self.board = SummaryWriter(str(self.out.path / "tensorboard"), purge_step=self.step) if self.main else None
        with Interruption() as self.interruption:
            for number in range(first, len(self.recipe.phases)):
                self._phase(number, found if number == first else None)
                found = None
        if self.board:
            self.board.close()
        return self._finish()

    def _refuse_other_pictures(self, found: Checkpoint) -> None:
        if found.values["data"] != self.data.dataset.fingerprint:
            raise UsageError(
                f"{self.out.path} was trained on other pictures (data fingerprint {found.values['data'][:12]}, now "
                f"{self.data.dataset.fingerprint[:12]}); give it the same data, or choose another --out"
            )

    def _begin(self) -> None:
        """Take the start weights. Everything that can be wrong with a new run is found before its folder is made."""
        report = self.method.load_start(self.recipe.start)
        self._loader(0, 0, self.labels if self.method.supervised else self.data.without_labels())
        self._say(str(report or "start weights: none"))

    def _phase(self, number: int, found: Checkpoint | None) -> None:
        phase = self.recipe.phases[number]
        groups = self.method.parameter_groups(phase.name)
        optimisation = Optimisation(groups, phase, precision=self.recipe.precision)
        if found:
            optimisation.restore(found)
        with only_these_train(self.method, groups):
            self._epochs(number, found, optimisation)

    def _epochs(self, number: int, found: Checkpoint | None, optimisation: Optimisation) -> None:
        phase = self.recipe.phases[number]
        model = self.accelerator.prepare_model(self.method)
        first = int(found.values["epoch"]) if found else 0
        for epoch in range(first, phase.epochs):
            begin = int(found.values["batch"]) if found and epoch == first else 0
            self._epoch(number, epoch, begin, model, optimisation)
            ended = epoch + 1 == phase.epochs
            if ended:
                with torch.no_grad():
                    self.method.end_phase(self._pictures(), self._clock(phase, epoch, 0, 1))
            self._validate(phase, epoch)
            position = (number + 1, 0, 0) if ended else (number, epoch + 1, 0)
            self._save(position, None if ended else optimisation)
            if self._asked_to_stop() and position[0] < len(self.recipe.phases):
                raise KeyboardInterrupt

    def _epoch(self, number: int, epoch: int, begin: int, model: torch.nn.Module, optimisation: Optimisation) -> None:
        phase = self.recipe.phases[number]
        if begin == 0:
            self._relabel(phase, epoch)
        loader = self._loader(number, epoch, self.labels)
        batches = len(loader)
        raw_batches = loader.batches(start=begin, workers=self.recipe.workers, pin=self.device.type == "cuda")
        description = f"{phase.name} {epoch + 1}/{phase.epochs}"
        tracked = self.track(raw_batches, description=description, total=batches - begin)
        self.method.train()
        for batch, raw in enumerate(tracked, start=begin):
            self._step(raw, self._clock(phase, epoch, batch, batches), model, optimisation)
            self.step += 1
            if batch + 1 == batches:
                continue  # the end of the epoch has a checkpoint of its own
            stop = self._asked_to_stop()
            if stop or self.step % self.recipe.checkpoint_every == 0:
                self._save((number, epoch, batch + 1), optimisation)
            if stop:
                raise KeyboardInterrupt

    def _relabel(self, phase: Phase, epoch: int) -> None:
        """Ask for the coming epoch's labels. All processes look; they go on with what the first one found."""
        with torch.no_grad():
            found = self.method.relabel(self._pictures(), self._clock(phase, epoch, 0, 1))
        if found is None:
            return
        if self.accelerator.num_processes > 1:
            found = taken_from_first(found, self.device)
            state = tensors_of_first(self.method.training_state(), self.device)
            self.method.load_training_state(state)
        self.labels = found
        record = {"step": self.step, "phase": phase.name, "epoch": epoch}
        self._log(record | {"labels": self.data.label_figures(found)})
        for note in found.notes:
            self._say(f"{phase.name}, epoch {epoch}: {note}")

    def _step(
        self, raw: Mapping[str, RawView], clock: Clock, model: torch.nn.Module, optimisation: Optimisation
    ) -> None:
        started = time.perf_counter()
        torch.manual_seed(int(np.random.SeedSequence([_STEP_STREAM, self.recipe.seed, self.step]).generate_state(1)[0]))
        image = self.recipe.image
        batch = {name: view.to_view(self.device, image.mean, image.std) for name, view in raw.items()}
        rate = optimisation.set_rate(clock)
        with self._autocast():
            losses, embeddings = model(batch, clock)
        total = torch.stack([loss.float() for loss in losses.values()]).sum()
        values = {name: float(loss.detach()) for name, loss in losses.items()}
        for name, value in values.items():
            if not math.isfinite(value):
                raise TrainingError(
                    f"{self.method.name}: loss {name!r} is {value} at step {self.step} ({clock.phase}, epoch "
                    f"{clock.epoch}, batch {clock.batch}); lower the learning rate, or use precision=fp32"
                )
        optimisation.step(total)
        with torch.no_grad():
            self.method.after_step(batch, embeddings, clock)
        record = {"step": self.step, "phase": clock.phase, "epoch": clock.epoch, "batch": clock.batch, "rate": rate}
        self._log(record | {"loss": sum(values.values()), "losses": values}, seconds=time.perf_counter() - started)

    def _asked_to_stop(self) -> bool:
        """Whether any process was asked to stop: all must leave after the same step."""
        if self.accelerator.num_processes == 1:
            return self.interruption.asked
        flag = torch.tensor(float(self.interruption.asked), device=self.device)
        torch.distributed.all_reduce(flag)
        return bool(flag)

    def _autocast(self) -> torch.autocast:
        precision = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[self.recipe.precision]
        return torch.autocast(self.device.type, precision, enabled=precision is not torch.float32)

    def _loader(self, number: int, epoch: int, labels: Labels) -> TrainingLoader:
        share = Share(rank=self.accelerator.process_index, world=self.accelerator.num_processes)
        return self.data.loader(self.recipe, self.method.views(), labels, phase=number, epoch=epoch, share=share)

    def _clock(self, phase: Phase, epoch: int, batch: int, batches: int) -> Clock:
        return Clock(
            phase=phase.name,
            epoch=epoch,
            epochs=phase.epochs,
            batch=batch,
            batches=batches,
            step=self.step,
            seed=self.recipe.seed,
        )

    def _pictures(self) -> Any:
        return self.data.pictures_for(self.method, self.recipe, device=self.device, track=self.track)

    def _validate(self, phase: Phase, epoch: int) -> None:
        """On the training identities held out, if any: keep the bundle of the best epoch."""
        due = (epoch + 1) % self.recipe.data.validate_every == 0 or epoch + 1 == phase.epochs
        if not self.main or not self.data.held_out or not due:
            return
        found = self.data.validate(self.method, self.recipe, device=self.device, track=self.track)
        self._log({"step": self.step - 1, "phase": phase.name, "epoch": epoch, "validation": found})
        if self.best is None or found["mAP"] > self.best["mAP"]:
            self.best = {"phase": phase.name, "epoch": epoch} | found  # type: ignore[assignment]
            self._bundle()

    def _finish(self) -> Bundle:
        self.accelerator.wait_for_everyone()
        if self.main and self.best is None:
            self._bundle()
        self.accelerator.wait_for_everyone()
        return Bundle.open(self.out.bundle_folder)

    def _bundle(self) -> None:
        card: Card = self.data.card(self.recipe, version("vireid"), teacher=self.teacher)
        save_bundle(self.out.bundle_folder, self.method.learnt(), preprocessing=self.recipe.image, card=card)

    def _log(self, record: dict[str, Any], *, seconds: float | None = None) -> None:
        if not self.main or self.board is None:
            return
        self.out.log(record if seconds is None else record | {"seconds": round(seconds, 4)})
        scalars = {"loss": record["loss"], "rate": record["rate"]} if "loss" in record else {}
        labels = flat_numbers(record.get("labels", {}), "labels")
        for name, value in {**scalars, **record.get("losses", {}), **record.get("validation", {}), **labels}.items():
            self.board.add_scalar(name, value, record["step"])

    def _save(self, position: tuple[int, int, int], optimisation: Optimisation | None) -> None:
        self.accelerator.wait_for_everyone()
        if not self.main:
            return
        tensors = {f"model.{name}": value for name, value in self.method.state_dict().items()}
        tensors |= {f"training.{name}": value for name, value in self.method.training_state().items()}
        tensors |= {f"labels.{modality}": torch.from_numpy(values) for modality, values in self.labels.of.items()}
        values: dict[str, Any] = dict(zip(("phase", "epoch", "batch"), position, strict=True))
        values |= {"step": self.step, "best": self.best, "paired": self.labels.paired}
        values["across_cameras"] = self.labels.across_cameras
        values["data"] = self.data.dataset.fingerprint
        if optimisation:
            tensors |= optimisation.tensors()
            values |= optimisation.values()
        self.out.save(Checkpoint(tensors=tensors, values=values))

    def _restore(self, found: Checkpoint) -> int:
        self.method.load_state_dict(found.part("model"))
        of = {modality: found.part("labels")[modality].numpy() for modality in self.labels.of}
        self.labels = Labels(
            of=of, paired=bool(found.values["paired"]), across_cameras=bool(found.values["across_cameras"])
        )
        self.method.load_training_state(found.part("training"))
        self.step, self.best = int(found.values["step"]), found.values["best"]
        return int(found.values["phase"])
