"""What a run trains on: the training pictures of a data set, their classes, and the identities held out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from vireid.clustering import label_statistics, match_precision
from vireid.data import UNKNOWN, Dataset
from vireid.data.images import PictureFiles, PictureSource
from vireid.data.loaders import Pictures, TrainingLoader
from vireid.data.packed import pack
from vireid.data.samplers import IdentitySampler, Share
from vireid.errors import TrainingError, UsageError
from vireid.evaluation import rank
from vireid.evaluation.scoring import composed
from vireid.matching import Matcher, best_of
from vireid.methods.base import Labels, Method, TrainingPictures
from vireid.methods.bundle import Card, identity_names
from vireid.methods.encoder import TorchEncoder, embed_pictures
from vireid.training.recipe import Recipe
from vireid.types import DataInfo, Embeddings, Modality, Say, Side, Track, ViewRequest

__all__ = ["TrainingData"]

_HELD_OUT_STREAM = 2
_CANDIDATES = 50  # that are scored exactly in validation
_WORTH_PACKING = 10  # times that a run reads each picture


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """Training pictures per modality with classes 0..C-1, and the table of identities held out for selection.

    source: where the pictures are read from, by their rows of the data set's table.
    """

    dataset: Dataset
    protocol: str
    table: pd.DataFrame
    held_out: tuple[int, ...]
    labels: Labels
    source: PictureSource

    @classmethod
    def of(cls, dataset: Dataset, recipe: Recipe, *, supervised: bool | None = None) -> TrainingData:
        """The training split of the recipe's protocol; without classes where `supervised` (default: as the recipe's
        method is) is False.

        Raises:
            UsageError: the protocol is not one of the data set. TrainingError: there is nothing to train on, or nobody
                says who the pictures show.
        """
        supervised = recipe.supervised if supervised is None else supervised
        protocol = recipe.data.protocol or dataset.default_protocol
        rows = dataset.training_rows(protocol)
        if not len(rows):
            raise TrainingError(f"{dataset.root} has no training pictures for protocol {protocol!r}")
        table = dataset.images.loc[rows]
        if supervised and bool((table.identity == UNKNOWN).any()):
            raise TrainingError(
                f"{dataset.root} does not say who is who, and {recipe.method} is trained with identities; train mcf, "
                "list the people in a manifest, or learn from a trained model: vireid distill"
            )
        held_out = _hold_out(table, recipe.data.held_out, recipe.seed)
        kept = table[~table.identity.isin(held_out)]
        classes = {identity: number for number, identity in enumerate(sorted(kept.identity.unique()))}
        identity = {modality: kept.identity[kept.modality == modality] for modality in Modality}
        of = {modality: side.map(classes).to_numpy(np.int64, copy=True) for modality, side in identity.items()}
        if not supervised:
            of = {modality: np.full_like(values, -1) for modality, values in of.items()}
        return cls(
            dataset=dataset,
            protocol=protocol,
            table=table,
            held_out=held_out,
            labels=Labels(of=of, paired=True),
            source=PictureFiles(dataset.images.path.tolist(), recipe.image.size),
        )

    def cached(self, recipe: Recipe, *, track: Track, say: Say) -> TrainingData:
        """The same, read from packed pictures if the recipe says so; they are built now where they are missing.

        Raises:
            UsageError: the cache cannot be written. ImageError: a picture cannot be read.
        """
        batch = recipe.batch.identities * (recipe.batch.visible + recipe.batch.infrared)
        each_epoch = recipe.steps_per_epoch * batch / len(self.trained) if recipe.steps_per_epoch else 1
        reads = each_epoch * sum(phase.epochs for phase in recipe.phases)
        if recipe.data.cache == "none" or (recipe.data.cache == "auto" and reads < _WORTH_PACKING):
            return self
        rows = self.table.index.to_numpy(np.int64)
        return replace(self, source=pack(self.dataset, rows, size=recipe.image.size, track=track, say=say))

    def describe(self, *, supervised: bool) -> str:
        """How many pictures and identities are trained on, and who takes no part."""
        counts = ", ".join(f"{len(self._of(m))} {m}" for m in Modality if len(self._of(m)))
        if not supervised:
            chosen = "; those held out are told by them, and choose the epoch" if self.held_out else ""
            return f"training on {counts} pictures of {self.dataset.name} without their identities{chosen}"
        seen = self.trained.groupby("identity").modality.nunique()
        alone = int((seen < seen.max()).sum())
        rest = f"; {alone} of them are seen in one modality only and are never drawn" if alone else ""
        kept = f"; {len(self.held_out)} more are held out" if self.held_out else ""
        return f"training on {len(seen)} identities of {self.dataset.name} ({counts} pictures){rest}{kept}"

    @property
    def trained(self) -> pd.DataFrame:
        """Rows of the image table that are trained on."""
        return self.table[~self.table.identity.isin(self.held_out)]

    def rows_of(self, modality: Modality) -> NDArray[np.int64]:
        """Rows of the image table of one modality's training pictures, in the order of the labels."""
        rows: NDArray[np.int64] = self._of(modality).index.to_numpy(np.int64, copy=True)
        return rows

    def info(self, recipe: Recipe) -> DataInfo:
        """What the method is told of the data."""
        cameras = {m: tuple(sorted({int(c) for c in self._of(m).camera})) for m in Modality}
        return DataInfo(
            identities=int(self.trained.identity.nunique()) if recipe.supervised else None,
            image_size=recipe.image.size,
            visible_cameras=cameras[Modality.VISIBLE],
            infrared_cameras=cameras[Modality.INFRARED],
            mean=recipe.image.mean,
            std=recipe.image.std,
        )

    def loader(
        self,
        recipe: Recipe,
        views: Mapping[str, ViewRequest],
        labels: Labels,
        *,
        phase: int,
        epoch: int,
        share: Share,
    ) -> TrainingLoader:
        """The batches of one epoch."""
        share.refuse_uneven(recipe.batch.identities)
        used = [modality for modality in Modality if modality in {view.modality for view in views.values()}]
        pictures = {modality: self._pictures(modality, labels.of[modality]) for modality in used}
        sampler = IdentitySampler(
            {modality: labels.of[modality] for modality in used},
            identities=recipe.batch.identities,
            images={Modality.VISIBLE: recipe.batch.visible, Modality.INFRARED: recipe.batch.infrared},
            seed=recipe.seed,
            paired=labels.paired,
            batches=recipe.steps_per_epoch,
            cameras={m: side.cameras for m, side in pictures.items()} if labels.across_cameras else None,
        )
        return TrainingLoader(
            source=self.source,
            pictures=pictures,
            views=views,
            sampler=sampler,
            augmentation=recipe.augmentation,
            phase=phase,
            epoch=epoch,
            share=share,
        )

    def pictures_for(self, method: Method, recipe: Recipe, *, device: torch.device, track: Track) -> TrainingPictures:
        """What the method may see between epochs: everything but the identities, unless it is supervised."""
        encoder = TorchEncoder(method, recipe.image, device=device, bf16=recipe.precision == "bf16")

        def embed(modality: Modality) -> Embeddings[NDArray[Any]]:
            return self._embed(encoder, self._of(modality), modality, track)

        tables = {modality: self._of(modality) for modality in Modality}
        return TrainingPictures(
            embed,
            cameras={modality: table.camera.to_numpy(np.int64, copy=True) for modality, table in tables.items()},
            rows={modality: self.rows_of(modality) for modality in tables},
            classes_per_batch=recipe.batch.identities,
            labels=self.labels if recipe.supervised else None,
        )

    def without_labels(self) -> Labels:
        """Every picture a class of its own: what a loader can be built with before there are pseudo-labels."""
        return Labels(of={m: np.arange(len(values)) for m, values in self.labels.of.items()}, paired=False)

    def label_figures(self, labels: Labels) -> dict[str, Any]:
        """How labels agree with identities, for analysis alone: it is written down, and nothing that trains reads it.

        Of every modality the figures of `label_statistics`; where classes were matched, how many and the share of
        right ones. None stands for what is not a number.
        """
        identity = {m: self._of(m).identity.to_numpy(np.int64, copy=True) for m in labels.of}
        known = not any(bool((values == UNKNOWN).any()) for values in identity.values())
        found: dict[str, Any] = {
            m.value: label_statistics(values, identity[m] if known else None).to_json()
            for m, values in labels.of.items()
        }
        if labels.matches is not None and not known:
            found["matched"] = {"clusters": int((labels.matches >= 0).sum())}
        elif labels.matches is not None:
            precision = match_precision(
                labels.matches,
                labels.of[Modality.VISIBLE],
                identity[Modality.VISIBLE],
                labels.of[Modality.INFRARED],
                identity[Modality.INFRARED],
            )
            found["matched"] = {"clusters": int((labels.matches >= 0).sum()), "precision": precision}
        for name, figures in labels.told.items():
            found[name] = found.get(name, {}) | dict(figures)
        return {name: {key: _number(value) for key, value in part.items()} for name, part in found.items()}

    def validate(self, method: Method, recipe: Recipe, *, device: torch.device, track: Track) -> dict[str, float]:
        """Infrared-to-visible search among the identities held out, all pictures against all: mAP and rank-1.

        Where the matcher's lift is a first stage, its best candidates are scored exactly.
        """
        encoder = TorchEncoder(method, recipe.image, device=device, bf16=recipe.precision == "bf16")
        table = self.table[self.table.identity.isin(self.held_out)]
        sides = {modality: table[table.modality == modality] for modality in Modality}
        found = {m: self._embed(encoder, side, m, track) for m, side in sides.items()}
        matcher = method.matcher()
        query, gallery = found[Modality.INFRARED], found[Modality.VISIBLE]
        scores = _scores(matcher, query, gallery)
        ids = {modality: side.identity.to_numpy(np.int64, copy=True) for modality, side in sides.items()}
        result = rank(scores, ids[Modality.INFRARED], ids[Modality.VISIBLE])
        return {"mAP": 100 * float(result.mAP), "rank1": 100 * float(result.cmc[0])}

    def card(self, recipe: Recipe, vireid: str, *, teacher: Card | None = None) -> Card:
        """The model card of what is trained on this data, by a teacher where it had one."""
        return Card(
            dataset=self.dataset.name,
            dataset_kind=self.dataset.kind,
            dataset_fingerprint=self.dataset.fingerprint,
            licence=self.dataset.licence,
            restricted=self.dataset.restricted,
            protocol=self.protocol,
            identities=tuple(sorted(int(i) for i in self.table.identity.unique() if i != UNKNOWN)),
            identity_names=identity_names(self.table),
            held_out=self.held_out,
            recipe=recipe.digest,
            seed=recipe.seed,
            vireid=vireid,
            teacher=teacher,
        )

    def _embed(
        self, encoder: TorchEncoder, table: pd.DataFrame, modality: Modality, track: Track
    ) -> Embeddings[NDArray[Any]]:
        return embed_pictures(encoder, self.source, table.index.to_numpy(np.int64), modality, track=track)

    def _of(self, modality: Modality) -> pd.DataFrame:
        return self.trained[self.trained.modality == modality]

    def _pictures(self, modality: Modality, labels: NDArray[np.int64]) -> Pictures:
        table = self._of(modality)
        return Pictures(
            labels=labels,
            cameras=table.camera.to_numpy(np.int64, copy=True),
            rows=table.index.to_numpy(np.int64, copy=True),
        )


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _scores(
    matcher: Matcher, query: Embeddings[NDArray[Any]], gallery: Embeddings[NDArray[Any]]
) -> NDArray[np.floating[Any]]:
    """(Q, G): candidates by their exact scores, above the others by the lift's."""
    first: NDArray[Any] = (
        np.asarray(matcher.lift(query, Side.QUERY)) @ np.asarray(matcher.lift(gallery, Side.GALLERY)).T
    )
    if matcher.exact:
        return first
    candidates = np.sort(best_of(first, _CANDIDATES)[0], axis=1)
    return composed(first, candidates, np.asarray(matcher.rescore(query, gallery, candidates)))


