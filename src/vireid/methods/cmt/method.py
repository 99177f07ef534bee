"""The method: a part-based two-stream network, both alignment modules, their losses, and how pictures are compared."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from vireid.losses import centre_consistency, gather, hetero_centre_triplet, identity_loss
from vireid.matching import Dot, Matcher, ModulatedCosine, ModulatedEuclidean, ModulatedPartCosine
from vireid.methods.base import Method, unit
from vireid.methods.cmt.alignment import Aligned, ModalityAlignment
from vireid.methods.cmt.explaining import explain_by_parts
from vireid.methods.cmt.modulation import Modulation, modulation_loss
from vireid.methods.cmt.options import CMTOptions
from vireid.methods.explain import Explanation, Shown, explain_by_covering
from vireid.networks.modes import evaluating
from vireid.networks.parts import PartClassifiers, PartReduction
from vireid.networks.pooling import StripeGeM
from vireid.networks.two_stream import TwoStreamResNet
from vireid.networks.weights import LoadReport, load_start
from vireid.types import Batch, Clock, DataInfo, Embeddings, Modality

__all__ = ["CMT"]


class CMT(Method):
    """Stripes of a two-stream ResNet, completed by the missing modality (MAM), compared as the query asks (IAM).

    Without both modules it is the part baseline of the paper, trained with cross-entropy and the hetero-centre triplet.
    """

    name = "cmt"
    title = "CMT: prototypes complete the missing modality, the query modulates the gallery"
    Options = CMTOptions

    options: CMTOptions

    def __init__(self, options: CMTOptions, data: DataInfo) -> None:
        super().__init__(options, data)
        parts, channels = options.parts, options.part_channels
        self.network = TwoStreamResNet(options.architecture, separate_stages=options.separate_stages)
        self.pool = StripeGeM(parts, options.pooling_exponent)
        self.reduction = PartReduction(parts, self.network.channels, channels)
        self.alignment = ModalityAlignment(parts, channels, options.mam) if options.mam.enabled else None
        self.modulation = Modulation(channels, options.iam.modulation)
        self.classifiers = PartClassifiers(parts, channels, self.identities)

    def load_start(self, source: str) -> LoadReport | None:
        return load_start(self.network, source)

    def matcher(self) -> Matcher:
        metric = self.options.metric
        if metric == "euclidean":
            return ModulatedEuclidean()
        if self.options.iam.modulation == "none":
            return Dot()  # the vector is made so that the product is the metric
        return ModulatedCosine() if metric == "cosine" else ModulatedPartCosine()

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:  # noqa: ARG002 - no schedule in the losses
        views = {view.modality: view for view in batch.values()}
        visible, infrared = views[Modality.VISIBLE], views[Modality.INFRARED]
        features = self.reduction(self.pool(self.network(visible.images, infrared.images)))
        # Each modality on its own: rows of several processes then stand as in one, and dropout falls on the same.
        own = [gather(part) for part in features.split([len(visible), len(infrared)])]
        labels = torch.cat([gather(visible.labels), gather(infrared.labels)])
        lit = torch.arange(len(labels), device=labels.device) >= len(own[0])  # infrared rows
        aligned = [self._align(part, modality) for part, modality in zip(own, Modality, strict=True)]
        return self._losses(aligned, labels, lit)

    def _losses(self, aligned: list[Aligned], labels: Tensor, infrared: Tensor) -> dict[str, Tensor]:
        options = self.options
        complete = torch.cat([part.complete for part in aligned])
        losses = {
            "identity": self._identity_loss(complete, labels),
            "hetero_centre": self._hetero_centre_loss(complete, labels, infrared),
        }
        made = [part.made for part in aligned if part.made is not None]
        if made and options.mam.consistency != "none":
            own = torch.cat([part.own for part in aligned])
            values = centre_consistency(
                torch.cat(made),
                own,
                labels,
                infrared,
                by_part=options.mam.consistency == "part",
                detach_centres=options.mam.detach_centres,
            )
            for name, value in zip(("consistency_visible", "consistency_infrared"), values, strict=True):
                losses[name] = options.mam.consistency_weight * value
        if options.iam.modulation != "none":
            scale, shift = self.modulation(complete)
            losses["modulation"] = options.iam.weight * modulation_loss(
                complete,
                scale,
                shift,
                labels,
                infrared,
                margin=options.iam.margin,
                candidates=options.iam.candidates,
                mining=options.iam.mining,
                cosines=self.matcher() if options.iam.distance == "retrieval" else None,
            )
        return losses

    def _identity_loss(self, complete: Tensor, labels: Tensor) -> Tensor:
        """Sum over parts of the mean cross-entropy over pictures."""
        logits, parts = self.classifiers(complete).flatten(0, 1), self.options.parts
        return parts * identity_loss(logits, labels.repeat_interleave(parts), smoothing=self.options.smoothing)

    def _hetero_centre_loss(self, complete: Tensor, labels: Tensor, infrared: Tensor) -> Tensor:
        options = self.options.hetero_centre
        together = hetero_centre_triplet(complete.flatten(1), labels, infrared, margin=options.margin)
        single = [
            hetero_centre_triplet(part, labels, infrared, margin=options.margin) for part in complete.unbind(dim=1)
        ]
        return together + options.parts_weight * torch.stack(single).sum()

    def _align(self, own: Tensor, modality: Modality) -> Aligned:
        return Aligned(complete=own, own=own) if self.alignment is None else self.alignment(own, modality)

    def embed(self, images: Tensor, modality: Modality) -> Embeddings[Tensor]:
        """The vector is all parts as one, whichever modality alignment is on; fields are those of the matcher.

        Fields: parts (N, p, d), not normalised; scale and shift (N, d), what the picture does to others as a query.
        """
        return self._embeddings(self.describe(images, modality).complete)

    def _embeddings(self, complete: Tensor) -> Embeddings[Tensor]:
        scale, shift = self.modulation(complete)
        parts = complete.to(scale.dtype)
        fields = {"parts": parts, "scale": scale, "shift": shift}
        by_part = self.options.metric == "part_cosine"
        vector = unit((F.normalize(parts, dim=2) if by_part else parts).flatten(1))
        return Embeddings(vector, {name: fields[name] for name in self.matcher().fields})

    def describe(self, images: Tensor, modality: Modality) -> Aligned:
        """Part features of normalised images (N, 3, H, W) of one modality, with what was made and from which parts."""
        visible, infrared = (images, None) if modality is Modality.VISIBLE else (None, images)
        return self._align(self.reduction(self.pool(self.network(visible, infrared))), modality)

    def explain(self, query: Shown, candidate: Shown) -> Explanation:
        """Stripes, and the prototypes' attention between them; for Euclidean distances regions are covered instead.

        `details` of the answer: what the query does to channels, and each picture's attention.
        """
        with evaluating(self), torch.inference_mode():
            asking, asked = (self.describe(shown.image[None], shown.modality) for shown in (query, candidate))
            scale, shift = self.modulation(asking.complete)
        by_part = self.options.metric == "part_cosine"
        covered = explain_by_covering(self, query, candidate) if self.options.metric == "euclidean" else None
        return explain_by_parts(asking, asked, scale[0], shift[0], by_part=by_part, covered=covered)
