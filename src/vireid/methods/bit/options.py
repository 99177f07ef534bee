"""Options of BIT: the rows of the paper's ablation and its hyper-parameters, nested as its modules are."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from vireid.networks.vit import is_vit
from vireid.options import Options

__all__ = [
    "BITOptions",
    "ContrastOptions",
    "DistillationOptions",
    "InteractionOptions",
    "JointOptions",
    "PMTOptions",
    "ScoringOptions",
]


class PMTOptions(Options):
    """What PMT, the paper's baseline, adds to identity and triplet loss in the first phase."""

    enabled: bool = Field(True, description="train the backbone as PMT does; false: identity and triplet loss alone")
    grey_epochs: int = Field(
        6, ge=0, description="first epochs: visible pictures in grey, and the triplet loss within each modality"
    )
    enhancement: float = Field(0.5, ge=0.0, description="then, weight of the modality-shared enhancement loss")
    centre: float = Field(0.5, ge=0.0, description="then, weight of the discriminative centre loss")

    @model_validator(mode="after")
    def _consistent(self) -> PMTOptions:
        if not self.enabled and self != PMTOptions.model_construct(enabled=False):
            raise ValueError("enabled=false has no extras; leave the rest of pmt as it is by default")
        return self


class InteractionOptions(Options):
    """Bidirectional cross interaction: how the tokens of two pictures read each other."""

    blocks: int = Field(3, ge=1, description="blocks (the paper's T)")
    heads: int = Field(12, ge=1, description="attention heads; they must divide the backbone's channels")
    direction: Literal["both", "visible", "infrared"] = Field(
        "both", description="which pictures read: both, or those of one modality alone (standard cross attention)"
    )
    share_streams: bool = Field(False, description="one set of weights for both modalities")
    dropout: float = Field(0.1, ge=0.0, lt=1.0, description="on attention outputs and within the perceptrons")
    tokens: int | None = Field(
        None,
        ge=1,
        description="patches kept of each picture, those that its class token looks at most, or that weigh most in a "
        "ResNet's map; default: all",
    )
    width: int | None = Field(None, ge=1, description="channels in the interaction; default: the backbone's")

    @model_validator(mode="after")
    def _consistent(self) -> InteractionOptions:
        if self.share_streams and self.direction != "both":
            raise ValueError("share_streams needs direction=both: with one that reads there is nothing to share")
        return self


class ScoringOptions(Options):
    """Query-aware scoring: how patches are matched, and what becomes of their scores."""

    enabled: bool = Field(True, description="score patches; false takes the scaled cosine of the mean tokens")
    k: int = Field(3, ge=1, description="partners that a patch may have; more than there are patches means all")
    penalty: float = Field(
        0.2, ge=0.0, le=1.0, description="what the best partner counts where none is mutual (the paper's alpha)"
    )
    mutual: bool = Field(True, description="a pair counts only if each is among the other's k best")
    completion: bool = Field(True, description="complete patches without a partner; false scores them 0")
    aggregate: Literal["perceptron", "mean"] = Field(
        "perceptron", description="confidence-aware perceptron over patch scores, or their scaled mean"
    )

    @model_validator(mode="after")
    def _consistent(self) -> ScoringOptions:
        if not self.enabled and self != ScoringOptions.model_construct(enabled=False):
            raise ValueError("enabled=false scores no patches; leave the rest of qa as it is by default")
        return self


class ContrastOptions(Options):
    """Aggregation contrast of the mean tokens of pairs."""

    weight: float = Field(0.6, ge=0.0, description="weight of the loss (the paper's lambda); 0: off")
    temperature: float = Field(1 / 16, gt=0.0, description="temperature of the cosines")


class JointOptions(Options):
    """The backbone's last blocks may learn on with the pair network, by identity and triplet loss too."""

    blocks: int = Field(0, ge=0, description="blocks that learn in the second phase; 0: the backbone is frozen")
    rate: float = Field(0.1, gt=0.0, description="their learning rate, and the classifier's, relative to the network's")

    @model_validator(mode="after")
    def _consistent(self) -> JointOptions:
        if not self.blocks and self != JointOptions.model_construct(blocks=0):
            raise ValueError("rate is that of blocks that learn; give blocks too")
        return self


class DistillationOptions(Options):
    """A map added to the vector, which learns the order of the pair network's scores."""

    weight: float = Field(0.0, ge=0.0, description="weight of the loss; 0: the vector is the backbone's alone")
    temperature: float = Field(1 / 16, gt=0.0, description="temperature of the vectors' cosines")

    @model_validator(mode="after")
    def _consistent(self) -> DistillationOptions:
        if not self.weight and self != DistillationOptions.model_construct(weight=0.0):
            raise ValueError("temperature belongs to a weight above 0; give weight too")
        return self


class BITOptions(Options):
    """Options of `bit`; the defaults are the paper's full model."""

    architecture: str = Field(
        "vit_base_patch16_224.orig_in21k_ft_in1k",
        description="timm ViT with a class token, or ResNet, with the tag of its ImageNet weights",
    )
    separate_stages: int = Field(0, ge=0, le=5, description="stages that each modality has of its own, of a ResNet")
    stride: int | None = Field(12, ge=1, description="pixels between two patches of a ViT; null: the patch's size")
    dropout: float = Field(0.03, ge=0.0, lt=1.0, description="dropout of a ViT")
    path_dropout: float = Field(0.1, ge=0.0, lt=1.0, description="share of a ViT's last block that is skipped")
    backbone_rate: float = Field(0.5, gt=0.0, description="learning rate of the backbone, relative to the head's")
    margin: float = Field(0.1, ge=0.0, description="margin of the triplet loss")
    pmt: PMTOptions = Field(PMTOptions(), description="extras of PMT in the first phase")
    pairs: bool = Field(True, description="train and use the pair network; false is the baseline, the backbone alone")
    bci: InteractionOptions = Field(InteractionOptions(), description="bidirectional cross interaction")
    qa: ScoringOptions = Field(ScoringOptions(), description="query-aware scoring")
    ac: ContrastOptions = Field(ContrastOptions(), description="aggregation contrast")
    joint: JointOptions = Field(JointOptions(), description="joint fine-tuning of the backbone's last blocks")
    distil: DistillationOptions = Field(DistillationOptions(), description="distilling the pair score into the vector")
    negatives: int | None = Field(
        None, ge=1, description="pairs of other people looked at for each picture, the nearest by vector; default: all"
    )
    retrieval: Literal["pairs", "vector"] = Field(
        "pairs", description="what a search compares: pairs among the candidates of vectors, or vectors alone"
    )
    chunk: int = Field(128, ge=1, description="pairs looked at together in training; decides how much memory it takes")

    @model_validator(mode="after")
    def _consistent(self) -> BITOptions:
        if is_vit(self.architecture) and self.separate_stages:
            raise ValueError("a ViT has no stages of its own for a modality; set separate_stages=0")
        if not is_vit(self.architecture) and (self.stride is not None or self.dropout or self.path_dropout):
            raise ValueError(
                f"{self.architecture} has a position of its map every 16 pixels and no dropout; set stride=null, "
                "dropout=0 and path_dropout=0"
            )
        changed = [name for name in _OF_PAIRS if getattr(self, name) != BITOptions.model_fields[name].default]
        if not self.pairs and changed:
            raise ValueError(f"pairs=false has no pair network; leave {' and '.join(changed)} out")
        return self


_OF_PAIRS = ("bci", "qa", "ac", "joint", "distil", "negatives", "retrieval")
