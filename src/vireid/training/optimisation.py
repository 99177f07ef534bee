"""Optimiser, learning rate and gradient scale of one phase, with all their state as tensors and numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from vireid.methods.base import ParameterGroup
from vireid.training.recipe import Phase
from vireid.training.run import Checkpoint
from vireid.types import Clock

__all__ = ["Optimisation", "only_these_train"]


@contextmanager
def only_these_train(module: nn.Module, groups: list[ParameterGroup]) -> Iterator[None]:
    """Meanwhile, parameters outside `groups` want no gradient: distributed wrappers would wait for theirs."""
    trained = {id(parameter) for group in groups for parameter in group.parameters}
    others = [p for p in module.parameters() if p.requires_grad and id(p) not in trained]
    for parameter in others:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in others:
            parameter.requires_grad_(True)


class Optimisation:
    """The optimiser of a phase. The rate is a pure function of the clock, so there is no schedule to save."""

    def __init__(self, groups: list[ParameterGroup], phase: Phase, *, precision: str) -> None:
        self.phase, self.groups = phase, groups
        self.optimiser = _build([{"params": group.parameters} for group in groups], phase)
        self.scaler = torch.amp.GradScaler("cuda", enabled=precision == "fp16")

    def set_rate(self, clock: Clock) -> float:
        """Set every group's rate for this step; returns the base rate."""
        base = self.phase.optimiser.rate * self.phase.schedule.factor(
            clock.epoch + clock.batch / clock.batches, clock.epochs
        )
        for group, settings in zip(self.groups, self.optimiser.param_groups, strict=True):
            settings["lr"] = base * group.rate
        return base

    def step(self, loss: torch.Tensor) -> None:
        """One backward and one step."""
        self.optimiser.zero_grad(set_to_none=True)
        scaled: torch.Tensor = self.scaler.scale(loss)
        torch.autograd.backward(scaled)
        self.scaler.step(self.optimiser)
        self.scaler.update()

    def tensors(self) -> dict[str, torch.Tensor]:
        """State tensors, named `optimiser.<parameter number>.<what>`."""
        return {
            f"optimiser.{number}.{name}": value
            for number, state in self.optimiser.state_dict()["state"].items()
            for name, value in state.items()
            if isinstance(value, torch.Tensor)
        }

    def values(self) -> dict[str, Any]:
        """State numbers: the gradient scale."""
        return {"scaler": self.scaler.state_dict()}

    def restore(self, found: Checkpoint) -> None:
        """Take the state of a checkpoint of the same phase; one from between two phases holds none."""
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in found.part("optimiser").items():
            number, _, name = key.partition(".")
            state.setdefault(int(number), {})[name] = value
        self.optimiser.load_state_dict({"state": state, "param_groups": self.optimiser.state_dict()["param_groups"]})
        if found.values.get("scaler"):
            self.scaler.load_state_dict(found.values["scaler"])


def _build(groups: list[dict[str, Any]], phase: Phase) -> torch.optim.Optimizer:
    options = phase.optimiser
    if options.kind in {"sgd", "heavy-ball"}:
        nesterov = options.kind == "sgd" and options.momentum > 0
        return torch.optim.SGD(
            groups, options.rate, momentum=options.momentum, nesterov=nesterov, weight_decay=options.weight_decay
        )
    kind = torch.optim.Adam if options.kind == "adam" else torch.optim.AdamW
    return kind(groups, options.rate, betas=(options.momentum, 0.999), weight_decay=options.weight_decay)
