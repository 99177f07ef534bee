"""What matched in a search and one of its hits, asked of the model that found it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vireid.service.audit import Ledger
from vireid.service.galleries import Galleries
from vireid.service.keys import Caller
from vireid.service.pictures import Decoded
from vireid.service.problems import Problem
from vireid.service.searching import direction
from vireid.service.state import ImageRow, Search
from vireid.types import Embeddings, Modality

if TYPE_CHECKING:
    from vireid.methods.explain import Explanation

__all__ = ["Explained", "Explainer"]

_SAME = 0.999  # cosine: rounding differs with the pictures that are embedded together


@dataclass(frozen=True)
class Explained:
    """query, candidate: the pictures that were compared."""

    found: Explanation
    query: Decoded
    candidate: Decoded


class Explainer:
    """Explains hits. Only the pictures that were searched with are taken: others would be a search without a reason."""

    def __init__(self, ledger: Ledger, galleries: Galleries) -> None:
        self.ledger = ledger
        self.galleries = galleries

    def check(self, bundle: str, digest: str, search: Search) -> None:
        """Refuse what is known not to work before a picture is looked at.

        bundle, digest: name and hash of the gallery's model now.

        Raises:
            Problem: the model is an export, which cannot look at parts of pictures, or not the one that searched.
        """
        if not self.galleries.explains(bundle):
            raise Problem("not-explainable", "the service runs an export of the model; this needs the model itself")
        if search.model != digest:
            raise Problem("not-explainable", "the gallery was given another model since; search again")

    def explain(
        self,
        bundle: str,
        search: Search,
        hit: ImageRow,
        pictures: tuple[Sequence[Decoded], Decoded],
        vectors: Embeddings[Any],
        caller: Caller,
    ) -> Explained:
        """Which regions the score rests on. pictures: those of the search, of which the first is explained, and the
        hit's. vectors: of the search's pictures, embedded now.

        Raises:
            Problem: those are not the pictures that were searched with.
        """
        queries, candidate = pictures
        if not _alike(np.frombuffer(search.vector, np.float32), direction(vectors)):
            raise Problem("not-explainable", "this is not the picture that was searched with")
        found = self.galleries.explain(
            bundle, (queries[0].pixels, search.modality), (candidate.pixels, Modality(hit.modality))
        )
        self.ledger.record("search.explain", key=caller.key, gallery=search.gallery, search=search.id, image=hit.id)
        return Explained(found, queries[0], candidate)


def _alike(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    return one.shape == other.shape and float(one @ other) >= _SAME
