"""Which pictures make a batch: P identities, each with its own count of pictures per modality."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vireid.errors import TrainingError, UsageError
from vireid.types import Modality

__all__ = ["IdentitySampler", "Share"]

_SAMPLER_STREAM = 0  # first word of the seed; augmentation draws from another stream


@dataclass(frozen=True, kw_only=True)
class Share:
    """The part of every global batch that one process computes."""

    rank: int = 0
    world: int = 1

    def refuse_uneven(self, identities: int) -> None:
        """Raise a UsageError if the identities of a batch cannot be divided among the processes."""
        if identities % self.world:
            raise UsageError(f"batch.identities={identities} is not divisible by {self.world} processes")


class IdentitySampler:
    """Batches of P identities x K pictures per modality, any batch of any epoch computable on its own.

    A batch is a function of (seed, phase, epoch, batch) alone: nothing is remembered between batches, so a run can
    resume anywhere, and a process takes the identities of its share from the same global batch.

    `labels` gives per modality one class per picture, -1 for pictures that take no part. With `paired`, the P
    identities are drawn among those seen in every modality and serve all of them; without, each modality draws its
    own (label spaces of unsupervised training are not shared). An identity with fewer than K pictures has all of
    them and then repeats. With `cameras`, one number per picture, those drawn are of as many cameras as possible: each
    camera's first ones come before any camera's second ones. `batches` per epoch default to what the larger modality
    needs to be seen about once.
    """

    def __init__(
        self,
        labels: Mapping[Modality, NDArray[np.int64]],
        *,
        identities: int,
        images: Mapping[Modality, int],
        seed: int,
        paired: bool = True,
        batches: int | None = None,
        cameras: Mapping[Modality, NDArray[np.int64]] | None = None,
    ) -> None:
        none = [modality for modality in labels if images[modality] < 1]
        if none:
            raise UsageError(f"a batch takes no {none[0]} pictures, but the method trains on them; set batch.{none[0]}")
        self.identities, self.seed, self.paired = identities, seed, paired
        self.images = {modality: images[modality] for modality in labels}
        self._cameras = cameras
        self._members = {modality: _members(values) for modality, values in labels.items()}
        pools = {modality: np.array(sorted(members)) for modality, members in self._members.items()}
        if paired:
            common = sorted(set.intersection(*(set(members) for members in self._members.values())))
            pools = dict.fromkeys(pools, np.array(common, dtype=np.int64))
        self._pools = pools
        for modality, pool in pools.items():
            if len(pool) < identities:
                raise TrainingError(
                    f"a batch needs {identities} identities, but only {len(pool)} have {modality} training pictures"
                    f"{' in every modality' if paired else ''}; lower batch.identities"
                )
        usable = {m: int((values >= 0).sum()) for m, values in labels.items()}
        needed = max(-(-count // (identities * self.images[m])) for m, count in usable.items())
        self.batches = batches or needed

    def batch(
        self, phase: int, epoch: int, batch: int, *, share: Share | None = None
    ) -> dict[Modality, NDArray[np.int64]]:
        """Positions into each modality's `labels` for one batch, grouped by identity, for one process's share."""
        share = share or Share()
        rng = np.random.default_rng([_SAMPLER_STREAM, self.seed, phase, epoch, batch])
        chosen: NDArray[np.int64] | None = None
        positions = {}
        for modality, members in self._members.items():
            if chosen is None or not self.paired:
                chosen = rng.choice(self._pools[modality], self.identities, replace=False)
            cameras = self._cameras[modality] if self._cameras else None
            drawn = np.stack([_draw(rng, members[int(label)], self.images[modality], cameras) for label in chosen])
            each = self.identities // share.world
            positions[modality] = drawn[share.rank * each : (share.rank + 1) * each].ravel()
        return positions


def _members(labels: NDArray[np.int64]) -> dict[int, NDArray[np.int64]]:
    order = np.argsort(labels, kind="stable")
    values, starts = np.unique(labels[order], return_index=True)
    groups = np.split(order, starts[1:])
    return {int(value): group for value, group in zip(values, groups, strict=True) if value >= 0}


def _draw(
    rng: np.random.Generator, members: NDArray[np.int64], count: int, cameras: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    rounds = [rng.permutation(members) for _ in range(-(-count // len(members)))]
    if cameras is not None:
        rounds = [_across(each, cameras[each]) for each in rounds]
    return np.concatenate(rounds)[:count]


def _across(pictures: NDArray[np.int64], cameras: NDArray[np.int64]) -> NDArray[np.int64]:
    """The pictures in order, but each camera's first ones before any camera's second ones."""
    turn = np.empty(len(pictures), np.int64)
    for camera in np.unique(cameras):
        own = cameras == camera
        turn[own] = np.arange(own.sum())
    return pictures[np.argsort(turn, kind="stable")]
