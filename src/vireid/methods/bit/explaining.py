"""What matched, for BIT: which patches found which, and what each adds to the logit."""

import torch
from torch import Tensor

from vireid.methods.explain import Explanation
from vireid.networks.cross_interaction import Prepared
from vireid.networks.pair_network import PairNetwork

__all__ = ["explain_patches"]


def explain_patches(
    network: PairNetwork, visible: Prepared, infrared: Prepared, *, grid: tuple[int, int], flip: bool
) -> Explanation:
    """One pair of prepared pictures, on the grid of the patches; those that were left out weigh 0.

    A visible patch weighs what the logit loses when its score is taken as 0. That is divided among the infrared
    patches it was matched with, by their affinity; where none was mutual, the one of greatest affinity has all.
    Weights of pairs add up to those of the visible patches, not to the logit, which is no sum over patches.

    flip: the infrared picture is the query.
    """
    seen = network(visible, infrared)
    best = torch.zeros_like(seen.affinity).scatter_(2, seen.affinity.argmax(dim=2, keepdim=True), 1.0)
    shares = torch.where(seen.chosen.any(dim=2, keepdim=True), seen.affinity * seen.chosen, best)[0]
    corner = _places(visible)[:, None], _places(infrared)[None]
    divided, chosen = (shares.new_zeros(2 * (network.patches,)) for _ in range(2))
    divided[corner], chosen[corner] = shares / shares.sum(dim=1, keepdim=True), seen.chosen[0].to(shares.dtype)
    scores = seen.scores
    without = scores * (1 - torch.eye(scores.shape[1], dtype=scores.dtype, device=scores.device))
    weights = seen.logits - network.aggregate(without)
    together = (weights[:, None] * divided).double().cpu().numpy()
    if flip:
        together = together.T
    details = {"scores of the visible patches": scores[0], "mutual patches, visible by infrared": chosen}
    return Explanation(
        score=float(seen.logits),
        query=together.sum(axis=1).reshape(grid),
        candidate=together.sum(axis=0).reshape(grid),
        together=together,
        details={name: value.double().cpu().numpy() for name, value in details.items()},
    )


def _places(side: Prepared) -> Tensor:
    """(T,) the patches that one picture's tokens are."""
    if side.places is not None:
        return side.places[0]
    return torch.arange(side.tokens.shape[1], device=side.tokens.device)
