"""What stands between pooled parts of a picture and their identity classifiers: one of each for every part."""

import torch
from torch import Tensor, nn

__all__ = ["PartClassifiers", "PartReduction", "reorder_rows"]

_CLASSIFIER_STD = 1e-3


class PartReduction(nn.Module):
    """For every part its own linear map to fewer channels, BatchNorm and ReLU.

    Sun et al., "Beyond Part Models: Person Retrieval with Refined Part Pooling", ECCV 2018.
    """

    def __init__(self, parts: int, channels: int, reduced: int) -> None:
        super().__init__()
        self.parts = parts
        self.linear = nn.Conv1d(parts * channels, parts * reduced, 1, groups=parts, bias=False)  # the norm has one
        self.norm = nn.BatchNorm1d(parts * reduced)
        self.activation = nn.ReLU()

    def forward(self, parts: Tensor) -> Tensor:
        """Pooled parts (N, p, C) -> features (N, p, d), not negative."""
        reduced = self.linear(parts.flatten(1).unsqueeze(2)).squeeze(2)
        features: Tensor = self.activation(self.norm(reduced))
        return features.view(parts.shape[0], self.parts, -1)


class PartClassifiers(nn.Module):
    """For every part its own linear classifier over the training identities."""

    def __init__(self, parts: int, channels: int, identities: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(parts, identities, channels) * _CLASSIFIER_STD)
        self.bias = nn.Parameter(torch.zeros(parts, identities))

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, p, d) -> logits (N, p, identities)."""
        return torch.einsum("npc,pic->npi", features, self.weight) + self.bias

    def reorder(self, order: Tensor) -> None:
        """Make the part that was number order[u] number u."""
        for parameter in (self.weight, self.bias):
            reorder_rows(parameter, order)


@torch.no_grad()
def reorder_rows(parameter: Tensor, order: Tensor) -> None:
    """Row order[u] becomes row u."""
    parameter.copy_(parameter[order.to(parameter.device)])
