"""Non-local attention over the positions of a feature map."""

import torch
from torch import Tensor, nn

__all__ = ["NonLocal"]

_REDUCTION = 2


class NonLocal(nn.Module):
    """Dot-product non-local block with a residual; the identity at start.

    Wang et al., "Non-local Neural Networks", CVPR 2018, Eq. 4 and 6: z = x + BN(W(theta phi^T g / positions)), with
    half the channels inside and the weight of BN zero at start. There is no softmax between the products, so
    theta (phi^T g) is computed instead of (theta phi^T) g: the same value without a positions x positions matrix.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // _REDUCTION
        self.theta = nn.Conv2d(channels, inner, 1)
        self.phi = nn.Conv2d(channels, inner, 1)
        self.value = nn.Conv2d(channels, inner, 1)
        self.out = nn.Conv2d(inner, channels, 1)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (N, C, h, w) -> (N, C, h, w)."""
        theta, phi, value = (conv(maps).flatten(2) for conv in (self.theta, self.phi, self.value))
        mixed = torch.bmm(value, phi.transpose(1, 2)) / theta.shape[2]  # (N, c, c)
        attended = torch.bmm(mixed, theta).view(maps.shape[0], -1, *maps.shape[2:])
        change: Tensor = self.norm(self.out(attended))
        return maps + change
