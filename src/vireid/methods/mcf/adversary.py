"""Three-modality adversarial learning: a classifier of modalities, and features that lead it to one answer."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from vireid.networks.modes import evaluating
from vireid.networks.necks import BNNeck

__all__ = ["EXCHANGED", "ModalityClassifier"]

EXCHANGED = 2
"""The class of channel-augmented pictures, after visible (0) and infrared (1): what all are to look like."""

_HIDDEN = (512, 128)


class ModalityClassifier(nn.Sequential):
    """D -> 512 -> 128 -> 3 logits, with BatchNorm and ReLU between. Its rows are those of all processes."""

    def __init__(self, channels: int) -> None:
        layers: list[nn.Module] = []
        for width, following in pairwise((channels, *_HIDDEN)):
            layers += [nn.Linear(width, following), BNNeck(following), nn.ReLU()]
        super().__init__(*layers, nn.Linear(_HIDDEN[-1], 3))

    def own_loss(self, features: Tensor, modality: Tensor) -> Tensor:
        """Sum over modalities of the mean cross-entropy of features (B, D), without gradient to them; modality (B,)."""
        return _summed(self(features.detach()).float(), modality, modality)

    def against(self, features: Tensor, modality: Tensor) -> Tensor:
        """The same towards `EXCHANGED` for all, with gradient to the features alone.

        The classifier is looked at as it is in use and as it stood before this step: its parameters get no gradient,
        its BatchNorm counts nothing, and both losses share one backward pass.
        """
        frozen = {name: value.detach() for name, value in self.named_parameters()}
        with evaluating(self):
            logits: Tensor = functional_call(self, frozen, (features,))
        return _summed(logits.float(), torch.full_like(modality, EXCHANGED), modality)


def _summed(logits: Tensor, target: Tensor, modality: Tensor) -> Tensor:
    """Means of each modality's rows, added."""
    present = torch.unique(modality).tolist()
    return torch.stack([F.cross_entropy(logits[modality == m], target[modality == m]) for m in present]).sum()
