"""How far an export's answers are from its bundle's: arrays, scores, and the ranked lists that come of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vireid.data.images import resize
from vireid.errors import ExportError
from vireid.matching import Matcher
from vireid.matching.arrays import to_numpy
from vireid.methods.encoder import Encoder
from vireid.types import Embeddings, Modality

__all__ = ["Parity", "Pictures", "Tolerances", "compare", "made_up_pictures"]

Pictures = Mapping[Modality, Sequence[NDArray[np.uint8]]]


@dataclass(frozen=True, kw_only=True)
class Tolerances:
    """Largest differences that an fp32 export may have, of values of at most one; of larger ones in proportion."""

    arrays: float = 1e-4
    half: float = 2e-3  # of arrays in half precision: two of its steps
    ties: float = 1e-5  # scores of the bundle that are no further apart may change places in a list


@dataclass(frozen=True, kw_only=True)
class Parity:
    """Differences found. Lists are those of every query with all pictures of the other modality.

    pictures: what was compared. arrays: modality -> array -> largest difference. cosine: least cosine of a vector with
    its counterpart. scores: largest difference. lists, identical: how many were compared, and are the same to the last
    place. swapped: lists in which pictures changed places that the bundle does not hold for tied.
    """

    pictures: str
    count: int
    arrays: Mapping[str, Mapping[str, float]]
    cosine: float
    scores: float
    lists: int
    identical: int
    swapped: int
    beyond: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"beyond": list(self.beyond)}

    def refuse(self) -> None:
        """Refuse an export that is not the bundle's.

        Raises:
            ExportError: an array differs by more than rounding, or a list does.
        """
        found = list(self.beyond)
        if self.swapped:
            found.append(f"{self.swapped} of {self.lists} ranked lists differ in pictures that do not tie")
        if found:
            raise ExportError(
                f"the graphs do not answer as the bundle does ({self.pictures}): {'; '.join(found)}. Nothing was "
                "written"
            )


def compare(
    of_bundle: tuple[Encoder, Matcher],
    of_export: tuple[Encoder, Matcher],
    pictures: Pictures,
    *,
    what: str,
    tolerances: Tolerances = Tolerances(),
) -> Parity:
    """Embed `pictures` with both, and rank those of each modality for those of the other."""
    wanted, found = (_embedded(encoder, pictures) for encoder, _ in (of_bundle, of_export))
    arrays = {str(modality): _differences(wanted[modality], found[modality]) for modality in Modality}
    beyond = tuple(
        f"{modality} {name} differs by {arrays[modality][name]:.1e}"
        for modality in Modality
        for name, value in wanted[modality].arrays().items()
        if not arrays[modality][name] <= _allowed(value, tolerances)
    )
    least, lists = [], []
    for modality in Modality:
        least.append((wanted[modality].vector * found[modality].vector).sum(axis=1).min())
        sides = modality, modality.other
        scores = [
            to_numpy(matcher.score(*(embeddings[side] for side in sides)))
            for (_, matcher), embeddings in ((of_bundle, wanted), (of_export, found))
        ]
        lists.append(_lists(*scores, ties=tolerances.ties))
    gaps, identical, swapped = zip(*lists, strict=True)
    return Parity(
        pictures=what,
        count=sum(len(side) for side in pictures.values()),
        arrays=arrays,
        cosine=float(min(least)),
        scores=float(max(gaps)),
        lists=sum(len(side) for side in pictures.values()),
        identical=int(sum(identical)),
        swapped=int(sum(swapped)),
        beyond=beyond,
    )


def made_up_pictures(size: tuple[int, int], count: int) -> dict[Modality, list[NDArray[np.uint8]]]:
    """`count` pictures of each modality, of `size` = (height, width): smooth noise, the same ever; infrared is grey."""
    rng = np.random.default_rng(0)
    found: dict[Modality, list[NDArray[np.uint8]]] = {}
    for modality, channels in ((Modality.VISIBLE, 3), (Modality.INFRARED, 1)):
        coarse = rng.integers(0, 256, (count, 9, 5, channels), dtype=np.uint8)
        found[modality] = [resize(np.ascontiguousarray(np.broadcast_to(one, (9, 5, 3))), size) for one in coarse]
    return found


def _embedded(encoder: Encoder, pictures: Pictures) -> dict[Modality, Embeddings[NDArray[Any]]]:
    return {modality: encoder.embed(pictures[modality], modality) for modality in Modality}


def _differences(wanted: Embeddings[NDArray[Any]], found: Embeddings[NDArray[Any]]) -> dict[str, float]:
    others = found.arrays()
    return {name: _largest(value, others[name]) for name, value in wanted.arrays().items()}


def _largest(one: NDArray[Any], other: NDArray[Any]) -> float:
    if one.shape != other.shape or one.dtype != other.dtype:
        return float("inf")
    return float(np.abs(one.astype(np.float64) - other.astype(np.float64)).max())


def _allowed(value: NDArray[Any], tolerances: Tolerances) -> float:
    tolerance = tolerances.half if value.dtype == np.float16 else tolerances.arrays
    return tolerance * max(1.0, float(np.abs(value.astype(np.float64)).max()))


def _lists(wanted: NDArray[Any], found: NDArray[Any], *, ties: float) -> tuple[float, int, int]:
    """Of scores (Q, G): the largest difference, lists that are identical, and lists that differ beyond ties."""
    orders = [np.argsort(-scores, axis=1, kind="stable") for scores in (wanted, found)]
    ranked = [np.take_along_axis(wanted, order, axis=1) for order in orders]
    tied = np.abs(ranked[0] - ranked[1]) <= ties * max(1.0, float(np.abs(wanted).max()))
    return _largest(wanted, found), int((orders[0] == orders[1]).all(axis=1).sum()), int((~tied.all(axis=1)).sum())
