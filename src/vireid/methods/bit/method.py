"""The method: a backbone trained first and then frozen, and a pair network trained on the pairs of a batch."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from vireid.errors import UsageError
from vireid.losses import batch_hard_triplet, gather, identity_loss, own_rows
from vireid.losses.distillation import pair_distillation
from vireid.losses.modality_gap import discriminative_centre_loss, modality_shared_enhancement
from vireid.losses.pairs import aggregation_contrast, hardest_pairs, pair_matching_loss
from vireid.matching import Dot, Matcher
from vireid.methods.base import Method, ParameterGroup, unit
from vireid.methods.bit.explaining import explain_patches
from vireid.methods.bit.matcher import PairMatcher, PairScorer
from vireid.methods.bit.options import BITOptions
from vireid.methods.explain import Explanation, Shown, embed_shown
from vireid.networks.cross_interaction import CrossInteraction, Prepared
from vireid.networks.modes import evaluating
from vireid.networks.necks import IdentityHead
from vireid.networks.pair_network import PairNetwork, PatchScoring
from vireid.networks.token_resnet import TokenResNet
from vireid.networks.vit import Tokens, ViT, is_vit
from vireid.networks.weights import LoadReport, load_start
from vireid.types import Batch, Clock, DataInfo, Embeddings, Modality

__all__ = ["BIT"]

VISIBLE, INFRARED = Modality.VISIBLE, Modality.INFRARED
_GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601, as PMT's


class BIT(Method):
    """A network looks at both pictures of a pair, lets their patches attend to each other, and gives one logit.

    Phase `base`: identity and triplet loss on the class token, or a ResNet's pooled map, and PMT's extras. Phase
    `pair`: the pair network alone learns, unless the last blocks join in. With `pairs=False` there is no second phase,
    and vectors alone are compared: the baseline, PMT.
    """

    name = "bit"
    title = "BIT: bidirectional cross interaction and query-aware scoring of pairs"
    Options = BITOptions
    BASE: ClassVar[str] = "base"
    PAIR: ClassVar[str] = "pair"

    options: BITOptions

    def __init__(self, options: BITOptions, data: DataInfo) -> None:
        super().__init__(options, data)
        self.network = _backbone(options, data.image_size)
        self.head = IdentityHead(self.network.channels, self.identities)
        if options.pairs:
            self.pairs = _pair_network(options, self.network)
            self.network.last(options.joint.blocks)  # more than there are is told now
        if options.distil.weight:
            self.distilled = nn.Linear(2 * self.network.channels, self.network.channels)
            nn.init.zeros_(self.distilled.weight)
            nn.init.zeros_(self.distilled.bias)

    @classmethod
    def phases(cls, options: BITOptions) -> tuple[str, ...]:
        return (cls.BASE, cls.PAIR) if options.pairs else (cls.BASE,)

    def load_start(self, source: str) -> LoadReport | None:
        return load_start(self.network, source)

    def parameter_groups(self, phase: str) -> list[ParameterGroup]:
        head = [p for p in self.head.parameters() if p.requires_grad]
        if phase == self.BASE:
            backbone = list(self.network.parameters())
            rate = self.options.backbone_rate
            return [
                ParameterGroup(name="head", parameters=head),
                ParameterGroup(name="backbone", parameters=backbone, rate=rate),
            ]
        distilled = list(self.distilled.parameters()) if self.options.distil.weight else []
        groups = [ParameterGroup(name="pairs", parameters=[*self.pairs.parameters(), *distilled])]
        if blocks := self.options.joint.blocks:
            joint = [*self.network.last(blocks), *head]
            groups.append(ParameterGroup(name="joint", parameters=joint, rate=self.options.joint.rate))
        return groups

    def matcher(self) -> Matcher:
        return PairMatcher(self.pairs) if self._compares_pairs else Dot()

    def pair_scorer(self) -> PairScorer | None:
        if not self._compares_pairs:
            return None
        if self.pairs.kept is not None:
            raise UsageError(
                "bci.tokens leaves patches out, which graphs of pairs do not; export a model that keeps all"
            )
        return PairScorer(self.pairs)

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        return self._pair_losses(batch) if clock.phase == self.PAIR else self._base_losses(batch, clock)

    def embed(self, images: Tensor, modality: Modality) -> Embeddings[Tensor]:
        """`vector`: the class token after the neck, and what was distilled. Where pairs are compared also `tokens`, in
        half precision, `visible`, and `places` if patches are left out."""
        tokens = self._seen(images, modality)
        vector = self._vector(tokens)
        if not self._compares_pairs:
            return Embeddings(vector)
        patches, places = self._kept(tokens)
        visible = torch.full((images.shape[0],), modality is VISIBLE, device=images.device)
        fields = {"tokens": patches.half(), "visible": visible}
        return Embeddings(vector, fields if places is None else {**fields, "places": places.to(torch.int16)})

    @property
    def _compares_pairs(self) -> bool:
        return self.options.pairs and self.options.retrieval == "pairs"

    def explain(self, query: Shown, candidate: Shown) -> Explanation:
        """Which patches found which; the baseline, and scores without patches, are explained by covering."""
        if not self._compares_pairs or not self.options.qa.enabled:
            return super().explain(query, candidate)
        if query.modality is candidate.modality:
            raise UsageError(f"bit compares a visible with an infrared picture; both are {query.modality}")
        flip = query.modality is INFRARED
        with evaluating(self), torch.inference_mode():
            sides = {shown.modality: self._prepared(embed_shown(self, shown)) for shown in (query, candidate)}
            return explain_patches(self.pairs, sides[VISIBLE], sides[INFRARED], grid=self.network.grid, flip=flip)

    def _prepared(self, side: Embeddings[Tensor]) -> Prepared:
        """Embeddings of one modality, ready to meet the other's."""
        modality = VISIBLE if bool(side.fields["visible"].all()) else INFRARED
        places = side.fields.get("places")
        tokens = side.fields["tokens"].float()
        return self.pairs.prepare(tokens, modality, None if places is None else places.long())

    def _seen(self, images: Tensor, modality: Modality) -> Tokens:
        sides = (images, None) if modality is VISIBLE else (None, images)
        found: Tokens = self.network(*sides, attention=self.options.pairs and self.options.bci.tokens is not None)
        return found

    def _vector(self, tokens: Tokens) -> Tensor:
        """(N, C) of unit length. Where the backbone does not learn, the neck does not either."""
        with torch.set_grad_enabled(tokens.whole.requires_grad):
            features = self.head.neck(tokens.whole)
        if self.options.distil.weight:
            features = features + self.distilled(torch.cat([features, tokens.patches.mean(dim=1)], dim=1))
        return unit(features)

    def _kept(self, tokens: Tokens) -> tuple[Tensor, Tensor | None]:
        """Patches (N, T, C) that take part in pairs, in the picture's order, and which they are (N, T) int64."""
        if tokens.attention is None or self.pairs.kept is None:
            return tokens.patches, None
        order = tokens.attention.sort(dim=1, descending=True, stable=True).indices
        places = order[:, : self.pairs.kept].sort(dim=1).values
        return tokens.patches.gather(1, places[..., None].expand(-1, -1, tokens.patches.shape[2])), places

    def _base_losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        """Of all pictures of both modalities together, and of grey visible ones at PMT's beginning."""
        pmt = self.options.pmt
        grey = pmt.enabled and clock.epoch < pmt.grey_epochs
        visible = batch["visible"].images
        whole = self.network(self._grey(visible) if grey else visible, batch["infrared"].images).whole
        features, labels, infrared = _joined(batch, whole[: len(visible)], whole[len(visible) :])
        losses = self._vector_losses(features, labels, infrared, apart=grey)
        if pmt.enabled and not grey:
            if pmt.enhancement:
                enhanced = modality_shared_enhancement(features, labels, infrared)
                losses["enhancement"] = pmt.enhancement * enhanced
            if pmt.centre:
                losses["centre"] = pmt.centre * discriminative_centre_loss(features, labels)
        return losses

    def _vector_losses(
        self, features: Tensor, labels: Tensor, infrared: Tensor, *, apart: bool = False
    ) -> dict[str, Tensor]:
        """Of class tokens: cross-entropy of both modalities, each a mean and both added, and batch-hard triplet over
        all pictures, or `apart` within each modality, both added."""
        _, logits = self.head(features)
        modalities = (~infrared, infrared)
        margin = self.options.margin
        among = modalities if apart else (torch.ones_like(infrared),)
        triplets = [batch_hard_triplet(features[rows].float(), labels[rows], margin=margin) for rows in among]
        return {
            "identity": torch.stack([identity_loss(logits[rows], labels[rows]) for rows in modalities]).sum(),
            "triplet": torch.stack(triplets).sum(),
        }

    def _pair_losses(self, batch: Batch) -> dict[str, Tensor]:
        """Of visible pictures with infrared ones; every process looks at its own visible ones."""
        joint, distil, ac = self.options.joint, self.options.distil, self.options.ac
        with evaluating(self.network), torch.set_grad_enabled(torch.is_grad_enabled() and joint.blocks > 0):
            seen = {modality: self._seen(batch[modality.value].images, modality) for modality in Modality}
        labels = [gather(batch[modality.value].labels) for modality in Modality]
        same = labels[0][:, None] == labels[1]
        looked = cosines = None
        if distil.weight or self.options.negatives:
            with evaluating(self.head):
                vectors = [gather(self._vector(seen[modality])) for modality in Modality]
            with torch.autocast(same.device.type, enabled=False):  # which would round the product
                cosines = vectors[0] @ vectors[1].T
            looked = hardest_pairs(cosines, same, self.options.negatives) if self.options.negatives else None
        logits, met = (gather(part) for part in self._look(seen, batch, looked))
        losses = {"pair": pair_matching_loss(logits, same, looked=looked)}
        if ac.weight:
            contrast = aggregation_contrast(met, same, temperature=ac.temperature, looked=looked)
            losses["contrast"] = ac.weight * contrast
        if distil.weight and cosines is not None:
            taught = pair_distillation(logits, cosines, temperature=distil.temperature, looked=looked)
            losses["distillation"] = distil.weight * taught
        if joint.blocks:
            losses |= self._vector_losses(*_joined(batch, seen[VISIBLE].whole, seen[INFRARED].whole))
        return losses

    def _look(self, seen: dict[Modality, Tokens], batch: Batch, looked: Tensor | None) -> tuple[Tensor, Tensor]:
        """Logits and cosines (V, I) of this process's visible pictures with all infrared ones."""
        (visible, here), (infrared, there) = (self._kept(seen[modality]) for modality in Modality)
        there = None if there is None else gather(there)
        sides = self.pairs.prepare(visible, VISIBLE, here), self.pairs.prepare(gather(infrared), INFRARED, there)
        if looked is not None:
            looked = looked[own_rows(len(batch["visible"]))]
        return self.pairs.all_pairs(*sides, chunk=self.options.chunk, looked=looked)

    def _grey(self, images: Tensor) -> Tensor:
        """Normalised pictures (N, 3, H, W) with their luminance in all channels."""
        mean, std = (images.new_tensor(values).view(3, 1, 1) for values in (self.data.mean, self.data.std))
        weights = images.new_tensor(_GREY).view(3, 1, 1)
        return (((images * std + mean) * weights).sum(dim=1, keepdim=True) - mean) / std


