"""The method: two-stream network, regions, adapter, losses, and the order of the parts at the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vireid.losses import gather, identity_loss, weighted_regularised_triplet
from vireid.losses.part_alignment import (
    divergence,
    part_aligned_centre_loss,
    part_centre_loss,
    region_overlap,
    unit_parts,
)
from vireid.matching import Matcher, create_matcher
from vireid.methods.base import Losses, Method, ParameterGroup, TrainingPictures, unit
from vireid.methods.cal.adapter import Adapter, Prepared, attend, read
from vireid.methods.cal.correspondence import (
    MatchCounts,
    best_matchings,
    inverse,
    mask_overlaps,
    matched,
    partners,
    permutation_table,
)
from vireid.methods.cal.explaining import Side, explain_parts
from vireid.methods.cal.options import CALOptions
from vireid.methods.cal.regions import part_queries
from vireid.methods.explain import Explanation, Shown
from vireid.networks.modes import evaluating
from vireid.networks.necks import IdentityHead
from vireid.networks.parts import PartClassifiers
from vireid.networks.two_stream import TwoStreamResNet
from vireid.networks.weights import LoadReport, load_start
from vireid.types import Batch, Clock, DataInfo, Embeddings, Modality

__all__ = ["CAL"]

VISIBLE, INFRARED = Modality.VISIBLE, Modality.INFRARED
_BOTH = "both"
_SHIFTS = 1 << 30


class Seen(NamedTuple):
    """One modality's pictures of a batch.

    masks: of their mined regions, None where there are none. attention: of their own queries. parts: self-refined.
    """

    queries: Tensor
    masks: Tensor | None
    prepared: Prepared
    attention: Tensor
    parts: Tensor


class Crossed(NamedTuple):
    """What queries of one modality found in pictures of the other.

    parts: (N, parts, C). overlaps: (N, parts, parts) of attention by these queries and by the map's own.
    partner: (N,) the picture that each was read from, among the other modality's of all processes.
    """

    parts: Tensor
    overlaps: Tensor
    partner: Tensor


class CAL(Method):
    """A picture is read by its own part queries, and in training also by those of a picture of the other modality.

    What comes out of the second reading belongs to the same parts, and is what is aligned; the first learns from it,
    since a search has one picture. With `tca=False` it is the paper's baseline, an identity loss on averaged features.
    """

    name = "cal"
    title = "CAL: concordant attention by target-aware alignment of parts"
    Options = CALOptions

    options: CALOptions

    def __init__(self, options: CALOptions, data: DataInfo) -> None:
        super().__init__(options, data)
        self.network = TwoStreamResNet(options.architecture, separate_stages=options.separate_stages)
        channels = self.network.channels
        self.head = IdentityHead(channels, self.identities)
        if not options.tca:
            return
        modalities = (_BOTH,) if options.drm.shared else tuple(Modality)
        self.regions = nn.ModuleDict({name: part_queries(options.drm, channels) for name in modalities})
        self.adapter = Adapter(
            channels,
            options.tsaa.width,
            normalise=options.tsaa.similarity == "instance_norm",
            gate=options.tsaa.channel_gate,
        )
        self.part_classifiers = nn.ModuleDict()
        if options.drm.identity_weight and options.drm.kind != "vectors":  # vectors say nothing of the picture
            for modality in Modality:
                self.part_classifiers[modality] = PartClassifiers(options.drm.parts, channels, self.identities)
        if options.distils:
            self.matches = MatchCounts(options.drm.parts)

    def load_start(self, source: str) -> LoadReport | None:
        return load_start(self.network, source)

    def parameter_groups(self, phase: str) -> list[ParameterGroup]:  # noqa: ARG002 - one phase only
        backbone = [p for p in self.network.parameters() if p.requires_grad]
        known = {id(p) for p in backbone}
        rest = [p for p in self.parameters() if p.requires_grad and id(p) not in known]
        return [
            ParameterGroup(name="head", parameters=rest),
            ParameterGroup(name="backbone", parameters=backbone, rate=self.options.backbone_rate),
        ]

    def matcher(self) -> Matcher:
        return create_matcher("dot" if self.options.retrieval == "self" else self.options.retrieval)

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:  # noqa: ARG002 - no schedule in the losses
        views = {modality: batch[modality.value] for modality in Modality}
        maps = self.network(views[VISIBLE].images, views[INFRARED].images)
        here = {modality: view.labels for modality, view in views.items()}
        labels = {modality: gather(side) for modality, side in here.items()}
        if not self.options.tca:
            pooled = gather(maps.mean(dim=(2, 3)))
            return {"identity": identity_loss(self.head(pooled)[1], gather(torch.cat([*here.values()])))}
        sizes = [len(view) for view in views.values()]
        seen = {m: self._see(side, m) for m, side in zip(Modality, torch.split(maps, sizes), strict=True)}
        crossed = self._cross(seen, here, labels)
        own = {modality: gather(side.parts) for modality, side in seen.items()}
        found = {modality: gather(side.parts) for modality, side in crossed.items()}
        logits = self._logits(torch.cat([own[VISIBLE], own[INFRARED], found[VISIBLE], found[INFRARED]]))
        targets = torch.cat([labels[VISIBLE], labels[INFRARED]]).repeat(2)
        losses = {"identity": identity_loss(logits.flatten(0, 1), targets.repeat_interleave(self.options.drm.parts))}
        losses |= self._alignment_losses(own, found, labels)
        losses |= self._region_losses(seen, labels)
        if not self.options.distils:
            return losses
        predictions = torch.split(logits, [len(labels[VISIBLE]), len(labels[INFRARED])] * 2)
        of_own, of_found = (dict(zip(Modality, part, strict=True)) for part in (predictions[:2], predictions[2:]))
        return self._distilled(losses, crossed, of_own, of_found)

    def after_step(self, batch: Batch, embeddings: Mapping[str, Tensor], clock: Clock) -> None:  # noqa: ARG002
        """Count the matchings of the last epoch, from infrared to visible parts on both sides."""
        if "matchings" in embeddings and clock.epoch == clock.epochs - 1:
            self.matches.add(embeddings["matchings"])

    def end_phase(self, pictures: TrainingPictures, clock: Clock) -> None:  # noqa: ARG002
        """Re-order the visible prototypes by the most frequent matching, so that equal numbers mean equal parts."""
        if not self.options.distils or self.options.kd.match == "identity" or _BOTH in self.regions:
            return
        order = self.matches.winner()
        if self.regions[VISIBLE].reorder(order) and VISIBLE in self.part_classifiers:  # type: ignore[operator]
            self.part_classifiers[VISIBLE].reorder(order)  # type: ignore[operator]

    def embed(self, images: Tensor, modality: Modality) -> Embeddings[Tensor]:
        """`vector`: unit parts side by side, over the root of their number, so that products are mean part cosines.

        For target-aware retrieval also `tokens` and `keys` of the map, in half precision, `queries` and `gates`.
        """
        maps = self._maps(images, modality)
        if not self.options.tca:
            return Embeddings(unit(maps.mean(dim=(2, 3))))
        seen = self._see(maps, modality)
        vector = unit(unit_parts(seen.parts).flatten(1))
        if self.options.retrieval == "self":
            return Embeddings(vector)
        kept = {"tokens": seen.prepared.tokens.half(), "keys": seen.prepared.keys.half()}
        return Embeddings(vector, kept | {"queries": seen.prepared.queries, "gates": seen.prepared.gates})

    def explain(self, query: Shown, candidate: Shown) -> Explanation:
        """Which positions of both pictures make up the score, part by part; the baseline is explained by covering."""
        if not self.options.tca:
            return super().explain(query, candidate)
        with evaluating(self), torch.inference_mode():
            sides = [self._shown(shown) for shown in (query, candidate)]
        return explain_parts(sides[0], sides[1], retrieval=self.options.retrieval)

    def _maps(self, images: Tensor, modality: Modality) -> Tensor:
        visible, infrared = (images, None) if modality is VISIBLE else (None, images)
        maps: Tensor = self.network(visible, infrared)
        return maps

    def _shown(self, shown: Shown) -> Side:
        maps = self._maps(shown.image[None], shown.modality)
        seen = self._see(maps, shown.modality)
        return Side(prepared=seen.prepared, masks=seen.masks, shape=(maps.shape[2], maps.shape[3]))

    def _see(self, maps: Tensor, modality: Modality) -> Seen:
        regions = self.regions[_BOTH if _BOTH in self.regions else modality](maps)
        prepared = self.adapter(maps.flatten(2).transpose(1, 2), regions.queries)
        attention = attend(prepared.keys, prepared.queries)
        parts = read(attention, prepared.tokens, prepared.gates)
        return Seen(regions.queries, regions.masks, prepared, attention, parts)

    def _cross(
        self, seen: Mapping[Modality, Seen], here: Mapping[Modality, Tensor], labels: Mapping[Modality, Tensor]
    ) -> dict[Modality, Crossed]:
        """By the modality whose queries ask. Every picture is paired with one of its identity, anew in every step.

        here: labels of the pictures of this process. labels: of all processes.
        """
        shift = int(torch.randint(_SHIFTS, ()))
        crossed = {}
        for modality, asks in seen.items():
            other = seen[modality.other]
            near = partners(here[modality], here[modality.other], shift)
            attention = attend(other.prepared.keys[near], asks.prepared.queries)
            cosine = self.options.kd.similarity == "cosine"
            overlaps = mask_overlaps(attention, other.attention[near], cosine=cosine)
            parts = read(attention, other.prepared.tokens[near], asks.prepared.gates)
            everywhere = partners(labels[modality], labels[modality.other], shift)
            crossed[modality] = Crossed(parts, gather(overlaps), everywhere)
        return crossed

    def _logits(self, parts: Tensor) -> Tensor:
        """(N, parts, C) -> (N, parts, identities); one head for all parts."""
        logits: Tensor = self.head(parts.flatten(0, 1))[1]
        return logits.reshape(*parts.shape[:2], -1)

    def _alignment_losses(
        self, own: Mapping[Modality, Tensor], found: Mapping[Modality, Tensor], labels: Mapping[Modality, Tensor]
    ) -> dict[str, Tensor]:
        """Parts read with queries of one modality are compared with each other: their numbers mean the same."""
        kind = self.options.pcl.kind
        if kind == "none":
            return {}
        if kind == "part_aligned":
            sides = ((side[VISIBLE], side[INFRARED]) for side in (own, found, labels))
            return {"part_alignment": part_aligned_centre_loss(*sides, margin=self.options.pcl.margin)}
        terms = []
        for modality in Modality:
            parts, twice = torch.cat([own[modality], found[modality]]), labels[modality].repeat(2)
            if kind == "centre":
                terms.append(part_centre_loss(parts, twice))
            else:
                terms.append(weighted_regularised_triplet(unit(unit_parts(parts).flatten(1)), twice))
        return {kind: torch.stack(terms).mean()}

    def _region_losses(self, seen: Mapping[Modality, Seen], labels: Mapping[Modality, Tensor]) -> dict[str, Tensor]:
        """Every part query tells its identity by itself, and a picture's regions lie apart."""
        options, losses = self.options.drm, {}
        if self.part_classifiers:
            terms = []
            for modality, side in seen.items():
                logits = self.part_classifiers[modality](gather(side.queries))
                targets = labels[modality].repeat_interleave(options.parts)
                terms.append(options.parts * identity_loss(logits.flatten(0, 1), targets))
            losses["region_identity"] = options.identity_weight * torch.stack(terms).sum()
        masks = [side.masks for side in seen.values() if side.masks is not None]
        if options.diversity_weight and masks:
            losses["region_overlap"] = options.diversity_weight * sum(
                (gather(region_overlap(mask)).mean() for mask in masks), start=masks[0].new_zeros(())
            )
        return losses

    def _distilled(
        self,
        losses: dict[str, Tensor],
        crossed: Mapping[Modality, Crossed],
        of_own: Mapping[Modality, Tensor],
        of_found: Mapping[Modality, Tensor],
    ) -> Losses:
        """Add what cross-refined parts teach self-refined ones, between matched queries."""
        options, parts = self.options.kd, self.options.drm.parts
        numbers = {
            modality: best_matchings(side.overlaps)
            if options.match == "hungarian"
            else torch.zeros(len(side.overlaps), dtype=torch.int64, device=side.overlaps.device)
            for modality, side in crossed.items()
        }
        if options.masks:
            shared = [matched(side.overlaps, numbers[modality]).sum(dim=1).mean() for modality, side in crossed.items()]
            losses["mask_distillation"] = -options.masks * torch.stack(shared).sum()
        if options.logits:
            terms = []
            for modality, side in crossed.items():
                chosen = permutation_table(parts).to(side.partner.device)[numbers[modality]]
                student = of_own[modality.other][side.partner[:, None], chosen]
                terms.append(divergence(of_found[modality], student).sum(dim=1).mean())
            losses["logit_distillation"] = options.logits * torch.stack(terms).sum()
        both = torch.cat([numbers[INFRARED], inverse(numbers[VISIBLE], parts)])
        return Losses(losses, embeddings={"matchings": both})
