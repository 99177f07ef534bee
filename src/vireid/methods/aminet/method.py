"""The method: losses over two crops and their joint descriptors, one vector for search, what each crop contributes."""

from dataclasses import replace

import torch
from torch import Tensor

from vireid.losses import MultiKernelMMD, batch_hard_triplet, identity_loss
from vireid.methods.aminet.branch import Branch
from vireid.methods.aminet.descriptors import ByModality, cross_descriptors, intra_descriptors, refuse_unpaired
from vireid.methods.aminet.options import AMINetOptions
from vireid.methods.base import Method, ParameterGroup, unit
from vireid.methods.explain import Explanation, MatchedPart, Shown, embed_shown, explain_by_covering
from vireid.networks.necks import IdentityHead
from vireid.networks.weights import LoadReport
from vireid.types import Batch, Clock, DataInfo, Embeddings, Modality, ViewRequest

__all__ = ["AMINet"]

_UPPER = "_upper"  # views of the upper body, where it is augmented on its own: visible_upper, infrared_upper


class AMINet(Method):
    """Full and upper body in a two-stream ResNet each; identity and triplet losses on each and on both together."""

    name = "aminet"
    title = "AMINet: full body and upper body, aligned across modalities by multi-kernel MMD"
    Options = AMINetOptions

    options: AMINetOptions

    def __init__(self, options: AMINetOptions, data: DataInfo) -> None:
        super().__init__(options, data)
        (height, width), part, mmd = data.image_size, options.upper_body, options.mmd
        kinds = {"non_local": options.non_local, "phase_attention": options.phase_attention}
        self.full = Branch(options.architecture, (height, width), **kinds)
        self.full_head = IdentityHead(self.full.channels, self.identities)
        if part.enabled:
            self.upper_rows = ViewRequest(modality=Modality.VISIBLE, upper=part.proportion).rows(height)
            size = self.upper_rows, width
            self.upper = Branch(options.architecture, size, trunk=part.trunk == "separate", **kinds)
            self.upper_head = IdentityHead(self.full.channels, self.identities)
            self.mixed_head = IdentityHead(2 * self.full.channels, self.identities)
        self.discrepancies = torch.nn.ModuleDict(
            {
                name: MultiKernelMMD(alpha=mmd.alpha, estimator=mmd.estimator)
                for name, weight in (("intra", mmd.intra), ("cross", mmd.cross))
                if weight
            }
        )

    def load_start(self, source: str) -> LoadReport | None:
        report = self.full.load_start(source)
        if self.options.upper_body.enabled:
            self.upper.load_start(source, like=self.full)
        return report

    def views(self) -> dict[str, ViewRequest]:
        """Both modalities; their upper bodies too, where these are augmented on their own."""
        views = super().views()
        part = self.options.upper_body
        if part.enabled and part.augmentation == "independent":
            views |= {
                f"{name}{_UPPER}": replace(request, upper=part.proportion) for name, request in list(views.items())
            }
        return views

    def parameter_groups(self, phase: str) -> list[ParameterGroup]:  # noqa: ARG002 - one phase only
        branches = ("full.", "upper.")
        named = {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}
        return [
            ParameterGroup(name="heads", parameters=[p for name, p in named.items() if not name.startswith(branches)]),
            ParameterGroup(
                name="backbone",
                parameters=[p for name, p in named.items() if name.startswith(branches)],
                rate=self.options.backbone_rate,
            ),
        ]

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:  # noqa: ARG002 - no schedule in the losses
        visible, infrared = batch["visible"], batch["infrared"]
        count = len(visible)
        labels = ByModality.gathered(torch.cat([visible.labels, infrared.labels]), count)
        full = ByModality.gathered(self.full(visible.images, infrared.images), count)
        losses = self._supervise("full", self.full_head, full, labels)
        if not self.options.upper_body.enabled:
            return losses
        refuse_unpaired(labels)
        upper = ByModality.gathered(self._upper(*self._upper_images(batch)), count)
        intra = intra_descriptors(full, upper)
        cross = cross_descriptors(full, upper, self.options.cross_descriptor)
        losses |= self._supervise("upper", self.upper_head, upper, labels)
        losses |= self._supervise("intra", self.mixed_head, intra, labels)
        losses |= self._supervise("cross", self.mixed_head, cross, labels)
        weights = {"intra": self.options.mmd.intra, "cross": self.options.mmd.cross}
        for name, descriptors in (("intra", intra), ("cross", cross)):
            if name in self.discrepancies:
                losses[f"{name}_mmd"] = weights[name] * self.discrepancies[name](*descriptors)
        return losses

    def embed(self, images: Tensor, modality: Modality) -> Embeddings[Tensor]:
        visible, infrared = (images, None) if modality is Modality.VISIBLE else (None, images)
        feature, head = self.full(visible, infrared), self.full_head
        if self.options.upper_body.enabled:
            parts = (None if one is None else self._top(one) for one in (visible, infrared))
            feature, head = torch.cat([feature, self._upper(*parts)], dim=1), self.mixed_head
        return Embeddings(unit(feature if self.options.retrieval == "pooled" else head.neck(feature)))

    def explain(self, query: Shown, candidate: Shown) -> Explanation:
        """The generic explanation, with what each crop adds to the score and the phase congruency of both pictures."""
        found = explain_by_covering(self, query, candidate)
        maps = {}
        if self.full.congruency is not None:
            seen = [self.full.congruency(shown.image[None])[0, 0] for shown in (query, candidate)]
            maps["phase congruency"] = seen[0].double().cpu().numpy(), seen[1].double().cpu().numpy()
        return replace(found, parts=self._parts(query, candidate), maps=maps)

    def _supervise(self, name: str, head: IdentityHead, pooled: ByModality, labels: ByModality) -> dict[str, Tensor]:
        """Cross-entropy after the neck; batch-hard triplet on what comes before it, over both modalities."""
        rows, classes = pooled.rows, labels.rows
        _, logits = head(rows)
        return {
            f"{name}_identity": identity_loss(logits, classes),
            f"{name}_triplet": batch_hard_triplet(rows, classes, margin=self.options.margin),
        }

    def _upper(self, visible: Tensor | None, infrared: Tensor | None) -> Tensor:
        shared = self.options.upper_body.trunk == "shared"
        pooled: Tensor = self.upper(visible, infrared, trunk=self.full.network.shared if shared else None)
        return pooled

    def _upper_images(self, batch: Batch) -> tuple[Tensor, Tensor]:
        if self.options.upper_body.augmentation == "independent":
            return batch[f"visible{_UPPER}"].images, batch[f"infrared{_UPPER}"].images
        return self._top(batch["visible"].images), self._top(batch["infrared"].images)

    def _top(self, images: Tensor) -> Tensor:
        return images[:, :, : self.upper_rows]

    def _parts(self, query: Shown, candidate: Shown) -> tuple[MatchedPart, ...]:
        """The score is a sum over channels: those of the full body, and those of the upper body."""
        if not self.options.upper_body.enabled:
            return ()
        one, other = (embed_shown(self, shown).vector[0].double() for shown in (query, candidate))
        product, channels = one * other, self.full.channels
        halves = {"full body": product[:channels], "upper body": product[channels:]}
        return tuple(MatchedPart(name=name, weight=float(half.sum())) for name, half in halves.items())
