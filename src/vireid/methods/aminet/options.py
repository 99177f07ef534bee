"""Options of `aminet`: the paper's ablation rows, the readings it leaves open, its hyper-parameters."""

from typing import Literal

from pydantic import Field, model_validator

from vireid.options import Options

__all__ = ["AMINetOptions", "Discrepancy", "UpperBody"]


class UpperBody(Options):
    """The second crop and its network."""

    enabled: bool = Field(True, description="train and compare the upper body too (the paper's UBF)")
    proportion: float = Field(
        0.5, gt=0.0, le=1.0, description="share of the picture's height, from the top, that is the upper body"
    )
    trunk: Literal["separate", "shared"] = Field(
        "separate", description="layer1 to layer4 of its own, or those of the full body; the stems are its own"
    )
    augmentation: Literal["shared", "independent"] = Field(
        "shared", description="cut from the augmented picture, or augmented on its own as in the released code"
    )


class Discrepancy(Options):
    """Multi-kernel maximum mean discrepancy between the modalities (AMK-MMD)."""

    intra: float = Field(0.4, ge=0.0, description="weight of visible against infrared intra descriptors (IMDAL)")
    cross: float = Field(0.6, ge=0.0, description="weight of one kind of cross descriptor against the other (IDAL)")
    estimator: Literal["unbiased", "biased"] = Field(
        "unbiased", description="without each row's pair with itself (the paper), or with it (its code)"
    )
    alpha: Literal["fixed", "softmax_min", "softmax_max"] = Field(
        "fixed", description="kernel weights: all alike, or learnt to lower the discrepancy (the paper), or to raise it"
    )


class AMINetOptions(Options):
    """Options of `aminet`."""

    architecture: str = Field("resnet50.tv_in1k", description="any timm ResNet, with the tag of its ImageNet weights")
    non_local: bool = Field(False, description="non-local attention in layer2 and layer3 of both networks")
    phase_attention: bool = Field(True, description="attention by phase congruency behind the stems (PESAM)")
    upper_body: UpperBody = Field(UpperBody(), description="the second crop and its network")
    cross_descriptor: Literal["paper", "official"] = Field(
        "paper", description="full body of one modality with upper body of the other, or what the released code joins"
    )
    mmd: Discrepancy = Field(Discrepancy(), description="multi-kernel MMD between the modalities")
    margin: float = Field(0.35, ge=0.0, description="margin of the triplet loss")
    backbone_rate: float = Field(0.1, gt=0.0, description="learning rate of the backbone, relative to the heads'")
    retrieval: Literal["neck", "pooled"] = Field(
        "neck", description="feature that is compared: after or before the neck"
    )

    @model_validator(mode="after")
    def _consistent(self) -> "AMINetOptions":
        if not self.upper_body.enabled and (self.mmd.intra or self.mmd.cross):
            raise ValueError(
                f"mmd.intra={self.mmd.intra:g} and mmd.cross={self.mmd.cross:g} compare descriptors of full and upper "
                "body; with upper_body.enabled=false set both to 0"
            )
        return self
