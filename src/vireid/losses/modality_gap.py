"""Losses on the distance between the two modalities of an identity, and on identities as a whole.

Lu, Zou and Zhang, "Learning Progressive Modality-shared Transformers for Effective Visible-Infrared Person
Re-identification" (PMT), AAAI 2023.
"""

import torch
from torch import Tensor

from vireid.errors import UsageError
from vireid.losses.triplet import euclidean_distances

__all__ = ["discriminative_centre_loss", "modality_shared_enhancement"]


def modality_shared_enhancement(features: Tensor, labels: Tensor, infrared: Tensor) -> Tensor:
    """How unlike the distances to one's own person are in the own and in the other modality; a scalar, in fp32.

    features: (N, D), not normalised. labels: (N,) int64. infrared: (N,) bool. For every picture: the mean distance to
    the same person's pictures of the other modality, less that to its other pictures of the own one, squared. The
    mean over each modality, then over both. A picture without either kind of partner does not count.

    Raises:
        UsageError: no picture of a modality has both kinds of partners.
    """
    distances = euclidean_distances(features)
    same, apart = labels[:, None] == labels, infrared[:, None] != infrared
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    across, within = same & apart, same & ~apart & ~itself
    counted = across.any(dim=1) & within.any(dim=1)
    means = ((distances * chosen).sum(dim=1) / chosen.sum(dim=1).clamp(min=1) for chosen in (across, within))
    gaps = (next(means) - next(means)).square()
    sides = [gaps[counted & side] for side in (~infrared, infrared)]
    if not all(len(side) for side in sides):
        raise UsageError("modality_shared_enhancement needs two pictures of an identity in each modality of the batch")
    return torch.stack([side.mean() for side in sides]).mean()


def discriminative_centre_loss(features: Tensor, labels: Tensor) -> Tensor:
    """How near pictures are to their identity's centre, compared with the nearer ones of others; a scalar, in fp32.

    features: (N, D), not normalised, of both modalities. labels: (N,) int64. Centres are means over an identity's
    pictures of both. The mean distance of centres to their own pictures, divided by the mean over centres of the mean
    distance to pictures of others that are nearer than those are on average.

    Raises:
        UsageError: the batch holds one identity only.
    """
    people, place = torch.unique(labels, return_inverse=True)
    if len(people) < 2:
        raise UsageError("discriminative_centre_loss needs at least two identities in a batch; sample more identities")
    exact = features.to(torch.promote_types(features.dtype, torch.float32))
    own = torch.arange(len(people), device=labels.device)[:, None] == place
    # A product, because scattered sums are not reproducible on every device; without autocast, which would round it.
    with torch.autocast(features.device.type, enabled=False):
        member = own.to(exact.dtype)
        centres = (member / member.sum(dim=1, keepdim=True)) @ exact
    distances = euclidean_distances(centres, exact)
    near = (distances * own).sum(dim=1) / own.sum(dim=1)
    others = (distances * ~own).sum(dim=1, keepdim=True) / (~own).sum(dim=1, keepdim=True)
    # Where all are equally far, rounding must not leave none.
    nearest = distances.masked_fill(own, torch.inf).amin(dim=1, keepdim=True)
    kept = ~own & (distances <= torch.maximum(others, nearest))
    far = (distances * kept).sum(dim=1) / kept.sum(dim=1)
    ratio: Tensor = near.mean() / far.mean()
    return ratio
