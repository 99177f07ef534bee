"""Features by modality, and the descriptors that AMINet joins from full and upper body (its IFFS module)."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from vireid.errors import UsageError
from vireid.losses import gather

__all__ = ["ByModality", "cross_descriptors", "intra_descriptors", "refuse_unpaired"]


class ByModality(NamedTuple):
    """Rows of visible and of infrared pictures; of descriptors: of their first and second kind."""

    visible: Tensor
    infrared: Tensor

    @classmethod
    def gathered(cls, rows: Tensor, visible: int) -> "ByModality":
        """From rows (N, ...), visible ones first, `visible` in number; those of all processes."""
        return cls(gather(rows[:visible]), gather(rows[visible:]))

    @property
    def rows(self) -> Tensor:
        """All, visible first."""
        return torch.cat(self)


def intra_descriptors(full: ByModality, upper: ByModality) -> ByModality:
    """Full and upper body of the same picture: rows (n, C) and (n, C) -> (n, 2C) for each modality."""
    visible, infrared = (torch.cat(pair, dim=1) for pair in zip(full, upper, strict=True))
    return ByModality(visible, infrared)


def cross_descriptors(full: ByModality, upper: ByModality, form: Literal["paper", "official"]) -> ByModality:
    """Features of two pictures of one person, one of each modality: rows (n, C) -> two kinds of (n, 2C).

    paper (Eq. 5): full body of the visible with upper body of the infrared picture; full body of the infrared with
    upper body of the visible one. official: what the released code comes to by joining along the wrong dimension, full
    bodies of both, and upper bodies of both (infrared first).
    """
    if form == "official":
        return ByModality(torch.cat(full, dim=1), torch.cat((upper.infrared, upper.visible), dim=1))
    return ByModality(
        torch.cat((full.visible, upper.infrared), dim=1), torch.cat((full.infrared, upper.visible), dim=1)
    )


def refuse_unpaired(labels: ByModality) -> None:
    """Cross descriptors need at each row the same person in both modalities.

    Raises:
        UsageError: they are not.
    """
    if not torch.equal(labels.visible, labels.infrared):
        raise UsageError(
            "aminet joins visible and infrared features of one person row by row, so that a batch needs as many "
            "visible as infrared pictures of each identity, in the same order; set batch.visible = batch.infrared"
        )
