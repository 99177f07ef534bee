"""Options of MCF: the rows of the paper's ablation and its hyper-parameters, nested as its modules are."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from vireid.networks.vit import is_vit
from vireid.options import Options

__all__ = [
    "AdversarialOptions",
    "AttentionOptions",
    "ClusteringOptions",
    "MCFOptions",
    "MatchingOptions",
    "MemoryOptions",
    "MergingOptions",
    "NeighbourOptions",
]

Auto = Literal["auto"]


class ClusteringOptions(Options):
    """Pseudo-labels: DBSCAN on the k-reciprocal Jaccard distances of each modality's pictures."""

    k1: int | Auto = Field(30, description="mutual neighbours, itself included; auto: of the clusters' size")
    k2: int = Field(6, ge=1, description="neighbours that weights are averaged over")
    eps: float | Auto = Field(0.6, description="radius; auto: of 0.1 to 0.75 the one with the greatest silhouette")
    min_samples: int = Field(4, ge=1, description="pictures within the radius, itself included, that make one core")
    joint: Literal["none", "blocks", "mixed"] = Field(
        "none",
        description="distances over the pictures of both modalities at once, each counting the same; mixed: clusters "
        "of both as well, contrasted with in the second phase",
    )
    mixed_weight: float = Field(1.0, ge=0.0, description="weight of the contrast with clusters of both modalities")

    @model_validator(mode="after")
    def _in_range(self) -> ClusteringOptions:
        if not isinstance(self.k1, str) and self.k1 < 1:
            raise ValueError(f"k1 counts neighbours from 1, not {self.k1}")
        if not isinstance(self.eps, str) and not 0 < self.eps < 1:
            raise ValueError(f"eps is a distance between 0 and 1, not {self.eps}")
        if self.joint != "none" and (isinstance(self.k1, str) or isinstance(self.eps, str)):
            raise ValueError("joint distances take numbers for k1 and eps, not auto (published: k1=40 k2=32 eps=0.6)")
        return self


class MemoryOptions(Options):
    """Memories of clusters and the contrast with them."""

    temperature: float = Field(0.05, gt=0.0, description="temperature of all contrasts")
    momentum: float = Field(0.2, ge=0.0, le=1.0, description="share of the old row that an update keeps")
    shared_momentum: float = Field(0.8, ge=0.0, le=1.0, description="the same, of memories that modalities share")
    update: Literal["mean", "sequential", "hard"] = Field(
        "mean", description="what a row meets in a step: its queries' mean, each in turn, or the one least like it"
    )
    exchanged: Literal["visible", "own", "none"] = Field(
        "visible", description="memory of channel-augmented pictures: the visible one, their own, or no base loss"
    )


class AttentionOptions(Options):
    """PA-CBAM: attention to channels, read in bands, and to positions."""

    enabled: bool = Field(True, description="gate the maps")
    parts: int | None = Field(None, ge=1, description="bands that channels are read in; default: as many as regions")
    reduction: int = Field(16, ge=1, description="what the channels are divided by inside the channel gate")
    mlp: Literal["concat", "shared"] = Field("concat", description="one perceptron over all bands, or one for each")
    residual: Literal["layerscale", "none"] = Field(
        "layerscale", description="add what the gates change, times a learnt number from 0; none: gates as they are"
    )
    positions: tuple[int, ...] = Field((11,), description="ViT blocks (from 0) before which the patch map is gated")
    form: Literal["variance", "cosine", "pull"] = Field("variance", description="form of the gates' consistency")
    weight: float = Field(0.1, ge=0.0, description="weight of the gates' consistency (the paper's lambda)")
    margin: float = Field(0.01, ge=0.0, description="squared distance that gates of different people are pushed to")


class AdversarialOptions(Options):
    """MAAL: a classifier of three modalities, and features that all look channel-augmented to it."""

    enabled: bool = Field(True, description="train the classifier and against it")
    classifier: float = Field(1.0, gt=0.0, description="weight of the classifier's own loss (the paper's alpha)")
    weight: float = Field(0.1, ge=0.0, description="weight of the features' loss in the first phase (beta)")
    late_weight: float = Field(0.1, ge=0.0, description="the same in the second phase")
    warmup_epochs: int = Field(5, ge=0, description="epochs of the first phase in which the classifier learns alone")
    rate: float = Field(28.6, gt=0.0, description="learning rate of the classifier, relative to the recipe's")
    late_rate: float = Field(286.0, gt=0.0, description="the same in the second phase, whose own rate is lower")
    per_region: bool = Field(False, description="classify every region by itself, with one classifier for all")


class MatchingOptions(Options):
    """VRA: clusters of the two modalities are matched, and pictures contrasted with shared memories."""

    enabled: bool = Field(True, description="contrast with the memories of matched clusters")
    weight: float = Field(0.4, ge=0.0, description="weight of the cross-modal contrast")
    mu: int | Auto = Field(3, description="visible clusters that an infrared one may have; auto: by their numbers")
    similarity: Literal["regions", "whole"] = Field(
        "regions", description="of clusters: cosines of their regions added, or the cosine of whole features"
    )
    matcher: Literal["greedy", "hungarian"] = Field("greedy", description="by falling similarity, or the greatest sum")
    cover_infrared: bool = Field(True, description="infrared clusters left without a partner take one in a second pass")
    min_similarity: float | None = Field(None, description="mean cosine below which clusters are never matched")
    balance: Literal["instance", "modality"] = Field(
        "instance", description="what counts the same in a shared memory: every picture, or both modalities"
    )
    base: Literal["shared", "specific"] = Field(
        "shared", description="memories of the base contrast in the second phase"
    )

    @model_validator(mode="after")
    def _in_range(self) -> MatchingOptions:
        if not isinstance(self.mu, str) and self.mu < 1:
            raise ValueError(f"mu counts clusters from 1, not {self.mu}")
        return self


