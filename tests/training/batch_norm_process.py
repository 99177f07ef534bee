"""One of two processes that normalise half a batch each; run by test_distributed.py."""

import sys
from pathlib import Path

import torch
from torch import nn

from vireid.training.distributed import share_batch_statistics


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5)).double()


def images() -> torch.Tensor:
    return torch.randn(8, 3, 6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def loss(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    return (model(batch).sin().sum(1) ** 2).sum()


def main(rank: int, folder: Path) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=2)
    model = network()
    share_batch_statistics(model)
    loss(model, images()[rank * 4 : rank * 4 + 4]).backward()
    for parameter in model.parameters():
        torch.distributed.all_reduce(parameter.grad)
    gradients = [parameter.grad for parameter in model.parameters()]
    torch.save({"gradients": gradients, "buffers": list(model.buffers())}, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(int(sys.argv[1]), Path(sys.argv[2]))
