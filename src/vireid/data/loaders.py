"""From rows of the image table to the tensors of a batch, in worker processes, the same for any number of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from vireid.data.images import read_image, resize
from vireid.data.samplers import IdentitySampler, Share
from vireid.data.transforms import Augmentation, named_transform, normalise
from vireid.types import Modality, View, ViewRequest

__all__ = ["Pictures", "RawView", "TrainingLoader"]

_AUGMENTATION_STREAM = 1


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """The training pictures of one modality: aligned arrays of length N."""

    paths: NDArray[np.object_]
    labels: NDArray[np.int64]
    cameras: NDArray[np.int64]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, kw_only=True)
class RawView:
    """A view before normalisation: images (N, 3, H, W) uint8, the rest as in `View`."""

    modality: Modality
    images: torch.Tensor
    labels: torch.Tensor
    cameras: torch.Tensor
    rows: torch.Tensor

    def to_view(self, device: torch.device, mean: tuple[float, ...], std: tuple[float, ...]) -> View:
        """Move to `device` and normalise there."""
        return View(
            modality=self.modality,
            images=normalise(self.images.to(device, non_blocking=True), mean, std),
            labels=self.labels.to(device, non_blocking=True),
            cameras=self.cameras.to(device, non_blocking=True),
            rows=self.rows.to(device, non_blocking=True),
        )


@dataclass(frozen=True, kw_only=True)
class TrainingLoader(Dataset[dict[str, RawView]]):
    """One epoch of batches; item i is batch i of that epoch, drawn and augmented from (seed, phase, epoch, i) alone."""

    pictures: Mapping[Modality, Pictures]
    views: Mapping[str, ViewRequest]
    sampler: IdentitySampler
    augmentation: Augmentation
    image_size: tuple[int, int]
    phase: int
    epoch: int
    share: Share = field(default_factory=Share)

    def __len__(self) -> int:
        return self.sampler.batches

    def __getitem__(self, batch: int) -> dict[str, RawView]:
        positions = self.sampler.batch(self.phase, self.epoch, batch, share=self.share)
        decoded = {
            modality: [self._read(self.pictures[modality].paths[i]) for i in indices]
            for modality, indices in positions.items()
        }
        return {
            name: self._view(number, request, positions[request.modality], decoded[request.modality], batch)
            for number, (name, request) in enumerate(self.views.items())
        }

    def batches(self, *, start: int, workers: int) -> Iterator[dict[str, RawView]]:
        """Batches from number `start` on, read ahead by `workers` processes (0: in this one)."""
        remaining = range(start, len(self))
        loader: DataLoader[dict[str, RawView]] = DataLoader(
            self,
            batch_size=None,
            sampler=remaining,
            num_workers=workers,
            prefetch_factor=2 if workers else None,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator().manual_seed(0),  # the loader's own, so that the global one stays untouched
        )
        return iter(loader)

    def _read(self, path: str) -> torch.Tensor:
        return torch.from_numpy(resize(read_image(path), self.image_size)).permute(2, 0, 1)

    def _view(
        self, number: int, request: ViewRequest, positions: NDArray[np.int64], decoded: list[torch.Tensor], batch: int
    ) -> RawView:
        pictures = self.pictures[request.modality]
        first = self.share.rank * len(positions)  # place within the global batch
        extra = named_transform(request.transform) if request.transform else None
        images = []
        for place, image in enumerate(decoded, start=first):
            rng = np.random.default_rng(
                [_AUGMENTATION_STREAM, self.sampler.seed, self.phase, self.epoch, batch, number, place]
            )
            augmented = self.augmentation.apply(image, request.modality, rng)
            images.append(extra(augmented, rng) if extra else augmented)
        return RawView(
            modality=request.modality,
            images=torch.stack(images),
            labels=torch.from_numpy(pictures.labels[positions]),
            cameras=torch.from_numpy(pictures.cameras[positions]),
            rows=torch.from_numpy(pictures.rows[positions]),
        )
