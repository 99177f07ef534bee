"""Small ResNets for machines without an accelerator, registered with timm under names of their own."""

from typing import Any

from timm.models import register_model
from timm.models.resnet import BasicBlock, ResNet

__all__ = ["NARROW", "resnet10t_half"]

NARROW = ("resnet10t_half",)
"""Names that `timm.create_model` knows once this module is imported."""


@register_model
def resnet10t_half(pretrained: bool = False, **options: Any) -> ResNet:
    """timm's resnet10t with half the channels: 1.2 million weights, features of 256 channels.

    A training step costs a third of resnet10t's. There are no published weights: start from `vireid pretrain`.
    """
    if pretrained:
        raise ValueError("resnet10t_half has no published weights")
    options.pop("pretrained_cfg", None)
    options.pop("pretrained_cfg_overlay", None)
    options.pop("cache_dir", None)
    block: Any = BasicBlock  # timm's annotation asks for an instance, its code for the class
    return ResNet(
        block=block,
        layers=(1, 1, 1, 1),
        channels=(32, 64, 128, 256),
        stem_width=16,
        stem_type="deep_tiered",
        avg_down=True,
        **options,
    )
