"""Options of `cmt`; the defaults are the paper's, where it names them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from vireid.options import Options

__all__ = ["CMTOptions", "HeteroCentreOptions", "InstanceOptions", "ModalityOptions"]


class HeteroCentreOptions(Options):
    """The hetero-centre triplet loss, on the concatenated parts and on each part."""

    margin: float = Field(0.3, ge=0.0, description="margin of the triplets of centres")
    parts_weight: float = Field(
        1.0, ge=0.0, description="weight of the sum over single parts, beside the concatenated parts with weight 1"
    )


class ModalityOptions(Options):
    """Modality-level alignment: prototypes of both modalities complete every picture by the one it lacks."""

    enabled: bool = Field(True, description="false: the part features stay as they are (ablation)")
    compensation: bool = Field(
        True, description="false: the encoder refines the part features and nothing is added (ablation)"
    )
    consistency: Literal["none", "whole", "part"] = Field(
        "whole",
        description="tie made features to the centres of real ones: not at all (ablation), by the norm of the whole "
        "difference, or by the sum of the parts' norms",
    )
    consistency_weight: float = Field(1.0, ge=0.0, description="weight of both consistency losses")
    detach_centres: bool = Field(False, description="keep the gradient of the consistency losses from the centres")
    layers: int = Field(1, ge=1, description="layers of the encoder")
    heads: int = Field(8, ge=1, description="attention heads of encoder and decoder")
    feed_forward: int = Field(4, ge=1, description="hidden width of feed-forward layers, in multiples of part_channels")
    dropout: float = Field(0.1, ge=0.0, lt=1.0, description="dropout of the encoder")
    decoder_residual: bool = Field(False, description="add the prototypes to what they attended to, and normalise")
    decoder_feed_forward: bool = Field(False, description="a feed-forward layer after the decoder's attention")

    @model_validator(mode="after")
    def _consistent(self) -> ModalityOptions:
        if self.enabled and not self.compensation and self.consistency != "none":
            raise ValueError("without compensation no features are made to be consistent; set mam.consistency=none too")
        return self


class InstanceOptions(Options):
    """Instance-level alignment: the query scales and shifts the channels of every picture it is compared with."""

    modulation: Literal["none", "scale", "shift", "affine"] = Field(
        "affine", description="what the query changes; none switches the module off (ablation)"
    )
    weight: float = Field(0.2, ge=0.0, description="weight of the modulation loss")
    margin: float = Field(0.3, ge=0.0, description="margin of the modulation loss")
    distance: Literal["euclidean", "retrieval"] = Field(
        "euclidean", description="what the loss compares: parts as they are, or unit vectors, as the metric does"
    )
    candidates: Literal["opposite", "all"] = Field(
        "opposite", description="pictures that an anchor is compared with: of the other modality, or all others"
    )
    mining: Literal["hard", "mean"] = Field(
        "hard", description="hardest positive and negative, or the mean distance of each kind"
    )


class CMTOptions(Options):
    """Options of `cmt`."""

    architecture: str = Field("resnet50.tv_in1k", description="any timm ResNet, with the tag of its ImageNet weights")
    separate_stages: int = Field(2, ge=0, le=5, description="stages that each modality has of its own (2: to layer1)")
    parts: int = Field(6, ge=1, description="horizontal stripes")
    part_channels: int = Field(256, ge=4, description="channels of a part feature")
    pooling_exponent: float = Field(3.0, gt=0.0, description="exponent of the generalised mean over a stripe")
    smoothing: float = Field(0.0, ge=0.0, lt=1.0, description="label smoothing of the identity loss")
    hetero_centre: HeteroCentreOptions = Field(HeteroCentreOptions(), description="hetero-centre triplet loss")
    mam: ModalityOptions = Field(ModalityOptions(), description="modality-level alignment module")
    iam: InstanceOptions = Field(InstanceOptions(), description="instance-level alignment module")
    metric: Literal["cosine", "euclidean", "part_cosine"] = Field(
        "cosine", description="how a query and a modulated picture are compared"
    )

    @model_validator(mode="after")
    def _consistent(self) -> CMTOptions:
        if self.mam.enabled and self.part_channels % self.mam.heads:
            raise ValueError(f"part_channels={self.part_channels} must be divisible by mam.heads={self.mam.heads}")
        if self.metric == "euclidean" and self.iam.distance == "retrieval":
            raise ValueError("metric=euclidean compares parts as they are; leave iam.distance out")
        return self
