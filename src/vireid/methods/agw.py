"""AGW: the attention-generalised-mean baseline with a weighted-regularised triplet, and CAJ as options of it.

Ye et al., "Deep Learning for Person Re-identification: A Survey and Outlook", TPAMI 2022; Ye et al., "Channel
Augmented Joint Learning for Visible-Infrared Recognition", ICCV 2021.
"""

from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from vireid.losses import gather, identity_loss, weighted_regularised_triplet
from vireid.methods.base import Method, ParameterGroup, unit
from vireid.networks.backbones import backbone
from vireid.networks.necks import IdentityHead
from vireid.networks.vit import is_vit
from vireid.networks.weights import LoadReport, load_start
from vireid.options import Options
from vireid.types import Batch, Clock, DataInfo, Embeddings, Modality, ViewRequest

__all__ = ["AGW", "AGWOptions"]


class AGWOptions(Options):
    """Options of `agw`; the defaults are the AGW paper's."""

    architecture: str = Field(
        "resnet50.tv_in1k",
        description="any timm ResNet, or ViT with a class token, with the tag of its ImageNet weights",
    )
    separate_stages: int = Field(
        1, ge=0, le=5, description="stages that each modality has of its own (1: the stem); 0 for a ViT"
    )
    non_local: bool = Field(True, description="non-local attention in layer2 and layer3; false for a ViT")
    triplet: Literal["weighted", "squared"] = Field(
        "weighted", description="weighted-regularised triplet (AGW), or its squared-difference form (CAJ)"
    )
    enhanced: bool = Field(
        False, description="train on the visible pictures and a channel-augmented copy of them together (CAJ+)"
    )
    smoothing: float = Field(0.0, ge=0.0, lt=1.0, description="label smoothing of the identity loss")
    backbone_rate: float = Field(0.1, gt=0.0, description="learning rate of the backbone, relative to the head's")
    retrieval: Literal["neck", "pooled"] = Field(
        "neck", description="feature that is compared: after or before the neck"
    )

    @model_validator(mode="after")
    def _consistent(self) -> "AGWOptions":
        if is_vit(self.architecture) and (self.separate_stages or self.non_local):
            raise ValueError(
                f"{self.architecture} has no stages and attends anyway; set separate_stages=0 and non_local=false"
            )
        return self


class AGW(Method):
    """Two-stream ResNet with GeM pooling, or a ViT's class token; identity loss after the neck, triplet before it."""

    name = "agw"
    title = "AGW baseline (and CAJ through its options)"
    Options = AGWOptions

    options: AGWOptions

    def __init__(self, options: AGWOptions, data: DataInfo) -> None:
        super().__init__(options, data)
        self.network, self.pool = backbone(
            options.architecture,
            image_size=data.image_size,
            separate_stages=options.separate_stages,
            non_local=options.non_local,
        )
        self.head = IdentityHead(self.network.channels, self.identities)

    def load_start(self, source: str) -> LoadReport | None:
        return load_start(self.network, source)

    def views(self) -> dict[str, ViewRequest]:
        """Both modalities; one alone where the training data has no other (stand-in pretraining)."""
        cameras = {Modality.VISIBLE: self.data.visible_cameras, Modality.INFRARED: self.data.infrared_cameras}
        views = {name: request for name, request in super().views().items() if cameras[request.modality]}
        if self.options.enhanced:
            views["visible"] = ViewRequest(modality=Modality.VISIBLE, channel_exchange=False)
            views["visible_exchanged"] = ViewRequest(modality=Modality.VISIBLE, channel_exchange=True)
        return views

    def parameter_groups(self, phase: str) -> list[ParameterGroup]:  # noqa: ARG002 - one phase only
        head = [p for p in self.head.parameters() if p.requires_grad]
        backbone = [p for p in (*self.network.parameters(), *self.pool.parameters()) if p.requires_grad]
        return [
            ParameterGroup(name="head", parameters=head),
            ParameterGroup(name="backbone", parameters=backbone, rate=self.options.backbone_rate),
        ]

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:  # noqa: ARG002 - no schedule in the losses
        streams = {modality: [view for view in batch.values() if view.modality is modality] for modality in Modality}
        visible, infrared = (
            torch.cat([view.images for view in streams[modality]]) if streams[modality] else None
            for modality in Modality
        )
        labels = torch.cat([view.labels for modality in Modality for view in streams[modality]])
        pooled, labels = gather(self.pool(self.network(visible, infrared))), gather(labels)
        _, logits = self.head(pooled)
        squared = self.options.triplet == "squared"
        return {
            "identity": identity_loss(logits, labels, smoothing=self.options.smoothing),
            "triplet": weighted_regularised_triplet(pooled.float(), labels, squared=squared),
        }

    def embed(self, images: Tensor, modality: Modality) -> Embeddings[Tensor]:
        visible, infrared = (images, None) if modality is Modality.VISIBLE else (None, images)
        return Embeddings(unit(self.features(visible, infrared)))

    def features(self, visible: Tensor | None, infrared: Tensor | None) -> Tensor:
        """(N, C) that are compared, of images of both modalities or of one, visible ones first."""
        pooled: Tensor = self.pool(self.network(visible, infrared))
        return pooled if self.options.retrieval == "pooled" else self.head.neck(pooled)
