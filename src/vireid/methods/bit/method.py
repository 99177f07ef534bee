"""The method: a backbone trained first and then frozen, and a pair network trained on all pairs of a batch."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from vireid.errors import UsageError
from vireid.losses import batch_hard_triplet, gather, identity_loss
from vireid.losses.pairs import aggregation_contrast, pair_matching_loss
from vireid.matching import Dot, Matcher
from vireid.methods.base import Method, ParameterGroup, unit
from vireid.methods.bit.explaining import explain_patches
from vireid.methods.bit.matcher import PairMatcher, PairScorer
from vireid.methods.bit.options import BITOptions
from vireid.methods.explain import Explanation, Shown, embed_shown
from vireid.networks.cross_interaction import CrossInteraction
from vireid.networks.modes import evaluating
from vireid.networks.necks import IdentityHead
from vireid.networks.pair_network import PairNetwork, PatchScoring
from vireid.networks.vit import ViT
from vireid.networks.weights import LoadReport, load_start
from vireid.types import Batch, Clock, DataInfo, Embeddings, Modality

__all__ = ["BIT"]

VISIBLE, INFRARED = Modality.VISIBLE, Modality.INFRARED


class BIT(Method):
    """Phase `base`: identity and triplet loss on the class token. Phase `pair`: the pair network alone learns.

    With `pairs=False` there is no second phase, and vectors alone are compared: the baseline.
    """

    name = "bit"
    title = "BIT: bidirectional cross interaction and query-aware scoring of pairs"
    Options = BITOptions
    BASE: ClassVar[str] = "base"
    PAIR: ClassVar[str] = "pair"

    options: BITOptions

    def __init__(self, options: BITOptions, data: DataInfo) -> None:
        super().__init__(options, data)
        self.network = ViT(
            options.architecture,
            image_size=data.image_size,
            stride=options.stride,
            dropout=options.dropout,
            path_dropout=options.path_dropout,
        )
        self.head = IdentityHead(self.network.channels, self.identities)
        if options.pairs:
            self.pairs = _pair_network(options, self.network)

    @classmethod
    def phases(cls, options: BITOptions) -> tuple[str, ...]:
        return (cls.BASE, cls.PAIR) if options.pairs else (cls.BASE,)

    def load_start(self, source: str) -> LoadReport | None:
        return load_start(self.network, source)

    def parameter_groups(self, phase: str) -> list[ParameterGroup]:
        if phase == self.PAIR:
            return [ParameterGroup(name="pairs", parameters=list(self.pairs.parameters()))]
        head = [p for p in self.head.parameters() if p.requires_grad]
        backbone = list(self.network.parameters())
        return [
            ParameterGroup(name="head", parameters=head),
            ParameterGroup(name="backbone", parameters=backbone, rate=self.options.backbone_rate),
        ]

    def matcher(self) -> Matcher:
        return PairMatcher(self.pairs) if self.options.pairs else Dot()

    def pair_scorer(self) -> PairScorer | None:
        return PairScorer(self.pairs) if self.options.pairs else None

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        return self._pair_losses(batch) if clock.phase == self.PAIR else self._base_losses(batch)

    def embed(self, images: Tensor, modality: Modality) -> Embeddings[Tensor]:
        """`vector`: the class token after the neck. With the pair network also `tokens`, in half precision, and
        `visible`."""
        tokens = self.network(*((images, None) if modality is VISIBLE else (None, images)))
        vector = unit(self.head.neck(tokens.whole))
        if not self.options.pairs:
            return Embeddings(vector)
        visible = torch.full((images.shape[0],), modality is VISIBLE, device=images.device)
        return Embeddings(vector, {"tokens": tokens.patches.half(), "visible": visible})

    def explain(self, query: Shown, candidate: Shown) -> Explanation:
        """Which patches found which; the baseline, and scores without patches, are explained by covering."""
        if not self.options.pairs or not self.options.qa.enabled:
            return super().explain(query, candidate)
        if query.modality is candidate.modality:
            raise UsageError(f"bit compares a visible with an infrared picture; both are {query.modality}")
        sides = {shown.modality: embed_shown(self, shown).fields["tokens"].float() for shown in (query, candidate)}
        flip = query.modality is INFRARED
        with evaluating(self.pairs), torch.inference_mode():
            return explain_patches(self.pairs, sides[VISIBLE], sides[INFRARED], grid=self.network.grid, flip=flip)

    def _base_losses(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of both modalities, each a mean and both added; batch-hard triplet over all pictures."""
        tokens = self.network(batch["visible"].images, batch["infrared"].images)
        whole, count = tokens.whole, len(batch["visible"])
        sides = gather(whole[:count]), gather(whole[count:])
        labels = [gather(batch[modality.value].labels) for modality in Modality]
        pooled = torch.cat(sides)
        _, logits = self.head(pooled)
        parts = zip(logits.split([len(side) for side in sides]), labels, strict=True)
        return {
            "identity": torch.stack([identity_loss(part, known) for part, known in parts]).sum(),
            "triplet": batch_hard_triplet(pooled.float(), torch.cat(labels), margin=self.options.margin),
        }

    def _pair_losses(self, batch: Batch) -> dict[str, Tensor]:
        """Of all visible pictures with all infrared ones; every process looks at its own visible ones."""
        tokens = {modality: self._frozen_tokens(batch, modality) for modality in Modality}
        logits, cosines = self.pairs.all_pairs(tokens[VISIBLE], gather(tokens[INFRARED]), chunk=self.options.chunk)
        labels = [gather(batch[modality.value].labels) for modality in Modality]
        same = labels[0][:, None] == labels[1]
        losses = {"pair": pair_matching_loss(gather(logits), same)}
        if weight := self.options.ac.weight:
            contrast = aggregation_contrast(gather(cosines), same, temperature=self.options.ac.temperature)
            losses["contrast"] = weight * contrast
        return losses

    @torch.no_grad()
    def _frozen_tokens(self, batch: Batch, modality: Modality) -> Tensor:
        """Patch tokens of one modality, without gradient and without dropout."""
        images = batch[modality.value].images
        with evaluating(self.network):
            tokens: Tensor = self.network(*((images, None) if modality is VISIBLE else (None, images))).patches
        return tokens


def _pair_network(options: BITOptions, backbone: ViT) -> PairNetwork:
    scoring = PatchScoring(
        k=options.qa.k,
        penalty=options.qa.penalty,
        mutual=options.qa.mutual,
        completion=options.qa.completion,
        perceptron=options.qa.aggregate == "perceptron",
    )
    interaction = CrossInteraction(
        backbone.channels,
        heads=options.bci.heads,
        blocks=options.bci.blocks,
        direction=options.bci.direction,
        share_streams=options.bci.share_streams,
        dropout=options.bci.dropout,
    )
    return PairNetwork(
        interaction,
        channels=backbone.channels,
        patches=backbone.grid[0] * backbone.grid[1],
        scoring=scoring if options.qa.enabled else None,
    )
