"""Losses on the centre of every identity in every modality."""

import torch
from torch import Tensor

from vireid.losses.triplet import euclidean_distances, margin_triplet

__all__ = ["centre_consistency", "hetero_centre_triplet", "modality_centres"]


def modality_centres(features: Tensor, labels: Tensor, infrared: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean features of every identity in every modality of the batch, whatever the order of its rows.

    features: (N, ...). labels: (N,) int64. infrared: (N,) bool.
    Returns centres (C, ...), in at least fp32, with their labels (C,) and modalities (C,) bool; pairs that the batch
    does not hold have no centre.
    """
    keys, place = torch.unique(2 * labels + infrared.long(), return_inverse=True)
    exact = features.to(torch.promote_types(features.dtype, torch.float32))
    member = (torch.arange(len(keys), device=place.device)[:, None] == place).to(exact.dtype)
    # A product, because scattered sums are not reproducible on every device; without autocast, which would round it.
    with torch.autocast(features.device.type, enabled=False):
        centres = (member / member.sum(dim=1, keepdim=True)) @ exact.flatten(1)
    return centres.view(-1, *features.shape[1:]), keys.div(2, rounding_mode="floor"), keys % 2 == 1


def hetero_centre_triplet(features: Tensor, labels: Tensor, infrared: Tensor, *, margin: float = 0.3) -> Tensor:
    """Hetero-centre triplet loss of features (N, D), not normalised; a scalar.

    Liu, Tan and Zhou, "Parameter Sharing Exploration and Hetero-Center Triplet Loss for Visible-Thermal Person
    Re-Identification", TMM 2021: batch-hard over the centres of both modalities. An anchor's positive is the
    same identity's centre in the other modality (or itself, at distance 0, where the batch has no such), its negative
    the nearest centre of another identity in either modality.

    Raises:
        UsageError: the batch holds one identity only.
    """
    centres, people, _ = modality_centres(features, labels, infrared)
    same = people[:, None] == people
    return margin_triplet(euclidean_distances(centres), same, ~same, margin=margin)


def centre_consistency(
    made: Tensor,
    features: Tensor,
    labels: Tensor,
    infrared: Tensor,
    *,
    by_part: bool = False,
    detach_centres: bool = False,
) -> tuple[Tensor, Tensor]:
    """Distance of features that were made for the other modality to the centre of the real ones there; two scalars.

    made: (N, p, d), what a picture would look like in the other modality; features: (N, p, d), what it is in its own.
    labels: (N,) int64. infrared: (N,) bool. The first value is the mean over infrared pictures, whose visible features
    were made, the second over visible ones. Pictures whose identity the batch does not show in the other modality do
    not count; with none left a value is 0.

    The distance is the Euclidean norm of the whole (p, d) difference, not squared, with gradient 0 at 0; `by_part`
    sums the norms of the p differences instead. `detach_centres` keeps the gradient from the centres.
    """
    centres, people, lit = modality_centres(features, labels, infrared)
    if detach_centres:
        centres = centres.detach()
    values = []
    for rows, wanted in ((infrared, ~lit), (~infrared, lit)):
        match = (labels[rows][:, None] == people) & wanted
        shown = match.any(dim=1)
        away = made[rows][shown].to(centres.dtype) - centres[match[shown].int().argmax(dim=1)]
        parts = away if by_part else away.flatten(1)[:, None]
        norms = torch.linalg.vector_norm(parts, dim=2).sum(dim=1)
        values.append(norms.sum() / max(len(norms), 1))
    return values[0], values[1]
