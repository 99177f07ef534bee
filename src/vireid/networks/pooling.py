"""Generalised-mean pooling."""

import torch
from torch import Tensor, nn

from vireid.errors import UsageError

__all__ = ["GeM"]

_FLOOR = 1e-12


class GeM(nn.Module):
    """Generalised-mean pooling of feature maps: (mean(x^p) + 1e-12)^(1/p) over the positions.

    Radenović et al., "Fine-tuning CNN Image Retrieval with No Human Annotation", TPAMI 2019, Eq. 3; AGW fixes p = 3.
    Computed in at least fp32, since 1e-12 is nothing to a half-precision number.
    """

    exponent: Tensor

    def __init__(self, exponent: float = 3.0, *, learnable: bool = False) -> None:
        super().__init__()
        if exponent <= 0.0:
            raise UsageError(f"GeM's exponent must be positive, not {exponent}")
        self.learnable = learnable
        self._fixed = exponent
        if learnable:
            self.exponent = nn.Parameter(torch.tensor(float(exponent)))

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (N, C, h, w), not negative (they come out of a ReLU) -> (N, C)."""
        exponent = self.exponent if self.learnable else self._fixed
        exact = maps.to(torch.promote_types(maps.dtype, torch.float32))
        return (exact.pow(exponent).mean(dim=(2, 3)) + _FLOOR).pow(1.0 / exponent)
