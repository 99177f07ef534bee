"""The mAP of a model under a protocol, for what quantisation costs, and pictures of a data set to compare models on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vireid.data import Dataset, Protocol
from vireid.data.images import read_image
from vireid.errors import DataError
from vireid.evaluation import evaluate
from vireid.matching import Matcher
from vireid.methods.encoder import Encoder, embed_files
from vireid.types import Embeddings, Modality, Track, untracked

__all__ = ["Task", "read_rows"]

_CASCADE = "cascade:50"


@dataclass(frozen=True, kw_only=True)
class Task:
    """What models are measured on."""

    dataset: Dataset
    protocol: Protocol

    def test_rows(self) -> NDArray[np.int64]:
        """Rows of the image table that the protocol compares, ascending."""
        trials = self.protocol.trials()
        return np.unique(np.concatenate([rows for trial in trials for rows in (trial.query, trial.gallery)]))

    def sample(self, rows: NDArray[np.int64], count: int) -> dict[Modality, list[NDArray[np.uint8]]]:
        """At most `count` pictures of each modality out of `rows`, always the same ones.

        Raises:
            DataError: a modality has none.
        """
        modality = self.dataset.images["modality"].to_numpy()[rows]
        found = {}
        for side in Modality:
            chosen = rows[modality == side]
            if not len(chosen):
                raise DataError(f"{self.dataset.name} has no {side} picture here; both modalities are needed")
            order = np.random.default_rng(0).permutation(len(chosen))[:count]
            found[side] = read_rows(self.dataset, np.sort(chosen[order]))
        return found

    def measure(self, encoder: Encoder, matcher: Matcher, *, track: Track = untracked) -> tuple[float, str]:
        """mAP in percent, and the mode it was found in: in full, or as a cascade where the lift is a first stage."""
        rows = self.test_rows()
        mode = "full" if matcher.exact else _CASCADE
        result = evaluate(
            self.protocol, self._embed(encoder, rows, track), rows, matcher, mode=mode, track=track
        ).to_json()
        return float(result["mAP"]), str(result["mode"])

    def _embed(self, encoder: Encoder, rows: NDArray[np.int64], track: Track) -> Embeddings[NDArray[Any]]:
        table = self.dataset.images
        modality = table["modality"].to_numpy()[rows]
        order, parts = [], []
        for side in Modality:
            places = np.flatnonzero(modality == side)
            if len(places):
                order.append(places)
                parts.append(
                    embed_files(encoder, list(table["path"].to_numpy()[rows[places]]), side, track=track).arrays()
                )
        back = np.argsort(np.concatenate(order))
        return Embeddings.from_arrays({name: np.concatenate([part[name] for part in parts])[back] for name in parts[0]})


def read_rows(dataset: Dataset, rows: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
    """Pictures of rows of the image table, as they are.

    Raises:
        ImageError: one cannot be read.
    """
    return [read_image(path) for path in dataset.images["path"].to_numpy()[rows]]
