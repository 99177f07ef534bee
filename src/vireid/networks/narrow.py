"""Small networks for machines without an accelerator, registered with timm under names of their own."""

from typing import Any

from timm.models import register_model
from timm.models.resnet import BasicBlock, ResNet
from timm.models.vision_transformer import VisionTransformer

__all__ = ["NARROW", "NARROW_VIT", "resnet10t_half", "vit_nano_patch12"]

NARROW = ("resnet10t_half",)
"""ResNets that `timm.create_model` knows once this module is imported."""

NARROW_VIT = ("vit_nano_patch12",)
"""ViTs, likewise."""


@register_model
def resnet10t_half(pretrained: bool = False, **options: Any) -> ResNet:
    """timm's resnet10t with half the channels: 1.2 million weights, features of 256 channels.

    A training step costs a third of resnet10t's. There are no published weights: start from `vireid pretrain`.
    """
    _refuse_pretrained("resnet10t_half", pretrained, options)
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


@register_model
def vit_nano_patch12(pretrained: bool = False, **options: Any) -> VisionTransformer:
    """A ViT of width 128 with 6 blocks of 4 heads: 1.3 million weights, 12 x 6 patches of a picture of 144x72.

    There are no published weights: start from `vireid pretrain`.
    """
    _refuse_pretrained("vit_nano_patch12", pretrained, options)
    return VisionTransformer(
        **{"img_size": (144, 72), "patch_size": 12, "embed_dim": 128, "depth": 6, "num_heads": 4, **options}
    )


def _refuse_pretrained(name: str, pretrained: bool, options: dict[str, Any]) -> None:
    """Takes out of `options` what timm adds for weights that it could fetch."""
    if pretrained:
        raise ValueError(f"{name} has no published weights")
    for key in ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"):
        options.pop(key, None)
