"""The backbone that an architecture's name means, and what makes one feature of what it returns."""

from torch import nn

from vireid.networks.pooling import GeM
from vireid.networks.two_stream import TwoStreamResNet
from vireid.networks.vit import ClassToken, ViT, is_vit

__all__ = ["backbone"]


def backbone(
    architecture: str, *, image_size: tuple[int, int], separate_stages: int = 0, non_local: bool = False
) -> tuple[TwoStreamResNet | ViT, nn.Module]:
    """A ResNet with generalised-mean pooling, or a ViT with its class token.

    `pool(network(visible, infrared))` is one feature (N, C) a picture.

    separate_stages, non_local: of ResNets; a ViT shares all and attends anyway, and the caller leaves them off.

    Raises:
        UsageError: the architecture is not known.
    """
    if is_vit(architecture):
        return ViT(architecture, image_size=image_size), ClassToken()
    return TwoStreamResNet(architecture, separate_stages=separate_stages, non_local=non_local), GeM()
