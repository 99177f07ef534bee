"""Attention to structure: feature maps weighted by the phase congruency of their pictures."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["PhaseAttention"]

_WINDOW = 5


class PhaseAttention(nn.Module):
    """AMINet's phase-enhanced structural attention (PESAM) on low-level maps; the identity at start.

    A mask m = sigmoid(conv 5x5 of the phase congruency, scaled to the maps) gates the maps, F' = 2 m F, and features
    of the phase congruency itself are added: out = a_modality F' + a_phase conv 5x5(phase congruency). The paper adds
    up features of one person's visible and infrared picture, of which a search has one only: here each picture is
    weighted by its own modality's scalar. The factor 2, the mask's convolution starting at 0 and a_phase at 0 let
    pretrained stages behind it start undisturbed.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mask = nn.Conv2d(1, 1, _WINDOW, padding=_WINDOW // 2)
        self.phase = nn.Conv2d(1, channels, _WINDOW, padding=_WINDOW // 2)
        self.visible_gain = nn.Parameter(torch.tensor(1.0))
        self.infrared_gain = nn.Parameter(torch.tensor(1.0))
        self.phase_gain = nn.Parameter(torch.tensor(0.0))
        nn.init.zeros_(self.mask.weight)
        if self.mask.bias is not None:
            nn.init.zeros_(self.mask.bias)

    def forward(self, maps: Tensor, congruency: Tensor, *, visible: int) -> Tensor:
        """Maps (N, C, h, w), those of `visible` visible pictures first, and phase congruency (N, 1, H, W) -> maps."""
        scaled = F.interpolate(congruency, size=maps.shape[2:], mode="bilinear", align_corners=False).to(maps.dtype)
        gains = torch.cat([self.visible_gain.expand(visible), self.infrared_gain.expand(maps.shape[0] - visible)])
        gate = gains[:, None, None, None] * (2.0 * self.mask(scaled).sigmoid())
        out: Tensor = gate.to(maps.dtype) * maps + self.phase_gain * self.phase(scaled)
        return out
