"""What makes several processes train as one: batch statistics over all of them, on the CPU too."""

from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from vireid.errors import TrainingError
from vireid.networks.necks import BNNeck

__all__ = ["GlobalBatchNorm", "share_batch_statistics", "taken_from_first", "tensors_of_first"]

ValueT = TypeVar("ValueT")


class _Sum(torch.autograd.Function):
    """Sum over all processes; the gradient is the sum of all processes' gradients."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:  # noqa: ARG004 - autograd's signature
        total = values.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ARG004 - autograd's signature
        total = gradients[0].clone()
        torch.distributed.all_reduce(total)
        return total


class GlobalBatchNorm(_BatchNorm):
    """Batch normalisation whose mean and variance run over the batches of all processes, with gradient.

    torch's own SyncBatchNorm exists for CUDA alone. The variance is taken around the global mean (two reductions), so
    that it is as exact as a single process's.
    """

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 - torch's name
        if input.dim() not in (2, 3, 4):
            raise TrainingError(f"batch normalisation takes 2, 3 or 4 dimensions, not {input.dim()}")

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        self._check_input_dim(input)
        if not self.training:
            return super().forward(input)
        axes = [axis for axis in range(input.dim()) if axis != 1]
        shape = [1, -1] + [1] * (input.dim() - 2)
        values = input.to(torch.promote_types(input.dtype, torch.float32))
        count = values.new_full((1,), values.numel() / values.shape[1])
        total: Tensor = _Sum.apply(torch.cat([values.sum(axes), count]))
        mean, number = total[:-1] / total[-1], total[-1].detach()
        centred = values - mean.view(shape)
        variance: Tensor = _Sum.apply(centred.square().sum(axes)) / number
        self._update(mean.detach(), variance.detach(), number)
        scale = torch.rsqrt(variance + self.eps) * self.weight
        return (centred * scale.view(shape) + self.bias.view(shape)).to(input.dtype)

    @torch.no_grad()
    def _update(self, mean: Tensor, variance: Tensor, number: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        momentum = self.momentum if self.momentum is not None else 1.0 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_((variance * number / (number - 1)).to(self.running_var.dtype), momentum)


def share_batch_statistics(module: nn.Module) -> None:
    """Replace every batch normalisation below `module` by its global form, sharing parameters and buffers.

    A `BNNeck` stays: it sees rows that were gathered from all processes already.

    Raises:
        TrainingError: a normalisation has no global form.
    """
    for name, child in module.named_children():
        if isinstance(child, GlobalBatchNorm | BNNeck):
            continue
        if isinstance(child, _BatchNorm):
            setattr(module, name, _global(child, name))
        else:
            share_batch_statistics(child)


def _global(child: _BatchNorm, name: str) -> GlobalBatchNorm:
    if type(child).forward is not _BatchNorm.forward or not (child.affine and child.track_running_stats):
        raise TrainingError(
            f"cannot share the batch statistics of {name}: {type(child).__name__} is not plain batch normalisation "
            "with parameters and running statistics; set synchronise_batch_norm=false"
        )
    found = GlobalBatchNorm(child.num_features, child.eps, child.momentum)
    found.weight, found.bias = child.weight, child.bias
    found.running_mean, found.running_var = child.running_mean, child.running_var
    found.num_batches_tracked = child.num_batches_tracked
    found.train(child.training)
    return found


def taken_from_first(value: ValueT, device: torch.device) -> ValueT:
    """The first process's value, in every process. All must call it."""
    held: list[Any] = [value]
    torch.distributed.broadcast_object_list(held, src=0, device=device)
    first: ValueT = held[0]
    return first


def tensors_of_first(tensors: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """The first process's tensors by name, whatever the others hold, on `device`. All must call it."""
    shapes = taken_from_first({name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}, device)
    first = torch.distributed.get_rank() == 0
    found = {}
    for name, (shape, dtype) in shapes.items():
        held = tensors[name].to(device).contiguous() if first else torch.empty(shape, dtype=dtype, device=device)
        torch.distributed.broadcast(held, src=0)
        found[name] = held
    return found
