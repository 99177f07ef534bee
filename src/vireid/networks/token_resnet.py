"""A two-stream ResNet that says of a picture what a ViT says: one feature of the whole, and a token for every patch."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from vireid.errors import UsageError
from vireid.networks.pooling import GeM
from vireid.networks.two_stream import TwoStreamResNet
from vireid.networks.vit import Tokens
from vireid.networks.weights import LoadReport
from vireid.types import Modality

__all__ = ["TokenResNet"]

_PATCH = 16  # pixels from one position of the last map to the next


class TokenResNet(nn.Module):
    """The last map's positions as patches, row by row; the whole is their generalised mean (p = 3).

    architecture, separate_stages: as of `TwoStreamResNet`. image_size: (height, width) of the pictures to come.
    """

    def __init__(self, architecture: str, *, image_size: tuple[int, int], separate_stages: int = 0) -> None:
        super().__init__()
        self.architecture = architecture
        self.image_size = image_size
        self.maps = TwoStreamResNet(architecture, separate_stages=separate_stages)
        self.pool = GeM()
        self.channels = self.maps.channels
        self.grid = (-(-image_size[0] // _PATCH), -(-image_size[1] // _PATCH))

    def forward(self, visible: Tensor | None, infrared: Tensor | None, *, attention: bool = False) -> Tokens:
        """Images (Nv, 3, H, W) and (Ni, 3, H, W), either may be None -> tokens of Nv + Ni pictures, visible first.

        attention: also say how much each patch weighs: its share of the map's squares (Zagoruyko and Komodakis,
        "Paying More Attention to Attention", ICLR 2017, Eq. 1 with p = 2).

        Raises:
            UsageError: both are None, or a size that the network was not built for.
        """
        given = {tuple(images.shape[2:]) for images in (visible, infrared) if images is not None}
        if sizes := given - {tuple(self.image_size)}:
            raise UsageError(f"this network was built for images of {self.image_size}, not {sizes.pop()}")
        maps = self.maps(visible, infrared)
        patches = maps.flatten(2).mT
        tokens = Tokens(self.pool(maps), patches)
        if not attention:
            return tokens
        squares = patches.detach().float().square().sum(dim=2)
        return tokens._replace(attention=squares / squares.sum(dim=1, keepdim=True).clamp_min(1e-12))

    def last(self, blocks: int) -> list[nn.Parameter]:
        """Parameters of the last `blocks` residual blocks that both modalities share.

        Raises:
            UsageError: there are not so many.
        """
        stages = [stage for name, stage in self.maps.shared.named_children() if name.startswith("layer")]
        found = [block for stage in stages for block in stage.children()]
        if not 0 <= blocks <= len(found):
            raise UsageError(f"{self.architecture} shares {len(found)} blocks, not {blocks} that could learn")
        return [parameter for block in found[len(found) - blocks :] for parameter in block.parameters()]

    def load_start(self, state: Mapping[str, Tensor], *, source: str = "a state") -> LoadReport:
        """As `TwoStreamResNet.load_start`."""
        return self.maps.load_start(state, source=source)

    def start_state(self, modality: Modality) -> dict[str, Tensor]:
        """As `TwoStreamResNet.start_state`."""
        return self.maps.start_state(modality)
