"""Measure a bundle under a protocol: embed what the protocol needs, once, then evaluate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vireid.data import Dataset, Protocol
from vireid.evaluation import EvaluationResult, evaluate
from vireid.files import new_file
from vireid.methods.bundle import Bundle
from vireid.methods.encoder import Encoder, embed_files, open_encoder
from vireid.types import Embeddings, Modality, Track, untracked

__all__ = ["EmbeddingTable", "measure"]

_CHUNK = 4096  # pictures between two writes of the table: what an interruption costs at most


def measure(
    bundle: Bundle,
    dataset: Dataset,
    protocol: Protocol,
    *,
    folder: Path,
    mode: str = "full",
    rerank: bool = False,
    device: str | None = None,
    track: Track = untracked,
) -> EvaluationResult:
    """Evaluate `bundle` under `protocol`; embeddings are kept in `folder` and serve further protocols.

    Raises:
        LeakError: identities of the test were trained on.
    """
    trials = list(protocol.trials())
    rows = np.unique(np.concatenate([np.concatenate([trial.query, trial.gallery]) for trial in trials]))
    tested = {int(identity) for identity in dataset.images.identity.to_numpy()[rows]}
    bundle.refuse_leak(fingerprint=dataset.fingerprint, identities=tested)
    table = EmbeddingTable(folder / f"{dataset.fingerprint[:16]}.npz", bundle.digest)
    embeddings = table.of(rows, dataset, lambda: open_encoder(bundle, device=device), track=track)
    matcher = bundle.matcher()
    return evaluate(protocol, embeddings, rows, matcher, mode=mode, rerank=rerank, track=track)


class EmbeddingTable:
    """Embeddings of a data set's rows on disk, bound to one bundle; grows as protocols ask for more rows."""

    def __init__(self, path: Path, digest: str) -> None:
        self.path, self.digest = path, digest
        self.rows: NDArray[np.int64] = np.empty(0, np.int64)
        self.embeddings: Embeddings[NDArray[Any]] | None = None
        if path.is_file():
            self._load()

    def of(self, rows: NDArray[np.int64], dataset: Dataset, encoder: Any, *, track: Track) -> Embeddings[NDArray[Any]]:
        """Embeddings of `rows` in their order; `encoder()` is called only if some are missing."""
        missing = np.setdiff1d(rows, self.rows)
        if len(missing):
            self._extend(missing, dataset, encoder(), track)
        if self.embeddings is None:
            raise ValueError("no rows were asked for")
        return self.embeddings[np.searchsorted(self.rows, rows)]

    def _extend(self, missing: NDArray[np.int64], dataset: Dataset, encoder: Encoder, track: Track) -> None:
        modalities = dataset.images.modality.to_numpy()[missing]
        for modality in Modality:
            chosen = missing[modalities == modality]
            for start in range(0, len(chosen), _CHUNK):
                chunk = chosen[start : start + _CHUNK]
                paths: Sequence[str] = list(dataset.images.path.to_numpy()[chunk])
                self._add(chunk, embed_files(encoder, paths, modality, track=track))

    def _add(self, rows: NDArray[np.int64], found: Embeddings[NDArray[Any]]) -> None:
        old = self.embeddings.arrays() if self.embeddings is not None else {}
        order = np.argsort(np.concatenate([self.rows, rows]), kind="stable")
        joined = {
            name: np.concatenate([old[name], value] if old else [value])[order]
            for name, value in found.arrays().items()
        }
        self.rows = np.concatenate([self.rows, rows])[order]
        self.embeddings = Embeddings.from_arrays(joined)
        named: dict[str, Any] = {f"field_{name}": value for name, value in joined.items()}
        with new_file(self.path) as temporary:
            np.savez(temporary, rows=self.rows, bundle=np.array(self.digest), **named)

    def _load(self) -> None:
        with np.load(self.path, allow_pickle=False) as stored:
            if str(stored["bundle"]) != self.digest:
                return  # of an earlier model in the same run folder; replaced as soon as rows are added
            self.rows = stored["rows"]
            arrays = {name.removeprefix("field_"): stored[name] for name in stored.files if name.startswith("field_")}
            self.embeddings = Embeddings.from_arrays(arrays)
