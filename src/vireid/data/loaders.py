"""From rows of the image table to the tensors of a batch, in worker processes, the same for any number of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from vireid.data.images import PictureSource
from vireid.data.samplers import IdentitySampler, Share
from vireid.data.transforms import Augmentation, Change, augment, normalise
from vireid.errors import VireidError
from vireid.types import Modality, View, ViewRequest

__all__ = ["Pictures", "RawView", "TrainingLoader"]

_AUGMENTATION_STREAM = 1


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """The training pictures of one modality: aligned arrays of length N; `rows` of the image table."""

    labels: NDArray[np.int64]
    cameras: NDArray[np.int64]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, kw_only=True)
class RawView:
    """A view as it was read: images (N, 3, H, W) uint8, what is to happen to each of them, the rest as in `View`."""

    modality: Modality
    images: torch.Tensor
    changes: tuple[Change, ...]
    labels: torch.Tensor
    cameras: torch.Tensor
    rows: torch.Tensor

    def pin_memory(self) -> RawView:
        """The same in page-locked memory, from which CUDA copies beside the computation (DataLoader calls this)."""
        tensors = (self.images, self.labels, self.cameras, self.rows)
        images, labels, cameras, rows = (tensor.pin_memory() for tensor in tensors)
        return replace(self, images=images, labels=labels, cameras=cameras, rows=rows)

    def to_view(self, device: torch.device, mean: tuple[float, ...], std: tuple[float, ...]) -> View:
        """Move to `device`, augment and normalise there; the images are channels last in memory."""
        return View(
            modality=self.modality,
            images=normalise(augment(self.images.to(device, non_blocking=True), self.changes), mean, std),
            labels=self.labels.to(device, non_blocking=True),
            cameras=self.cameras.to(device, non_blocking=True),
            rows=self.rows.to(device, non_blocking=True),
        )


@dataclass(frozen=True, kw_only=True)
class TrainingLoader(Dataset[dict[str, RawView] | VireidError]):
    """One epoch of batches; item i is batch i of that epoch, drawn from (seed, phase, epoch, i) alone.

    Pictures are read from `source` by their rows of the image table.
    """

    source: PictureSource
    pictures: Mapping[Modality, Pictures]
    views: Mapping[str, ViewRequest]
    sampler: IdentitySampler
    augmentation: Augmentation
    phase: int
    epoch: int
    share: Share = field(default_factory=Share)

    def __len__(self) -> int:
        return self.sampler.batches

    def __getitem__(self, batch: int) -> dict[str, RawView] | VireidError:
        """Batch number `batch`, or the error that it met: raised in a worker, it would arrive as a traceback."""
        try:
            return self._batch(batch)
        except VireidError as error:
            return error

    def _batch(self, batch: int) -> dict[str, RawView]:
        positions = self.sampler.batch(self.phase, self.epoch, batch, share=self.share)
        images = {modality: self._read(modality, indices) for modality, indices in positions.items()}
        return {
            name: self._view(number, request, positions[request.modality], images[request.modality], batch)
            for number, (name, request) in enumerate(self.views.items())
        }

    def batches(self, *, start: int, workers: int, pin: bool = False) -> Iterator[dict[str, RawView]]:
        """Batches from number `start` on, read ahead by `workers` processes (0: in this one).

        Raises:
            ImageError: a picture cannot be read.
        """
        remaining = range(start, len(self))
        loader: DataLoader[dict[str, RawView] | VireidError] = DataLoader(
            self,
            batch_size=None,
            sampler=remaining,
            num_workers=workers,
            prefetch_factor=2 if workers else None,
            pin_memory=pin,
            generator=torch.Generator().manual_seed(0),  # the loader's own, so that the global one stays untouched
        )
        for batch in loader:
            if isinstance(batch, VireidError):
                raise batch
            yield batch

    def _read(self, modality: Modality, positions: NDArray[np.int64]) -> torch.Tensor:
        return torch.from_numpy(self.source.read(self.pictures[modality].rows[positions])).permute(0, 3, 1, 2)

    def _view(
        self, number: int, request: ViewRequest, positions: NDArray[np.int64], images: torch.Tensor, batch: int
    ) -> RawView:
        pictures = self.pictures[request.modality]
        first = self.share.rank * len(positions)  # place within the global batch
        augmentation = self.augmentation
        if request.channel_exchange is not None:
            augmentation = augmentation.model_copy(update={"channel_exchange": request.channel_exchange})
        if not request.colour_jitter:
            augmentation = augmentation.model_copy(update={"colour_jitter": 0.0})
        height, width = self.source.size
        if request.upper < 1.0:
            height = request.rows(height)
            images = images[:, :, :height]
        seed = [_AUGMENTATION_STREAM, self.sampler.seed, self.phase, self.epoch, batch, number]
        changes = []
        for place in range(first, first + len(positions)):
            rng = np.random.default_rng([*seed, place])
            change = augmentation.draw(request.modality, (height, width), rng)
            changes.append(change._replace(channel=int(rng.integers(3))) if request.channel_copy else change)
        return RawView(
            modality=request.modality,
            images=images,
            changes=tuple(changes),
            labels=torch.from_numpy(pictures.labels[positions]),
            cameras=torch.from_numpy(pictures.cameras[positions]),
            rows=torch.from_numpy(pictures.rows[positions]),
        )
