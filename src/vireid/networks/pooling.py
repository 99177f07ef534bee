"""Generalised-mean pooling."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vireid.errors import UsageError

__all__ = ["GeM", "StripeGeM"]

_FLOOR = 1e-12


class GeM(nn.Module):
    """Generalised-mean pooling of feature maps: (mean(x^p) + 1e-12)^(1/p) over the positions.

    Radenović et al., "Fine-tuning CNN Image Retrieval with No Human Annotation", TPAMI 2019, Eq. 3; AGW fixes p = 3.
    Computed in at least fp32, since 1e-12 is nothing to a half-precision number.
    """

    def __init__(self, exponent: float = 3.0) -> None:
        super().__init__()
        if exponent <= 0.0:
            raise UsageError(f"GeM's exponent must be positive, not {exponent}")
        self.exponent = exponent

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (N, C, h, w), not negative (they come out of a ReLU) -> (N, C)."""
        exact = maps.to(torch.promote_types(maps.dtype, torch.float32))
        return (exact.pow(self.exponent).mean(dim=(2, 3)) + _FLOOR).pow(1.0 / self.exponent)


class StripeGeM(GeM):
    """Generalised-mean pooling of each of `stripes` horizontal stripes, from top to bottom.

    Stripes are equally high where the map's height divides; otherwise neighbours share a row (adaptive pooling).
    """

    def __init__(self, stripes: int, exponent: float = 3.0) -> None:
        super().__init__(exponent)
        if stripes < 1:
            raise UsageError(f"stripes is {stripes}; pool at least 1")
        self.stripes = stripes

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (N, C, h, w), not negative -> (N, stripes, C).

        Raises:
            UsageError: the maps have fewer rows than there are stripes.
        """
        height = maps.shape[2]
        if height < self.stripes:
            raise UsageError(f"maps of {height} rows have no {self.stripes} stripes; take taller pictures or fewer")
        powers = maps.to(torch.promote_types(maps.dtype, torch.float32)).pow(self.exponent)
        if height % self.stripes:
            means = F.adaptive_avg_pool2d(powers, (self.stripes, 1)).squeeze(3)
        else:
            means = powers.reshape(*powers.shape[:2], self.stripes, -1).mean(dim=3)
        return (means + _FLOOR).pow(1.0 / self.exponent).transpose(1, 2)
