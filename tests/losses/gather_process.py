"""One of several processes that train a small network, each on its rows; run by test_gather.py."""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from vireid.losses import gather, identity_loss, weighted_regularised_triplet
from vireid.networks.necks import IdentityHead


class Toy(torch.nn.Module):
    """A layer that sees this process's rows, and a head that sees all of them."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(5, 4, bias=False)  # no loss here would notice a shift
        self.head = IdentityHead(4, 3)

    def forward(self, inputs, labels):
        rows, labels = gather(self.layer(inputs)), gather(labels)
        _, logits = self.head(rows)
        loss = weighted_regularised_triplet(rows, labels) + identity_loss(logits, labels)
        return loss, rows.detach(), labels


def problem():
    """Inputs (8, 5), labels (8,) and a network, the same in every process."""
    generator = torch.Generator().manual_seed(11)
    inputs = torch.randn(8, 5, generator=generator, dtype=torch.float64)
    toy = Toy().double()
    with torch.no_grad():
        for parameter in toy.parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return inputs, torch.tensor([0, 0, 1, 1, 0, 1, 2, 2]), toy


def main(rank: int, world: int, folder: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=world)
    inputs, labels, toy = problem()
    mine = slice(rank * len(inputs) // world, (rank + 1) * len(inputs) // world)
    model = DistributedDataParallel(toy)  # kept: its hooks average the gradients only while it lives
    loss, rows, all_labels = model(inputs[mine], labels[mine])
    loss.backward()
    gradients = {name: p.grad for name, p in toy.named_parameters() if p.grad is not None}
    torch.save({"rows": rows, "labels": all_labels, "gradients": gradients}, folder / f"{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