class NeighbourOptions(Options):
    """VRNL: pictures are contrasted with neighbours that all regions agree on."""

    enabled: bool = Field(True, description="contrast with neighbours")
    weight: float = Field(0.5, ge=0.0, description="weight of the four contrasts together")
    range: Literal["ratio", "topk"] = Field("ratio", description="how a region takes neighbours: by rho, or so many")
    rho: float = Field(0.9, description="share of the greatest cosine that a neighbour exceeds")
    top: int = Field(20, ge=1, description="neighbours that a region takes where range=topk")
    min_agree: int | None = Field(None, ge=1, description="regions that must agree; default: all")
    soft: bool = Field(False, description="weigh neighbours by the share of regions that agree")
    reduction: Literal["macro", "micro"] = Field("macro", description="mean over pictures, or over pairs")
    alternate: bool = Field(True, description="visible to infrared in even epochs, infrared to visible in odd ones")
    weights: tuple[float, float, float, float] = Field(
        (1.0, 1.0, 1.0, 1.0), description="of visible-visible, infrared-infrared, visible-infrared, infrared-visible"
    )
    local_eps: float | Auto = Field(0.5, description="radius of the clusters within one camera; auto: by silhouette")


class MergingOptions(Options):
    """UM: visible clusters of one infrared cluster are pulled together, towards one of them an epoch."""

    enabled: bool = Field(True, description="merge clusters")
    weight: float = Field(0.03, ge=0.0, description="weight of merging")
    late_weight: float | None = Field(None, ge=0.0, description="weight from epoch 35 of the phase on")
    visible: float = Field(0.6, ge=0.0, description="share of the visible clusters' merging (delta 1)")
    infrared: float = Field(0.4, ge=0.0, description="share of the infrared clusters' merging (delta 2)")
    closure: Literal["one_hop", "components"] = Field(
        "one_hop", description="what belongs together: clusters with a common partner, or all that links join"
    )


class MCFOptions(Options):
    """Options of `mcf`; the defaults are the paper's full model on SYSU-MM01."""

    architecture: str = Field(
        "vit_base_patch16_224.orig_in21k_ft_in1k",
        description="timm ViT with a class token, or ResNet with stripes, with the tag of its ImageNet weights",
    )
    regions: int = Field(4, ge=1, description="regions of a picture (the paper's N)")
    region_mode: Literal["class_tokens", "stripes"] = Field(
        "class_tokens", description="what a region is: a class token of a ViT, or a horizontal stripe"
    )
    stem: Literal["patch", "convolutional"] = Field(
        "patch", description="what makes a ViT's tokens: timm's patch projection, or four convolutions"
    )
    path_dropout: float = Field(0.3, ge=0.0, lt=1.0, description="share of a ViT's last block that is skipped")
    diversity: float = Field(1.0, ge=0.0, description="weight of what keeps regions from saying the same")
    use_cameras: bool = Field(True, description="use camera numbers: diverse batches, and neighbours refined by them")
    clustering: ClusteringOptions = Field(ClusteringOptions(), description="pseudo-labels")
    memory: MemoryOptions = Field(MemoryOptions(), description="memories of clusters")
    pacbam: AttentionOptions = Field(AttentionOptions(), description="part-aware attention")
    maal: AdversarialOptions = Field(AdversarialOptions(), description="three-modality adversarial learning")
    vra: MatchingOptions = Field(MatchingOptions(), description="cross-modal matching of clusters")
    vrnl: NeighbourOptions = Field(NeighbourOptions(), description="multi-region neighbour learning")
    um: MergingOptions = Field(MergingOptions(), description="uniform merging")

    @property
    def crosses(self) -> bool:
        """Whether anything joins the modalities in a second phase."""
        return self.vra.enabled or self.vrnl.enabled or self.um.enabled or self.mixes

    @property
    def mixes(self) -> bool:
        """Whether pictures are contrasted with clusters of both modalities in the second phase."""
        return self.clustering.joint == "mixed"

    @model_validator(mode="after")
    def _consistent(self) -> MCFOptions:
        vit = is_vit(self.architecture)
        if not vit and (self.region_mode != "stripes" or self.stem != "patch" or self.path_dropout):
            raise ValueError(
                f"{self.architecture} has no tokens; set region_mode=stripes, stem=patch and path_dropout=0"
            )
        if not vit and self.pacbam.enabled and self.pacbam.positions:
            raise ValueError(f"{self.architecture} has no blocks: its last map is gated; set pacbam.positions=[]")
        if vit and self.pacbam.enabled and not self.pacbam.positions:
            raise ValueError("pacbam.positions names no block of the ViT; name one, or set pacbam.enabled=false")
        agree = self.vrnl.min_agree
        if agree is not None and agree > self.regions:
            raise ValueError(f"vrnl.min_agree is {agree}, more than the {self.regions} regions")
        return self
