"""What is searched where: query, gallery and forbidden pairs of every trial, with a fingerprint that results carry."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vireid.errors import DataError
from vireid.files import digest_of
from vireid.types import CmcKind, Modality, Trial

__all__ = ["Draw", "Protocol", "Rule", "forbidden"]

IntArray = NDArray[np.int64]

_SYSU_PLACE = {3: 2}  # infrared camera 3 hangs in the room of visible camera 2; every other camera has its own place


class Rule(StrEnum):
    """Which gallery pictures a query must not be compared with.

    sysu-location: all pictures from the query's place, whoever they show (cameras 2 and 3 share a room).
    same-identity-and-camera: the query's person before the query's camera; others before that camera stay.
    same-camera: all pictures of the query's camera.
    none: every pair counts.
    """

    SYSU_LOCATION = "sysu-location"
    SAME_IDENTITY_AND_CAMERA = "same-identity-and-camera"
    SAME_CAMERA = "same-camera"
    NONE = "none"


@dataclass(frozen=True)
class Draw:
    """Rows of the image table that one trial compares: query (Q,) and gallery (G,)."""

    query: IntArray
    gallery: IntArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Protocol:
    """One way to evaluate on a data set.

    images: the data set's table, row for row; where splits depend on the protocol (RegDB), its `split` column says
        what this protocol trains and tests on.
    shots: gallery pictures per identity and camera (at most: an identity with fewer gives all); None: all pictures.
    scheme: how the galleries of the trials are drawn, in words.
    source: name, version and fingerprint of the data.
    training_rows: (T,) rows that a model tested by this protocol may be trained on.
    """

    name: str
    images: pd.DataFrame
    cmc: CmcKind
    query_modality: Modality
    gallery_modality: Modality
    rule: Rule
    shots: int | None
    scheme: str
    source: Mapping[str, str]
    draws: tuple[Draw, ...]
    training_rows: IntArray

    def __post_init__(self) -> None:
        for draw in self.draws:
            for side, rows in (("query", draw.query), ("gallery", draw.gallery)):
                if not len(rows):
                    raise DataError(
                        f"protocol {self.name!r} finds no {side} picture in {self.source['dataset']}; "
                        f"test pictures of both sides are needed"
                    )

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """What must agree for two results to be comparable, as JSON values."""
        camera = self.images["camera"].to_numpy()
        return {
            **self.source,
            "protocol": self.name,
            "query_modality": str(self.query_modality),
            "gallery_modality": str(self.gallery_modality),
            "query_cameras": _distinct(camera, [draw.query for draw in self.draws]),
            "gallery_cameras": _distinct(camera, [draw.gallery for draw in self.draws]),
            "rule": str(self.rule),
            "shots": self.shots,
            "trials": f"{len(self.draws)}: {self.scheme}",
            "cmc": str(self.cmc),
        }

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the fingerprint."""
        return digest_of(self.fingerprint)

    def trials(self) -> list[Trial]:
        """Every trial with its forbidden pairs."""
        identity = self.images["identity"].to_numpy()
        camera = self.images["camera"].to_numpy()
        return [
            Trial(
                index=index,
                query=draw.query,
                gallery=draw.gallery,
                invalid=forbidden(
                    self.rule,
                    (identity[draw.query], camera[draw.query]),
                    (identity[draw.gallery], camera[draw.gallery]),
                ),
            )
            for index, draw in enumerate(self.draws)
        ]


def forbidden(rule: Rule, query: tuple[IntArray, IntArray], gallery: tuple[IntArray, IntArray]) -> NDArray[np.bool_]:
    """(Q, G) bool, True where `rule` forbids a pair; `query` and `gallery` are (identities, cameras), (Q,) and (G,).

    A camera of -1 is unknown and equals no other.
    """
    query_identity, query_camera = query
    gallery_identity, gallery_camera = gallery
    if rule is Rule.NONE:
        return np.zeros((len(query_camera), len(gallery_camera)), dtype=np.bool_)
    if rule is Rule.SYSU_LOCATION:
        query_camera, gallery_camera = _place(query_camera), _place(gallery_camera)
    same: NDArray[np.bool_] = (query_camera[:, None] == gallery_camera) & (query_camera >= 0)[:, None]
    if rule is Rule.SAME_IDENTITY_AND_CAMERA:
        same &= query_identity[:, None] == gallery_identity
    return same


def _place(camera: IntArray) -> IntArray:
    place = camera.copy()
    for number, shared in _SYSU_PLACE.items():
        place[camera == number] = shared
    return place


def _distinct(camera: IntArray, rows: list[IntArray]) -> list[int]:
    return [int(number) for number in np.unique(camera[np.concatenate(rows)])]
