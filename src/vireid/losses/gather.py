"""Rows of all ranks in every rank, with gradient."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["gather", "own_rows"]


def gather(tensor: Tensor) -> Tensor:
    """Rows of all ranks, rank 0 first: (n, ...) -> (ranks * n, ...); the tensor itself where there is one process.

    Every rank must hold the same number of rows. The backward pass sums the gradient over the ranks. So if every rank
    computes the same loss from gathered rows, each gets `ranks` times the gradient of its own rows, and the averaging
    of DistributedDataParallel turns that into the gradient a single process would have had.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return tensor
    gathered: Tensor = _Gather.apply(tensor)
    return gathered


def own_rows(rows: int) -> slice:
    """Where the `rows` of this process stand among those of all: `gather(x)[own_rows(len(x))]` is x."""
    rank = dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
    return slice(rank * rows, (rank + 1) * rows)


class _Gather(torch.autograd.Function):
    """Our own, since torch.distributed.nn.all_gather is deprecated and its successor is not in older versions."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        ctx.rows = len(tensor)
        parts = [torch.empty_like(tensor, memory_format=torch.contiguous_format) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total[own_rows(ctx.rows)]
