"""What is decided before an epoch: labels, memories, partners, neighbours, merging; from features of all pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from vireid.clustering import (
    Clustering,
    ClusterMatches,
    centroids,
    cluster,
    cluster_each,
    cluster_jointly,
    match_clusters,
    refine_by_camera,
    region_neighbours,
    region_similarity,
)
from vireid.errors import TrainingError
from vireid.methods.base import Labels, TrainingPictures
from vireid.methods.mcf.memories import first_partners, mixed_memory, shared_memories
from vireid.methods.mcf.merging import groups, merge_targets
from vireid.methods.mcf.options import MCFOptions
from vireid.types import Modality

__all__ = ["Epoch", "decide"]

VISIBLE, INFRARED = Modality.VISIBLE, Modality.INFRARED
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """labels: what the loop trains on. arrays: by name, what the losses look up, see `decide`."""

    labels: Labels
    arrays: Mapping[str, NDArray[Any]]


def decide(
    pictures: TrainingPictures,
    options: MCFOptions,
    *,
    crossing: bool,
    epoch: int,
    previous: Mapping[Modality, IntArray],
    device: str | None = None,
) -> Epoch:
    """Cluster the pictures and, in the phase that crosses the modalities, everything that rests on the clusters.

    Arrays, m and a being `visible` or `infrared`:
    `m.rows` (N,) of the image table, `m.labels` (N,), `m.memory` (K, D) unit centroids;
    `m.partner` (K,) of the other modality's clusters the first partner; `m.shared` (K, D) memories of both modalities;
    `m.merge` (K,) the cluster that each is pulled towards;
    `m.mixed` (N,) labels of clusters of both modalities, and `mixed.memory` their means over both;
    `m.bank` (N, D) unit features; `a.m.begins`, `a.m.columns`, `a.m.weights` the neighbours of a's pictures in it.

    previous: labels of the last epoch, none in the first.

    Raises:
        TrainingError: there are too few clusters in the first epoch.
    """
    features = {modality: pictures.embed(modality).vector for modality in Modality}
    found, mixed = _clustered(features, options, at_least=pictures.classes_per_batch, device=device)
    notes: list[str] = []
    labels = {m: _usable(m, found[m], previous.get(m), pictures.classes_per_batch, notes) for m in Modality}
    arrays: dict[str, NDArray[Any]] = {}
    for m in Modality:
        arrays |= {f"{m}.rows": pictures.rows[m], f"{m}.labels": labels[m]}
        arrays[f"{m}.memory"] = centroids(features[m], labels[m])
    told: dict[str, dict[str, Any]] = {m.value: _told(found[m], labels[m]) for m in Modality}
    matches = None
    if crossing:
        matches = _matched(features, labels, options)
        arrays |= _joined(features, labels, matches, options, epoch)
        if options.mixes:
            arrays |= {f"{m}.mixed": mixed[m] for m in Modality}
            arrays["mixed.memory"] = mixed_memory([features[m] for m in Modality], [mixed[m] for m in Modality])
            told["mixed"] = {"clusters": len(arrays["mixed.memory"])}
        told["matched"] = {"mu": matches.mu, "infrared_without": sum(not len(own) for own in matches.to_visible)}
        if options.vrnl.enabled:
            k1 = {m: found[m].k1 for m in Modality}
            arrays |= _neighbours(features, pictures.cameras, options, epoch=epoch, k1=k1, device=device)
    return Epoch(
        labels=Labels(
            of=labels,
            paired=False,
            across_cameras=options.use_cameras,
            matches=None if matches is None else matches.to_infrared,
            told=told,
            notes=tuple(notes),
        ),
        arrays=arrays,
    )


def _clustered(
    features: Mapping[Modality, FloatArray], options: MCFOptions, *, at_least: int, device: str | None
) -> tuple[dict[Modality, Clustering], dict[Modality, IntArray]]:
    """Clusters of each modality, and labels of those of both where distances are joint."""
    chosen = options.clustering
    if chosen.joint != "none":
        assert not isinstance(chosen.k1, str) and not isinstance(chosen.eps, str)  # noqa: PT018 - the options say so
        found = cluster_jointly(
            [features[m] for m in Modality],
            k1=chosen.k1,
            k2=chosen.k2,
            eps=chosen.eps,
            min_samples=chosen.min_samples,
            at_least=at_least,
            device=device,
        )
        return dict(zip(Modality, found.sides, strict=True)), dict(zip(Modality, found.mixed, strict=True))
    settings = chosen.model_dump(exclude={"joint", "mixed_weight"})
    return {m: cluster(features[m], **settings, at_least=at_least, device=device) for m in Modality}, {}


def _usable(
    modality: Modality, found: Clustering, previous: IntArray | None, needed: int, notes: list[str]
) -> IntArray:
    """The clusters that were found, or those of the last epoch where they are too few for a batch."""
    if found.clusters >= needed:
        return found.labels
    said = f"{found.clusters} {modality} clusters at radius {found.eps:.3g}, a batch needs {needed}"
    if previous is None:
        raise TrainingError(
            f"mcf: {said}; start from weights that tell people apart (start=stand-in, or vireid pretrain), lower "
            "batch.identities, or set clustering.eps=auto"
        )
    notes.append(f"{said}; the labels of the last epoch stay")
    return previous


def _told(found: Clustering, labels: IntArray) -> dict[str, Any]:
    return {
        "eps": round(found.eps, 6),
        "k1": found.k1,
        "silhouette": found.silhouette,
        "largest": int(np.bincount(labels[labels >= 0]).max(initial=0)),
        "kept_from_last_epoch": labels is not found.labels,
    }


def _matched(
    features: Mapping[Modality, FloatArray], labels: Mapping[Modality, IntArray], options: MCFOptions
) -> ClusterMatches:
    vra = options.vra
    regions = options.regions if vra.similarity == "regions" else 1
    similarity = region_similarity(
        features[VISIBLE], labels[VISIBLE], features[INFRARED], labels[INFRARED], regions=regions
    )
    return match_clusters(
        similarity / regions,
        mu=vra.mu,
        matcher=vra.matcher,
        cover_infrared=vra.cover_infrared,
        min_similarity=vra.min_similarity,
    )


def _joined(
    features: Mapping[Modality, FloatArray],
    labels: Mapping[Modality, IntArray],
    matches: ClusterMatches,
    options: MCFOptions,
    epoch: int,
) -> dict[str, NDArray[Any]]:
    """Partners, shared memories and merging."""
    shared = shared_memories(
        features[VISIBLE],
        labels[VISIBLE],
        features[INFRARED],
        labels[INFRARED],
        matches,
        balance=options.vra.balance,
    )
    merged = groups(matches, closure=options.um.closure)
    partners = matches.to_infrared, first_partners(matches)
    arrays: dict[str, NDArray[Any]] = {}
    for m, memory, partner, own in zip(Modality, shared, partners, merged, strict=True):
        arrays |= {f"{m}.shared": memory, f"{m}.partner": partner, f"{m}.merge": merge_targets(own, epoch)}
    return arrays


def _neighbours(
    features: Mapping[Modality, FloatArray],
    cameras: Mapping[Modality, IntArray],
    options: MCFOptions,
    *,
    epoch: int,
    k1: Mapping[Modality, int],
    device: str | None,
) -> dict[str, NDArray[Any]]:
    """Neighbours within each modality, and across in one direction or in both."""
    chosen = options.vrnl
    across = [(VISIBLE, INFRARED), (INFRARED, VISIBLE)]
    pairs = [*((m, m) for m in Modality), *(across[epoch % 2 : epoch % 2 + 1] if chosen.alternate else across)]
    arrays: dict[str, NDArray[Any]] = {f"{m}.bank": features[m] for m in Modality}
    for own, other in pairs:
        found = region_neighbours(
            features[own],
            features[other],
            regions=options.regions,
            rho=chosen.rho,
            kind=chosen.range,
            top=chosen.top,
            min_agree=chosen.min_agree or (1 if chosen.soft else None),  # weights that could only be 1 say nothing
            device=device,
        )
        if own is other and options.use_cameras and len(np.unique(cameras[own])) > 1:
            found = _refined(found, features[own], cameras[own], options, k1=k1[own], device=device)
        arrays |= {f"{own}.{other}.begins": found.indptr, f"{own}.{other}.columns": found.indices}
        if chosen.soft:
            arrays[f"{own}.{other}.weights"] = found.data.astype(np.float32)
    return arrays


def _refined(
    neighbours: csr_array, features: FloatArray, cameras: IntArray, options: MCFOptions, *, k1: int, device: str | None
) -> csr_array:
    """Without neighbours that the clusters within their camera tell apart."""
    local = cluster_each(
        features,
        cameras,
        k1=k1,
        k2=options.clustering.k2,
        eps=options.vrnl.local_eps,
        min_samples=options.clustering.min_samples,
        device=device,
    )
    return refine_by_camera(neighbours, cameras=cameras, local_labels=local)
