"""The method: clusters of each modality first, then what joins them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from vireid.errors import UsageError
from vireid.losses import gather
from vireid.losses.diversity import region_diversity
from vireid.losses.gates import gate_consistency
from vireid.losses.memories import cluster_contrast, updated_memory
from vireid.losses.neighbours import neighbour_contrast
from vireid.methods.base import Labels, Losses, Method, ParameterGroup, TrainingPictures, unit
from vireid.methods.explain import Explanation, MatchedPart, Shown, embed_shown, explain_by_covering
from vireid.methods.mcf.adversary import EXCHANGED, ModalityClassifier
from vireid.methods.mcf.epoch import decide
from vireid.methods.mcf.options import MCFOptions
from vireid.networks.necks import BNNeck
from vireid.networks.part_attention import PartAttention
from vireid.networks.regions import RegionResNet, RegionViT
from vireid.networks.vit import is_vit
from vireid.networks.weights import LoadReport, load_start
from vireid.types import Batch, Clock, DataInfo, Embeddings, Modality, ViewRequest

__all__ = ["MCF"]

VISIBLE, INFRARED = Modality.VISIBLE, Modality.INFRARED
_LATE_MERGING = 35  # epochs of the second phase


class MCF(Method):
    """Phase `within`: clusters of each modality. Phase `across`: clusters and pictures of both meet.

    Without anything that joins the modalities there is no second phase.
    """

    name = "mcf"
    title = "MCF: learning without labels, with a channel-augmented modality"
    Options = MCFOptions
    supervised = False
    WITHIN: ClassVar[str] = "within"
    ACROSS: ClassVar[str] = "across"

    options: MCFOptions

    def __init__(self, options: MCFOptions, data: DataInfo) -> None:
        super().__init__(options, data)
        self.network = _network(options, data.image_size)
        self.necks = nn.ModuleList(BNNeck(self.network.channels) for _ in range(options.regions))
        if options.maal.enabled:
            width = self.network.channels * (1 if options.maal.per_region else options.regions)
            self.classifier = ModalityClassifier(width)
        self._epoch: dict[str, Tensor] = {}

    @classmethod
    def phases(cls, options: MCFOptions) -> tuple[str, ...]:
        return (cls.WITHIN, cls.ACROSS) if options.crosses else (cls.WITHIN,)

    def load_start(self, source: str) -> LoadReport | None:
        return load_start(self.network, source)

    def views(self) -> dict[str, ViewRequest]:
        """Both modalities, and the visible pictures once more by one of their channels."""
        plain = ViewRequest(modality=VISIBLE, channel_exchange=False)
        exchanged = ViewRequest(modality=VISIBLE, channel_exchange=False, channel_copy=True)
        infrared = ViewRequest(modality=INFRARED, colour_jitter=False)
        return {"visible": plain, "exchanged": exchanged, "infrared": infrared}

    def parameter_groups(self, phase: str) -> list[ParameterGroup]:
        """All of it in both phases; the classifier at a rate of its own."""
        learnt = [p for part in (self.network, self.necks) for p in part.parameters() if p.requires_grad]
        groups = [ParameterGroup(name="network", parameters=learnt)]
        if self.options.maal.enabled:
            own = [p for p in self.classifier.parameters() if p.requires_grad]
            maal = self.options.maal
            rate = maal.rate if phase == self.WITHIN else maal.late_rate
            groups.append(ParameterGroup(name="classifier", parameters=own, rate=rate))
        return groups

    def embed(self, images: Tensor, modality: Modality) -> Embeddings[Tensor]:
        """`vector`: the regions after their necks, side by side, of the picture and its mirror image added."""
        both = torch.cat([images, images.flip(3)])
        regions = self.network(*((both, None) if modality is VISIBLE else (None, both))).features
        features = self._joined(regions)
        return Embeddings(unit(features[: images.shape[0]] + features[images.shape[0] :]))

    def explain(self, query: Shown, candidate: Shown) -> Explanation:
        """The generic explanation, with what each region adds to the score; a stripe says where it is."""
        found = explain_by_covering(self, query, candidate)
        vectors = [embed_shown(self, shown).vector[0].view(self.options.regions, -1) for shown in (query, candidate)]
        weights = (vectors[0] * vectors[1]).sum(dim=1).tolist()
        stripes = self.options.region_mode == "stripes"
        places = np.eye(self.options.regions)[:, :, None] if stripes else [None] * self.options.regions
        parts = [
            MatchedPart(name=f"region {number}", weight=weight, query=place, candidate=place)
            for number, (weight, place) in enumerate(zip(weights, places, strict=True))
        ]
        return replace(found, parts=tuple(parts))

    def relabel(self, pictures: TrainingPictures, clock: Clock) -> Labels | None:
        device = next(self.parameters()).device
        previous = {m: self._epoch[f"{m}.labels"].cpu().numpy() for m in Modality if f"{m}.labels" in self._epoch}
        found = decide(
            pictures,
            self.options,
            crossing=clock.phase == self.ACROSS,
            epoch=clock.epoch,
            previous=previous,
            device=None if device.type == "cpu" else str(device),
        )
        self.load_training_state({name: torch.from_numpy(array.copy()) for name, array in found.arrays.items()})
        if self.options.memory.exchanged == "own":
            self._epoch["exchanged.memory"] = self._epoch["visible.memory"].clone()
        return found.labels

    def training_state(self) -> dict[str, Tensor]:
        """See `decide`; memories move with every step."""
        return dict(self._epoch)

    def load_training_state(self, state: Mapping[str, Tensor]) -> None:
        device = next(self.parameters()).device
        self._epoch = {name: _at_least_32(tensor).to(device) for name, tensor in state.items()}

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        if not self._epoch:
            raise UsageError("mcf has no clusters yet; call relabel before losses")
        visible, exchanged, infrared = (batch[name] for name in ("visible", "exchanged", "infrared"))
        found = self.network(torch.cat([visible.images, exchanged.images]), infrared.images)
        streams = [len(view) for view in (visible, exchanged, infrared)]
        regions = [gather(part) for part in found.features.split(streams)]
        gates = [[gather(part) for part in gate.split(streams)] for gate in found.gates]
        features = self._joined(torch.cat(regions))
        sizes = [len(part) for part in regions]
        own, copies, other = torch.split(unit(features), sizes)
        labels = {VISIBLE: gather(visible.labels).repeat(2), INFRARED: gather(infrared.labels)}
        rows = {VISIBLE: gather(visible.rows).repeat(2), INFRARED: gather(infrared.rows)}
        queries = {VISIBLE: torch.cat([own, copies]), INFRARED: other}
        losses = self._base(queries, labels, clock)
        losses["diversity"] = self.options.diversity * (
            region_diversity(torch.cat(regions[:2])) + region_diversity(regions[2])
        )
        if gates:
            losses["gates"] = self._gate_loss(gates, labels)
        losses |= self._adversarial(features, sizes, clock)
        if clock.phase == self.ACROSS:
            losses |= self._crossing(queries, labels, rows, clock)
        seen = {f"{m}.queries": queries[m].detach() for m in Modality} | {f"{m}.labels": labels[m] for m in Modality}
        if "mixed.memory" in self._epoch:
            mixed = {m: self._epoch[f"{m}.mixed"][self._places(m, rows[m])] for m in Modality}
            parts = [self._contrast(queries[m], "mixed.memory", mixed[m]) for m in Modality]
            losses["mixed"] = self.options.clustering.mixed_weight * torch.stack(parts).sum()
            seen |= {f"{m}.mixed": mixed[m] for m in Modality}
        return Losses(losses, embeddings=seen)

    def after_step(self, batch: Batch, embeddings: Mapping[str, Tensor], clock: Clock) -> None:  # noqa: ARG002 - hook
        """Memories meet the queries of this step: each modality's own first, then the other's."""
        options = self.options.memory
        for m in Modality:
            queries, labels = embeddings[f"{m}.queries"], embeddings[f"{m}.labels"]
            if m is VISIBLE and options.exchanged != "visible":
                queries, copies = queries.chunk(2)
                labels = labels[: len(queries)]
                if options.exchanged == "own":
                    self._meet("exchanged.memory", copies, labels, options.momentum)
            self._meet(f"{m}.memory", queries, labels, options.momentum)
        for m in Modality if clock.phase == self.ACROSS else ():
            for source in (m, m.other):
                labels = embeddings[f"{source}.labels"]
                target = labels if source is m else self._partners(source, labels)
                self._meet(f"{m}.shared", embeddings[f"{source}.queries"], target, options.shared_momentum)
        for m in Modality if "mixed.memory" in self._epoch else ():
            queries, labels = embeddings[f"{m}.queries"], embeddings[f"{m}.mixed"]
            self._meet("mixed.memory", queries, labels, options.shared_momentum)

    def _meet(self, name: str, queries: Tensor, labels: Tensor, momentum: float) -> None:
        how = self.options.memory.update
        self._epoch[name] = updated_memory(self._epoch[name], queries, labels, momentum=momentum, how=how)

    def _joined(self, regions: Tensor) -> Tensor:
        """Regions (N, R, C) -> features (N, R * C) after each region's neck, in fp32."""
        return torch.cat([neck(part) for neck, part in zip(self.necks, regions.float().unbind(1), strict=True)], dim=1)

    def _contrast(self, queries: Tensor, memory: str, labels: Tensor) -> Tensor:
        temperature = self.options.memory.temperature
        return cluster_contrast(queries, self._epoch[memory], labels, temperature=temperature)

    def _base(
        self, queries: Mapping[Modality, Tensor], labels: Mapping[Modality, Tensor], clock: Clock
    ) -> dict[str, Tensor]:
        """Contrast of every modality with its own clusters."""
        vra = self.options.vra
        shared = clock.phase == self.ACROSS and vra.enabled and vra.base == "shared"
        kind, how = ("shared" if shared else "memory"), self.options.memory.exchanged
        count = len(queries[VISIBLE]) if how == "visible" else len(queries[VISIBLE]) // 2
        losses = {
            "visible": self._contrast(queries[VISIBLE][:count], f"visible.{kind}", labels[VISIBLE][:count]),
            "infrared": self._contrast(queries[INFRARED], f"infrared.{kind}", labels[INFRARED]),
        }
        if how == "own":
            losses["exchanged"] = self._contrast(queries[VISIBLE][count:], "exchanged.memory", labels[VISIBLE][count:])
        return losses

    def _gate_loss(self, gates: list[list[Tensor]], labels: Mapping[Modality, Tensor]) -> Tensor:
        """Consistency of the gates in each modality, averaged over modalities and modules."""
        options = self.options.pacbam
        parts = [
            gate_consistency(side, labels[m], margin=options.margin, form=options.form)
            for module in gates
            for m, side in ((VISIBLE, torch.cat(module[:2])), (INFRARED, module[2]))
        ]
        return options.weight * torch.stack(parts).mean()

    def _adversarial(self, features: Tensor, sizes: list[int], clock: Clock) -> dict[str, Tensor]:
        """The classifier's own loss, and what draws features to the channel-augmented modality."""
        options = self.options.maal
        if not options.enabled:
            return {}
        classes = torch.tensor([0, EXCHANGED, 1], device=features.device)  # visible, exchanged, infrared
        modality = classes.repeat_interleave(torch.tensor(sizes, device=features.device))
        if options.per_region:
            features = features.reshape(features.shape[0] * self.options.regions, -1)
            modality = modality.repeat_interleave(self.options.regions)
        losses = {"classifier": options.classifier * self.classifier.own_loss(features, modality)}
        first = clock.phase == self.WITHIN
        if not (first and clock.epoch < options.warmup_epochs):
            weight = options.weight if first else options.late_weight
            losses["modality"] = weight * self.classifier.against(features, modality)
        return losses

    def _crossing(
        self,
        queries: Mapping[Modality, Tensor],
        labels: Mapping[Modality, Tensor],
        rows: Mapping[Modality, Tensor],
        clock: Clock,
    ) -> dict[str, Tensor]:
        """What joins the modalities: contrast with matched clusters, with neighbours, and merging."""
        options = self.options
        losses = {}
        if options.vra.enabled:
            parts = [self._contrast(queries[m], f"{m.other}.shared", self._partners(m, labels[m])) for m in Modality]
            losses["matching"] = options.vra.weight * torch.stack(parts).sum()
        if options.vrnl.enabled:
            losses["neighbours"] = options.vrnl.weight * self._neighbour_loss(queries, rows)
        if options.um.enabled:
            late = options.um.late_weight if clock.epoch >= _LATE_MERGING else None
            weight = options.um.weight if late is None else late
            shares = {VISIBLE: options.um.visible, INFRARED: options.um.infrared}
            merging = [
                shares[m] * self._contrast(queries[m], f"{m}.memory", _looked_up(self._epoch[f"{m}.merge"], labels[m]))
                for m in Modality
            ]
            losses["merging"] = weight * torch.stack(merging).sum()
        return losses

    def _neighbour_loss(self, queries: Mapping[Modality, Tensor], rows: Mapping[Modality, Tensor]) -> Tensor:
        options = self.options.vrnl
        pairs = [(VISIBLE, VISIBLE), (INFRARED, INFRARED), (VISIBLE, INFRARED), (INFRARED, VISIBLE)]
        parts = []
        for (own, other), weight in zip(pairs, options.weights, strict=True):
            name = f"{own}.{other}"
            if f"{name}.begins" not in self._epoch:
                continue  # the other direction's turn
            begins, chosen = _sliced(self._epoch[f"{name}.begins"], self._places(own, rows[own]))
            weights = self._epoch.get(f"{name}.weights")
            loss = neighbour_contrast(
                queries[own],
                self._epoch[f"{other}.bank"],
                begins,
                self._epoch[f"{name}.columns"][chosen],
                temperature=self.options.memory.temperature,
                weights=None if weights is None else weights[chosen],
                reduction=options.reduction,
            )
            parts.append(weight * loss)
        return torch.stack(parts).sum()

    def _places(self, modality: Modality, rows: Tensor) -> Tensor:
        """Where pictures, by their rows of the image table, stand among those of their modality."""
        known = self._epoch[f"{modality}.rows"]
        order = known.argsort()
        return order[torch.searchsorted(known[order], rows)]

    def _partners(self, modality: Modality, labels: Tensor) -> Tensor:
        """The cluster of the other modality that each label's cluster belongs with, -1 for none."""
        return _looked_up(self._epoch[f"{modality}.partner"], labels)


