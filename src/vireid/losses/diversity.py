"""Keeps the regions of a picture from saying the same."""

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["region_diversity"]


def region_diversity(regions: Tensor) -> Tensor:
    """Of regions (N, R, C): mean over pictures of the absolute cosines of pairs, weighted by their softmax; a scalar.

    Li et al., "DC-Former: Diverse and Compact Transformer for Person Re-Identification", AAAI 2023. The gradient flows
    through the weights as well. With one region there is no pair and the loss is an exact 0.
    """
    count = regions.shape[1]
    if count < 2:
        return regions.new_zeros((), dtype=torch.float32)
    units = F.normalize(regions.to(torch.promote_types(regions.dtype, torch.float32)), dim=2)
    with torch.autocast(regions.device.type, enabled=False):
        cosines = torch.bmm(units, units.transpose(1, 2)).abs()
    first, second = torch.triu_indices(count, count, offset=1, device=regions.device)
    pairs = cosines[:, first, second]
    return (pairs.softmax(dim=1) * pairs).sum(dim=1).mean()