def _joined(batch: Batch, visible: Tensor, infrared: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Features (N, C) of both modalities and of all processes, their labels (N,), and which are infrared (N,) bool."""
    parts = gather(visible), gather(infrared)
    labels = torch.cat([gather(batch[modality.value].labels) for modality in Modality])
    return torch.cat(parts), labels, torch.arange(len(labels), device=labels.device) >= len(parts[0])


def _backbone(options: BITOptions, image_size: tuple[int, int]) -> ViT | TokenResNet:
    if not is_vit(options.architecture):
        stages = options.separate_stages
        return TokenResNet(options.architecture, image_size=image_size, separate_stages=stages)
    return ViT(
        options.architecture,
        image_size=image_size,
        stride=options.stride,
        dropout=options.dropout,
        path_dropout=options.path_dropout,
    )


def _pair_network(options: BITOptions, backbone: ViT | TokenResNet) -> PairNetwork:
    scoring = PatchScoring(
        k=options.qa.k,
        penalty=options.qa.penalty,
        mutual=options.qa.mutual,
        completion=options.qa.completion,
        perceptron=options.qa.aggregate == "perceptron",
    )
    interaction = CrossInteraction(
        options.bci.width or backbone.channels,
        heads=options.bci.heads,
        blocks=options.bci.blocks,
        direction=options.bci.direction,
        share_streams=options.bci.share_streams,
        dropout=options.bci.dropout,
    )
    patches, kept = backbone.grid[0] * backbone.grid[1], options.bci.tokens
    if kept is not None and kept > patches:
        raise UsageError(f"bci.tokens is {kept}, but a picture has {patches} patches; keep fewer, or leave it out")
    return PairNetwork(
        interaction,
        channels=backbone.channels,
        patches=patches,
        width=options.bci.width,
        kept=kept,
        scoring=scoring if options.qa.enabled else None,
    )
