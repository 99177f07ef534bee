"""Which parts of the two modalities belong together, and how often each answer was the best one."""

from __future__ import annotations

from functools import cache
from itertools import permutations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.nn import functional as F

from vireid.errors import UsageError

__all__ = [
    "MatchCounts",
    "best_matchings",
    "inverse",
    "mask_overlaps",
    "matched",
    "numbers_of",
    "partners",
    "permutation_table",
]

_ENUMERATED = 6  # up to so many parts all permutations are tried where the tensors are


def partners(labels: Tensor, others: Tensor, shift: int) -> Tensor:
    """For each of labels (N,) the place among others (M,) of one of the same identity -> (N,) int64.

    The k-th of an identity gets the (k + shift)-th there, around the end. Batches hold pictures in random order, so
    with a shift drawn every step this is a random one, and the same on one process as on several.

    Raises:
        UsageError: an identity is not among the others.
    """
    same = labels[:, None] == others[None, :]
    counts = same.sum(dim=1)
    if not bool((counts > 0).all()):
        missing = int(labels[counts == 0][0])
        raise UsageError(
            f"cal pairs every picture with one of the other modality; class {missing} has none in this batch"
        )
    wanted = (_place(labels) + shift) % counts
    return (same & (_place(others)[None, :] == wanted[:, None])).int().argmax(dim=1)


def mask_overlaps(masks: Tensor, others: Tensor, *, cosine: bool) -> Tensor:
    """Inner products (N, parts, parts) of masks (N, parts, positions) and others, or their cosines; in [0, 1]."""
    with torch.autocast(masks.device.type, enabled=False):
        if cosine:
            masks, others = F.normalize(masks, dim=2), F.normalize(others, dim=2)
        return torch.bmm(masks, others.transpose(1, 2))


def best_matchings(overlaps: Tensor) -> Tensor:
    """The permutation m with the greatest sum of overlaps[u, m[u]], by its number -> (N,) int64; no gradient.

    overlaps: (N, parts, parts). Numbers count permutations in lexicographic order; the first of equals is taken. Up to
    6 parts all are tried on the tensors' device, beyond that the Hungarian algorithm runs on the CPU.
    """
    values, parts = overlaps.detach(), overlaps.shape[1]
    if parts > _ENUMERATED:
        chosen = [linear_sum_assignment(one, maximize=True)[1] for one in values.double().cpu().numpy()]
        return numbers_of(torch.from_numpy(np.stack(chosen))).to(overlaps.device)
    table = permutation_table(parts).to(overlaps.device)
    totals = values[:, torch.arange(parts, device=overlaps.device), table].sum(dim=2)  # (N, permutations)
    return totals.argmax(dim=1)


def matched(values: Tensor, numbers: Tensor) -> Tensor:
    """values[n, u, m_n[u]] of values (N, parts, parts) and matchings by number (N,) -> (N, parts)."""
    chosen = permutation_table(values.shape[1]).to(values.device)[numbers]
    return values.gather(2, chosen[:, :, None]).squeeze(2)


def inverse(numbers: Tensor, parts: int) -> Tensor:
    """Numbers (N,) of the inverse permutations."""
    table = permutation_table(parts).to(numbers.device)
    return numbers_of(table[numbers].argsort(dim=1))


def numbers_of(chosen: Tensor) -> Tensor:
    """Numbers (N,) of permutations (N, parts), counted in lexicographic order from 0."""
    parts = chosen.shape[1]
    number = torch.zeros(len(chosen), dtype=torch.int64, device=chosen.device)
    for place in range(parts):
        smaller = (chosen[:, place + 1 :] < chosen[:, place, None]).sum(dim=1)
        number = number * (parts - place) + smaller
    return number


class MatchCounts(nn.Module):
    """How often each permutation was the best, from part u of infrared pictures to part m[u] of visible ones."""

    counts: Tensor

    def __init__(self, parts: int) -> None:
        super().__init__()
        self.parts = parts
        self.register_buffer("counts", torch.zeros(len(permutation_table(parts)), dtype=torch.int64))

    def add(self, numbers: Tensor) -> None:
        self.counts += torch.bincount(numbers, minlength=len(self.counts))

    def winner(self) -> Tensor:
        """The most frequent permutation (parts,); of equals the one with more frequent edges, then the first."""
        table = permutation_table(self.parts).to(self.counts.device)
        parts = torch.arange(self.parts, device=self.counts.device)
        edges = torch.zeros(self.parts, self.parts, dtype=torch.int64, device=self.counts.device)
        edges.index_put_((parts.expand_as(table), table), self.counts[:, None].expand_as(table), accumulate=True)
        support = edges[parts, table].sum(dim=1).masked_fill(self.counts < self.counts.max(), -1)
        return table[support.argmax()]


def permutation_table(parts: int) -> Tensor:
    """All permutations (parts!, parts) int64 in lexicographic order."""
    return torch.tensor(_permutations(parts))


@cache
def _permutations(parts: int) -> NDArray[np.int64]:
    return np.array(list(permutations(range(parts))), dtype=np.int64)


def _place(labels: Tensor) -> Tensor:
    """(N,) how many of the same identity stand before each."""
    return (labels[:, None] == labels[None, :]).tril(-1).sum(dim=1)
