"""The words of vireid as values: what flows between its layers.

Arrays are NumPy arrays or torch tensors; whoever receives one computes where it is and returns the same kind.
This module imports neither.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

from vireid.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    Array: TypeAlias = "NDArray[Any] | torch.Tensor"
    IntArray: TypeAlias = NDArray[np.int64]
    BoolArray: TypeAlias = NDArray[np.bool_]

_ROUNDING = 1e-9  # 0.29 x 100 is 28.999999999999996

__all__ = [
    "Batch",
    "Clock",
    "CmcKind",
    "DataInfo",
    "Embeddings",
    "Modality",
    "Say",
    "Side",
    "Track",
    "Trial",
    "View",
    "ViewRequest",
    "silent",
    "untracked",
]


class Modality(StrEnum):
    """What kind of light a camera saw. `infrared` covers near-infrared and thermal."""

    VISIBLE = "visible"
    INFRARED = "infrared"

    @property
    def other(self) -> Modality:
        return Modality.INFRARED if self is Modality.VISIBLE else Modality.VISIBLE


class Side(StrEnum):
    """The role a picture plays in a search."""

    QUERY = "query"
    GALLERY = "gallery"


class CmcKind(StrEnum):
    """How the cumulative matching characteristic counts positions.

    image: the first correct image's position among images.
    identity: its identity's position among identities, each counted at its best image (SYSU-MM01, LLCM).
    """

    IMAGE = "image"
    IDENTITY = "identity"


@dataclass(frozen=True, kw_only=True)
class DataInfo:
    """What a method needs to know of the training data to build itself.

    `identities` is the number of training classes (None where labels are not known); `image_size` is
    (height, width) in pixels; the camera lists hold the cameras seen in training, per modality; `mean` and `std` say
    how pictures are normalised, per channel, after division by 255.
    """

    identities: int | None
    image_size: tuple[int, int]
    visible_cameras: tuple[int, ...] = ()
    infrared_cameras: tuple[int, ...] = ()
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class ViewRequest:
    """A stream of pictures that a method asks its batches to hold.

    Every view is cropped, flipped and erased on its own. `channel_exchange` says whether its visible pictures get that
    augmentation; None leaves it to the recipe. `colour_jitter` False leaves the recipe's jitter out. `channel_copy`
    shows every picture of the view by one of its colour channels, drawn anew each time and copied to all three: between
    visible and infrared. `upper` is the share of the picture's height, from the top, that the view holds; augmentation
    happens to that part alone.

    Raises:
        UsageError: a share outside (0, 1].
    """

    modality: Modality
    channel_exchange: bool | None = None
    colour_jitter: bool = True
    channel_copy: bool = False
    upper: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 < self.upper <= 1.0:
            raise UsageError(f"a view's upper share of the picture must lie in (0, 1], not {self.upper}")

    def rows(self, height: int) -> int:
        """Rows that the view holds of pictures of `height` rows: whole ones, at least one."""
        return max(1, math.floor(self.upper * height + _ROUNDING))


@dataclass(frozen=True, kw_only=True)
class View:
    """One named stream of a batch.

    images: (N, 3, H, W) float, normalised. labels: (N,) int64 training classes (-1 where none is known).
    cameras: (N,) int64. rows: (N,) int64, row of the data set's image table.
    """

    modality: Modality
    images: torch.Tensor
    labels: torch.Tensor
    cameras: torch.Tensor
    rows: torch.Tensor

    def __post_init__(self) -> None:
        sizes = {len(self.images), len(self.labels), len(self.cameras), len(self.rows)}
        if len(sizes) != 1:
            raise UsageError(f"a view's images, labels, cameras and rows differ in length: {sorted(sizes)}")

    def __len__(self) -> int:
        return len(self.labels)


Batch: TypeAlias = Mapping[str, View]
"""Named views of one step; `visible` and `infrared` unless the method asked for others. Counts may differ."""


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Where training stands. `step` counts over the whole run, `batch` within the epoch, `epoch` within the phase."""

    phase: str
    epoch: int
    epochs: int
    batch: int
    batches: int
    step: int
    seed: int

    @property
    def progress(self) -> float:
        """Share of the phase that is done, in [0, 1)."""
        return (self.epoch + self.batch / max(self.batches, 1)) / max(self.epochs, 1)


ArrayT = TypeVar("ArrayT")


@dataclass(frozen=True)
class Embeddings(Generic[ArrayT]):
    """What a method says of N pictures.

    vector: (N, D), rows of unit length; `fields` holds further arrays of first dimension N (parts, tokens, ...).
    """

    vector: ArrayT
    fields: Mapping[str, ArrayT] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = self.vector.shape[0]  # type: ignore[attr-defined]
        for (
            name,
            value,
        ) in self.fields.items():  # `len` would turn the free batch size of an exported graph into a number
            if value.shape[0] != count:  # type: ignore[attr-defined]
                raise UsageError(f"embedding field {name!r} has {value.shape[0]} rows, the vector {count}")  # type: ignore[attr-defined]

    def __len__(self) -> int:
        return len(self.vector)  # type: ignore[arg-type]

    def __getitem__(self, index: Any) -> Embeddings[ArrayT]:
        """Rows by slice, mask or index array (an int would drop the first dimension and is refused)."""
        if isinstance(index, int):
            raise UsageError(f"index embeddings with a slice or an array, not with the int {index}")
        return Embeddings(self.vector[index], {k: v[index] for k, v in self.fields.items()})  # type: ignore[index]

    def arrays(self) -> dict[str, ArrayT]:
        """All arrays by name, the vector under `vector`."""
        return {"vector": self.vector, **self.fields}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, ArrayT]) -> Embeddings[ArrayT]:
        """Inverse of `arrays`."""
        return cls(arrays["vector"], {k: v for k, v in arrays.items() if k != "vector"})


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One draw of a protocol: rows of the image table and which pairs the protocol's rule forbids.

    query: (Q,) and gallery: (G,) row indices; invalid: (Q, G) bool, True where a pair does not count.
    """

    index: int
    query: IntArray
    gallery: IntArray
    invalid: BoolArray

    def __post_init__(self) -> None:
        if self.invalid.shape != (len(self.query), len(self.gallery)):
            raise UsageError(
                f"trial {self.index}: invalid has shape {self.invalid.shape}, "
                f"expected ({len(self.query)}, {len(self.gallery)})"
            )


Say: TypeAlias = Callable[[str], None]
"""Tells a person something, one line; the command line writes it to standard error."""


def silent(text: str) -> None:
    """The `Say` that says nothing."""


ItemT = TypeVar("ItemT")


class Track(Protocol):
    """Shows how far a long loop has come: wraps its iterable. The command line passes a progress bar."""

    def __call__(self, items: Iterable[ItemT], /, *, description: str, total: int | None = None) -> Iterator[ItemT]: ...


def untracked(items: Iterable[ItemT], /, *, description: str, total: int | None = None) -> Iterator[ItemT]:  # noqa: ARG001
    """The `Track` that shows nothing."""
    return iter(items)
