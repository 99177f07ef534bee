"""Contrast of pictures with memories of clusters.

Dai et al., "Cluster Contrast for Unsupervised Person Re-identification", ACCV 2022. A memory (K, D) holds a unit row
for each cluster; it is no parameter, and moves towards the pictures that belong to it.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["MemoryUpdate", "cluster_contrast", "updated_memory"]

MemoryUpdate = Literal["mean", "sequential", "hard"]


def cluster_contrast(queries: Tensor, memory: Tensor, labels: Tensor, *, temperature: float) -> Tensor:
    """Mean over queries (B, D) of -log softmax(memory . query / temperature) at their label; a scalar in fp32.

    Labels below 0 do not count; where none counts the loss is an exact 0 without gradient.
    """
    kept = labels >= 0
    if not bool(kept.any()):
        return queries.new_zeros((), dtype=torch.float32)
    with torch.autocast(queries.device.type, enabled=False):
        logits = queries[kept].float() @ memory.detach().float().T / temperature
    return F.cross_entropy(logits, labels[kept])


@torch.no_grad()
def updated_memory(
    memory: Tensor, queries: Tensor, labels: Tensor, *, momentum: float, how: MemoryUpdate = "mean"
) -> Tensor:
    """The memory (K, D) after queries (B, D) with labels (B,): momentum * old + (1 - momentum) * query, unit rows.

    mean: each cluster meets the mean of its queries, once. hard: the one least like it. sequential: each of them in the
    order of the batch. Labels below 0 change nothing; a new tensor is returned.
    """
    memory = memory.clone()
    kept = labels >= 0
    if not bool(kept.any()):
        return memory
    queries, labels = queries[kept].to(memory.dtype), labels[kept]
    if how == "sequential":
        for query, label in zip(queries, labels.tolist(), strict=True):
            memory[label] = F.normalize(momentum * memory[label] + (1 - momentum) * query, dim=0)
        return memory
    present, place = torch.unique(labels, return_inverse=True)
    member = torch.arange(len(present), device=place.device)[:, None] == place
    if how == "hard":
        alike = (queries * memory[labels]).sum(dim=1)
        met = queries[alike.expand(len(present), -1).masked_fill(~member, torch.inf).argmin(dim=1)]
    else:
        met = member.to(queries.dtype) @ queries / member.sum(dim=1, keepdim=True)
    memory[present] = F.normalize(momentum * memory[present] + (1 - momentum) * met, dim=1)
    return memory
