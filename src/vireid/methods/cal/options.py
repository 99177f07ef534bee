"""Options of CAL: the rows of the paper's ablation and its hyper-parameters, nested as its modules are."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from vireid.options import Options

__all__ = ["AdapterOptions", "AlignmentOptions", "CALOptions", "DistillationOptions", "RegionOptions"]

MOST_PARTS = 8


class RegionOptions(Options):
    """Discriminative region mining: where the part queries of a picture come from."""

    kind: Literal["mined", "vectors", "stripes"] = Field(
        "mined",
        description="part queries: mined from the picture (DRM), learnt vectors that are the same for all pictures, "
        "or means of horizontal stripes",
    )
    parts: int = Field(4, ge=1, le=MOST_PARTS, description="parts of a picture")
    kept: float = Field(
        0.6, gt=0.0, description="mined: a part keeps this many positions, times positions / parts (the paper's alpha)"
    )
    shared: bool = Field(False, description="one set of prototypes for both modalities (mined and vectors)")
    identity_weight: float = Field(
        0.1, ge=0.0, description="weight of the identity loss of every single part query (mined and stripes)"
    )
    diversity_weight: float = Field(0.1, ge=0.0, description="weight of the overlap of a picture's regions (mined)")

    @model_validator(mode="after")
    def _consistent(self) -> RegionOptions:
        if self.kept > self.parts:
            raise ValueError(f"kept={self.kept} keeps more than all positions; it goes up to parts={self.parts}")
        if self.shared and self.kind == "stripes":
            raise ValueError("shared belongs to kind: mined or vectors; stripes have no prototypes")
        return self


class AdapterOptions(Options):
    """The style-agnostic adapter, which looks part queries up in any picture's feature map."""

    similarity: Literal["instance_norm", "scaled_dot"] = Field(
        "instance_norm", description="attention between features after instance normalisation, or as they are"
    )
    channel_gate: bool = Field(True, description="weigh the channels of what was found by a gate made of the query")
    width: int = Field(512, ge=1, description="channels in which queries and positions are compared")


class AlignmentOptions(Options):
    """What pulls parts read across modalities together."""

    kind: Literal["part_aligned", "none", "triplet", "centre"] = Field(
        "part_aligned",
        description="part-aligned centre loss, none, or in its place a triplet loss or a plain centre loss",
    )
    margin: float = Field(0.6, ge=0.0, description="part_aligned: distance that centres of two people keep")


class DistillationOptions(Options):
    """What self-refined parts learn from cross-refined ones."""

    masks: float = Field(1.0, ge=0.0, description="weight of the overlap of matched attention masks; 0: off")
    logits: float = Field(1.0, ge=0.0, description="weight of the divergence of matched predictions; 0: off")
    similarity: Literal["dot", "cosine"] = Field(
        "dot",
        description="overlap of two masks: their product, which is greatest where both are one position, or its cosine",
    )
    match: Literal["hungarian", "identity"] = Field(
        "hungarian", description="which parts of the two modalities belong together: the best matching, or equal number"
    )


class CALOptions(Options):
    """Options of `cal`; the defaults are the paper's full model."""

    architecture: str = Field("resnet50.tv_in1k", description="any timm ResNet, with the tag of its ImageNet weights")
    separate_stages: int = Field(1, ge=0, le=5, description="stages that each modality has of its own (1: the stem)")
    tca: bool = Field(
        True, description="target-aware alignment: drm, tsaa and pcl; false is the baseline, one pooled vector"
    )
    drm: RegionOptions = Field(RegionOptions(), description="discriminative region mining")
    tsaa: AdapterOptions = Field(AdapterOptions(), description="target-aware style-agnostic adapter")
    pcl: AlignmentOptions = Field(AlignmentOptions(), description="alignment of cross-refined parts")
    kd: DistillationOptions = Field(DistillationOptions(), description="distillation between matched parts")
    backbone_rate: float = Field(0.1, gt=0.0, description="learning rate of the backbone, relative to the rest's")
    retrieval: Literal["self", "target-aware", "target-aware-mutual"] = Field(
        "self",
        description="parts compared: each picture's own (the paper's), the gallery's read with the query's parts, "
        "or the mean of that in both directions; the last two keep feature maps in the gallery",
    )

    @property
    def distils(self) -> bool:
        return self.tca and (self.kd.masks > 0 or self.kd.logits > 0)

    @model_validator(mode="after")
    def _consistent(self) -> CALOptions:
        if not self.tca and (self.kd.masks or self.kd.logits):
            raise ValueError("without tca there are no parts to distil between; set kd.masks=0 and kd.logits=0")
        if not self.tca and self.retrieval != "self":
            raise ValueError(f"retrieval={self.retrieval} needs tca=true; the baseline has one vector")
        return self
