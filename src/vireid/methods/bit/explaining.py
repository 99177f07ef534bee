"""What matched, for BIT: which patches found which, and what each adds to the logit."""

import torch
from torch import Tensor

from vireid.methods.explain import Explanation
from vireid.networks.pair_network import PairNetwork
from vireid.types import Modality

__all__ = ["explain_patches"]


def explain_patches(
    network: PairNetwork, visible: Tensor, infrared: Tensor, *, grid: tuple[int, int], flip: bool
) -> Explanation:
    """One pair of pictures, from patch tokens (1, T, C) each, on the grid of the patches.

    A visible patch weighs what the logit loses when its score is taken as 0. That is divided among the infrared
    patches it was matched with, by their affinity; where none was mutual, the one of greatest affinity has all.
    Weights of pairs add up to those of the visible patches, not to the logit, which is no sum over patches.

    flip: the infrared picture is the query.
    """
    seen = network(network.prepare(visible, Modality.VISIBLE), network.prepare(infrared, Modality.INFRARED))
    scores = seen.scores
    without = scores * (1 - torch.eye(scores.shape[1], dtype=scores.dtype, device=scores.device))
    weights = seen.logits - network.aggregate(without)
    best = torch.zeros_like(seen.affinity).scatter_(2, seen.affinity.argmax(dim=2, keepdim=True), 1.0)
    shares = torch.where(seen.chosen.any(dim=2, keepdim=True), seen.affinity * seen.chosen, best)[0]
    together = (weights[:, None] * shares / shares.sum(dim=1, keepdim=True)).double().cpu().numpy()
    if flip:
        together = together.T
    details = {"scores of the visible patches": scores[0], "mutual patches, visible by infrared": seen.chosen[0]}
    return Explanation(
        score=float(seen.logits),
        query=together.sum(axis=1).reshape(grid),
        candidate=together.sum(axis=0).reshape(grid),
        together=together,
        details={name: value.double().cpu().numpy() for name, value in details.items()},
    )