def _hold_out(table: pd.DataFrame, share: float, seed: int) -> tuple[int, ...]:
    """Identities of the split `train` seen in both modalities: `share` of them, from every group of cameras its part.

    Validation identities of SYSU-MM01 are no candidates: cameras 1, 2 and 6 never saw them.
    """
    if share == 0:
        return ()
    candidates = table[table.split != "val"]
    seen = candidates.groupby("identity").agg(
        modalities=("modality", "nunique"), cameras=("camera", lambda values: tuple(sorted(set(values))))
    )
    rng = np.random.default_rng([_HELD_OUT_STREAM, seed])
    both = seen[seen.modalities == 2]
    groups = [np.sort(group.index.to_numpy()) for _, group in both.groupby("cameras", sort=True)]
    # Largest remainders: the parts of small groups add up to the share of all.
    wanted = np.array([share * len(group) for group in groups])
    counts = np.floor(wanted).astype(int)
    missing = round(float(wanted.sum())) - int(counts.sum())
    counts[np.argsort(counts - wanted, kind="stable")[:missing]] += 1
    chosen = [int(i) for group, count in zip(groups, counts, strict=True) for i in rng.permutation(group)[:count]]
    if len(chosen) < 2:
        raise UsageError(f"data.held_out={share} keeps {len(chosen)} identities out; at least 2 are needed")
    return tuple(sorted(chosen))
