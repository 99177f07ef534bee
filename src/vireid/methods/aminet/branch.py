"""The network of one crop: two stems, phase attention, a trunk, pooling."""

import torch
from torch import Tensor, nn

from vireid.networks.phase_attention import PhaseAttention
from vireid.networks.phase_congruency import PhaseCongruency
from vireid.networks.pooling import GeM
from vireid.networks.two_stream import ResNetPart, TwoStreamResNet
from vireid.networks.weights import LoadReport, load_start

__all__ = ["Branch"]


class Branch(nn.Module):
    """Images of one crop -> pooled features (N, `channels`), visible pictures first.

    A stem per modality, attention by phase congruency, layer1 to layer4 for both modalities, GeM with exponent 3.

    size: (height, width) of the crop. trunk: whether the branch has layer1 to layer4 of its own; otherwise it is
    called with those of another branch.
    """

    def __init__(
        self, architecture: str, size: tuple[int, int], *, non_local: bool, phase_attention: bool, trunk: bool = True
    ) -> None:
        super().__init__()
        self.network = TwoStreamResNet(architecture, non_local=non_local)
        self.channels = self.network.channels
        self.has_trunk = trunk
        if not trunk:
            self.network.shared = ResNetPart(None, (), non_local=False)
        self.congruency = PhaseCongruency(size) if phase_attention else None
        self.attention = PhaseAttention(self.network.own_channels) if phase_attention else None
        self.pool = GeM()

    def forward(self, visible: Tensor | None, infrared: Tensor | None, *, trunk: nn.Module | None = None) -> Tensor:
        """Images (Nv, 3, h, w) and (Ni, 3, h, w), either may be None -> (Nv + Ni, C)."""
        maps = self.network.own_stages(visible, infrared)
        if self.attention is not None and self.congruency is not None:
            images = torch.cat([images for images in (visible, infrared) if images is not None])
            count = 0 if visible is None else visible.shape[0]
            maps = self.attention(maps, self.congruency(images), visible=count)
        pooled: Tensor = self.pool((trunk or self.network.shared)(maps))
        return pooled

    def load_start(self, source: str, *, like: "Branch | None" = None) -> LoadReport | None:
        """Load start weights; a branch without a trunk takes the stems of `like`, which has loaded them.

        Raises:
            WeightsError: they cannot be had or do not fit.
        """
        if self.has_trunk or like is None:
            return load_start(self.network, source)
        for own, other in (
            (self.network.visible, like.network.visible),
            (self.network.infrared, like.network.infrared),
        ):
            own.load_state_dict(other.state_dict())
        return None
