"""What matched in two pictures: which regions the score rests on, and which of them go together.

The generic explanation asks nothing of a method but `embed` and its matcher. Regions of a regular grid are covered one
at a time with the picture's own mean colour, and the score is looked at again (occlusion sensitivity: Zeiler and
Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, section 4.2). Whether a map is true to the
model is measured by deletion (Petsiuk, Das and Saenko, "RISE", BMVC 2018, section 4.2): regions are covered for good,
the heaviest first, and the score has to fall faster than in random order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vireid.errors import UsageError
from vireid.networks.modes import evaluating
from vireid.types import Embeddings, Modality

if TYPE_CHECKING:
    from vireid.methods.base import Method

__all__ = [
    "GRID",
    "Deletion",
    "Explanation",
    "MatchedPart",
    "Shown",
    "deletion",
    "embed_shown",
    "explain_by_covering",
]

GRID = (8, 4)
"""Rows and columns of regions."""

FloatArray = NDArray[np.float64]
_BATCH = 64  # pictures embedded at once


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """One picture as the network takes it: image (3, H, W) float, normalised."""

    image: Tensor
    modality: Modality

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[0] != 3:
            raise UsageError(f"an explanation takes one picture (3, H, W), not {tuple(self.image.shape)}")


@dataclass(frozen=True, kw_only=True, eq=False)
class MatchedPart:
    """A part that a method compares on its own. Maps (rows, columns) are the method's own feature maps.

    weight: what it adds to the score. query, candidate: attention, where the part was read in either picture, of sum
    one; None where the method does not attend. query_region, candidate_region: weights of the positions that the part
    was mined from, None where it is not mined.
    """

    name: str
    weight: float
    query: FloatArray | None = None
    candidate: FloatArray | None = None
    query_region: FloatArray | None = None
    candidate_region: FloatArray | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Explanation:
    """Why `score`, which is that of the two whole pictures. Regions of a grid (R, C) are counted row by row.

    query, candidate: (R, C) weight of each region, in units of the score; positive speaks for a match.
    together: (R*C, R*C) weight of a query region (row) and a candidate region (column) with each other.
    parts: what was compared part by part, where the method has parts; their weights add up to the score.
    maps: what the method computed of the pictures before it compared them, by name: one map of the query and one of
    the candidate, (h, w) in [0, 1]. They show the pictures: where those may not be shown, neither may these.
    details: further arrays that the method computed with, by what they are (attention, weights of channels).
    """

    score: float
    query: FloatArray
    candidate: FloatArray
    together: FloatArray
    parts: tuple[MatchedPart, ...] = ()
    maps: Mapping[str, tuple[FloatArray, FloatArray]] = field(default_factory=dict)
    details: Mapping[str, FloatArray] = field(default_factory=dict)

    def correspondences(self, count: int) -> list[tuple[int, int, float]]:
        """The heaviest pairs of regions, each region once: (query region, candidate region, positive weight)."""
        left = self.together.copy()
        found: list[tuple[int, int, float]] = []
        while len(found) < count and (best := float(left.max())) > 0:
            one, other = (int(place) for place in np.unravel_index(left.argmax(), left.shape))
            found.append((one, other, best))
            left[one, :] = left[:, other] = -np.inf
        return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Deletion:
    """Scores (P + 1,) while 0 to P regions of the candidate are covered: the heaviest first, and in random orders."""

    ordered: FloatArray
    shuffled: FloatArray

    @property
    def area(self) -> float:
        """Mean of `shuffled` minus `ordered`: above zero where the weights know what the score rests on."""
        return float((self.shuffled - self.ordered).mean())


def explain_by_covering(method: Method, query: Shown, candidate: Shown, *, grid: tuple[int, int] = GRID) -> Explanation:
    """The generic explanation.

    A region's weight is what the score loses when it is covered: s(q, c) - s(q without i, c). The weight of a pair is
    what the score loses by covering both less than by covering each alone, s(q, c) - s(q without i, c) -
    s(q, c without j) + s(q without i, c without j): a region that matched another is worth nothing once that is gone.

    Raises:
        UsageError: a grid finer than the picture.
    """
    single = np.eye(grid[0] * grid[1], dtype=np.bool_)
    sides = [_embed(method, shown, single, grid) for shown in (query, candidate)]
    scores = _scores(method, *sides)
    whole, without_query, without_candidate = scores[0, 0], scores[1:, 0], scores[0, 1:]
    return Explanation(
        score=float(whole),
        query=(whole - without_query).reshape(grid),
        candidate=(whole - without_candidate).reshape(grid),
        together=whole - without_query[:, None] - without_candidate + scores[1:, 1:],
    )


def deletion(
    method: Method, query: Shown, candidate: Shown, weights: FloatArray, *, draws: int = 8, seed: int = 0
) -> Deletion:
    """Cover the candidate's regions by falling `weights` (R, C), and in `draws` random orders, whose mean is taken.

    Raises:
        UsageError: no draws, or a grid finer than the picture.
    """
    if draws < 1:
        raise UsageError(f"draws is {draws}; the random order needs at least 1")
    count, rng = weights.size, np.random.default_rng(seed)
    orders = [np.argsort(-weights.ravel(), kind="stable"), *(rng.permutation(count) for _ in range(draws))]
    whole = _embed(method, query, np.empty((0, count), np.bool_), weights.shape)
    curves = []
    for order in orders:
        place = np.argsort(order)
        covered = place[None, :] < np.arange(1, count + 1)[:, None]
        curves.append(_scores(method, whole, _embed(method, candidate, covered, weights.shape))[0])
    return Deletion(ordered=curves[0], shuffled=np.mean(curves[1:], axis=0))


def embed_shown(method: Method, shown: Shown) -> Embeddings[Tensor]:
    """One embedding, as in evaluation; the method's mode is left as it was."""
    return _embed(method, shown, np.empty((0, 1), np.bool_), (1, 1))


def _embed(method: Method, shown: Shown, covered: NDArray[np.bool_], grid: tuple[int, ...]) -> Embeddings[Tensor]:
    """N + 1 embeddings: the whole picture, then with each row's regions (N, R*C) covered."""
    rows, columns = (_edges(size, parts) for size, parts in zip(shown.image.shape[1:], grid, strict=True))
    fine = covered.reshape(-1, *grid).repeat(np.diff(rows), axis=1).repeat(np.diff(columns), axis=2)
    masks = torch.from_numpy(fine).to(shown.image.device)[:, None]
    mean = shown.image.mean(dim=(1, 2), keepdim=True)
    images = torch.cat([shown.image[None], torch.where(masks, mean, shown.image)])
    with evaluating(method), torch.inference_mode():
        parts = [method.embed(part, shown.modality).arrays() for part in torch.split(images, _BATCH)]
    return Embeddings.from_arrays({name: torch.cat([part[name] for part in parts]) for name in parts[0]})


def _scores(method: Method, query: Embeddings[Tensor], candidate: Embeddings[Tensor]) -> FloatArray:
    with torch.inference_mode():
        found: FloatArray = method.matcher().score(query, candidate).double().cpu().numpy()
    return found


def _edges(size: int, parts: int) -> NDArray[np.int64]:
    """(parts + 1,) pixels at which regions begin and end."""
    if parts > size:
        raise UsageError(f"{parts} regions do not fit {size} pixels; take a coarser grid")
    return np.rint(np.linspace(0, size, parts + 1)).astype(np.int64)