def _network(options: MCFOptions, image_size: tuple[int, int]) -> RegionResNet | RegionViT:
    pacbam = options.pacbam
    attention = partial(
        PartAttention,
        parts=pacbam.parts or options.regions,
        reduction=pacbam.reduction,
        mlp=pacbam.mlp,
        residual=pacbam.residual,
    )
    if is_vit(options.architecture):
        return RegionViT(
            options.architecture,
            image_size=image_size,
            regions=options.regions,
            class_tokens=options.region_mode == "class_tokens",
            stem=options.stem,
            path_dropout=options.path_dropout,
            attention=attention if pacbam.enabled else None,
            positions=pacbam.positions if pacbam.enabled else (),
        )
    return RegionResNet(options.architecture, regions=options.regions, attention=attention if pacbam.enabled else None)


def _at_least_32(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor.long()


def _looked_up(table: Tensor, labels: Tensor) -> Tensor:
    """table[labels], -1 where the label is -1."""
    return torch.where(labels >= 0, table[labels.clamp(min=0)], -1)


def _sliced(begins: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Of a sparse matrix's rows: where each begins among those chosen, and the places of their entries."""
    counts = begins.diff()[rows]
    starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    within = torch.arange(int(starts[-1]), device=begins.device) - starts[:-1].repeat_interleave(counts)
    return starts, begins[rows].repeat_interleave(counts) + within
