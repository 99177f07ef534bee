"""Measure a bundle under a protocol: embed what the protocol needs, once, then evaluate."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vireid.data import Dataset, Protocol
from vireid.errors import ImageError, UsageError
from vireid.evaluation import EvaluationResult, OpenSet, evaluate
from vireid.files import new_file
from vireid.methods.bundle import Bundle
from vireid.methods.encoder import Encoder, embed_files
from vireid.types import Embeddings, Modality, Track, untracked

__all__ = ["EmbeddingTable", "measure"]

_CHUNK = 4096  # pictures between two writes of the table: what an interruption costs at most

Say = Callable[[str], None]


def _silent(text: str) -> None:
    """Say nothing."""


def measure(
    bundle: Bundle,
    dataset: Dataset,
    protocol: Protocol,
    *,
    folder: Path,
    mode: str | None = None,
    rerank: bool = False,
    open_set: OpenSet | None = None,
    device: str | None = None,
    track: Track = untracked,
    say: Say = _silent,
) -> EvaluationResult:
    """Evaluate `bundle` under `protocol`; embeddings are kept in `folder` and serve further protocols.

    `say` is told of pictures that have changed since they were embedded, and of a folder that cannot be written.

    Raises:
        LeakError: identities of the test were trained on. UsageError: no such device.
        ImageError: a picture cannot be read.
    """
    chosen = bundle.device(device)  # a wrong one is told even where nothing is left to embed
    trials = list(protocol.trials())
    rows = np.unique(np.concatenate([np.concatenate([trial.query, trial.gallery]) for trial in trials]))
    bundle.refuse_leak(dataset, rows)
    table = EmbeddingTable(folder / f"{dataset.fingerprint[:16]}.npz", bundle.digest)
    embeddings = table.of(rows, dataset, lambda: bundle.encoder(device=chosen), track=track, say=say)
    matcher = bundle.matcher(device=chosen)
    return evaluate(protocol, embeddings, rows, matcher, mode=mode, rerank=rerank, open_set=open_set, track=track)


class EmbeddingTable:
    """Embeddings of a data set's rows on disk, bound to one bundle; grows as protocols ask for more rows.

    Every row keeps a stamp of its file (path, size, time of change), so that a picture that was rendered or written
    again under its old name is embedded again.
    """

    def __init__(self, path: Path, digest: str) -> None:
        self.path, self.digest = path, digest
        self.rows: NDArray[np.int64] = np.empty(0, np.int64)
        self.stamps: NDArray[np.uint64] = np.empty(0, np.uint64)
        self.embeddings: Embeddings[NDArray[Any]] | None = None
        self._kept = True
        if path.is_file():
            self._load()

    def of(
        self,
        rows: NDArray[np.int64],
        dataset: Dataset,
        encoder: Callable[[], Encoder],
        *,
        track: Track = untracked,
        say: Say = _silent,
    ) -> Embeddings[NDArray[Any]]:
        """Embeddings of `rows` (ascending) in their order; `encoder()` is called only if some are missing.

        Raises:
            UsageError: no rows. ImageError: a picture is gone or cannot be read.
        """
        stamps = _stamps(dataset, rows)
        self._forget_changed(rows, stamps, say)
        missing = ~np.isin(rows, self.rows)
        if missing.any():
            self._extend(rows[missing], stamps[missing], dataset, encoder(), track, say)
        if self.embeddings is None:
            raise UsageError("no pictures were asked for; give the rows of at least one")
        return self.embeddings[np.searchsorted(self.rows, rows)]

    def _forget_changed(self, rows: NDArray[np.int64], stamps: NDArray[np.uint64], say: Say) -> None:
        if self.embeddings is None:
            return
        _, here, there = np.intersect1d(self.rows, rows, assume_unique=True, return_indices=True)
        changed = here[self.stamps[here] != stamps[there]]
        if len(changed):
            say(f"{len(changed)} pictures have changed since they were embedded; embedding them again")
            kept = np.ones(len(self.rows), np.bool_)
            kept[changed] = False
            self.rows, self.stamps, self.embeddings = self.rows[kept], self.stamps[kept], self.embeddings[kept]

    def _extend(
        self,
        missing: NDArray[np.int64],
        stamps: NDArray[np.uint64],
        dataset: Dataset,
        encoder: Encoder,
        track: Track,
        say: Say,
    ) -> None:
        modalities = dataset.images.modality.to_numpy()[missing]
        for modality in Modality:
            chosen = np.flatnonzero(modalities == modality)
            for start in range(0, len(chosen), _CHUNK):
                chunk = chosen[start : start + _CHUNK]
                paths: Sequence[str] = list(dataset.images.path.to_numpy()[missing[chunk]])
                self._add(missing[chunk], stamps[chunk], embed_files(encoder, paths, modality, track=track))
                self._keep(say)

    def _add(self, rows: NDArray[np.int64], stamps: NDArray[np.uint64], found: Embeddings[NDArray[Any]]) -> None:
        old = self.embeddings.arrays() if self.embeddings is not None else {}
        order = np.argsort(np.concatenate([self.rows, rows]), kind="stable")
        joined = {
            name: np.concatenate([old[name], value] if old else [value])[order]
            for name, value in found.arrays().items()
        }
        self.rows = np.concatenate([self.rows, rows])[order]
        self.stamps = np.concatenate([self.stamps, stamps])[order]
        self.embeddings = Embeddings.from_arrays(joined)

    def _keep(self, say: Say) -> None:
        if self.embeddings is None or not self._kept:
            return
        named: dict[str, Any] = {f"field_{name}": value for name, value in self.embeddings.arrays().items()}
        try:
            with new_file(self.path) as temporary:
                np.savez(temporary, rows=self.rows, stamps=self.stamps, bundle=np.array(self.digest), **named)
        except OSError as error:  # a shared model that may only be read is measured all the same
            self._kept = False
            say(f"embeddings are not kept for the next evaluation: {self.path}: {error.strerror or error}")

    def _load(self) -> None:
        with np.load(self.path, allow_pickle=False) as stored:
            if str(stored["bundle"]) != self.digest or "stamps" not in stored.files:
                return  # of an earlier model in the same run folder; replaced as soon as rows are added
            self.rows, self.stamps = stored["rows"], stored["stamps"]
            arrays = {name.removeprefix("field_"): stored[name] for name in stored.files if name.startswith("field_")}
            self.embeddings = Embeddings.from_arrays(arrays)


def _stamps(dataset: Dataset, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
    """(N,) hashes of the files' paths below the root, sizes and times of change."""
    stamps = np.empty(len(rows), np.uint64)
    for place, path in enumerate(dataset.images.path.to_numpy()[rows]):
        try:
            status = os.stat(path)  # noqa: PTH116 (a Path object for each of many files)
        except OSError as error:
            raise ImageError(f"{path}: {error.strerror or error}") from error
        text = f"{os.path.relpath(path, dataset.root)}\0{status.st_size}\0{status.st_mtime_ns}"
        stamps[place] = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
    return stamps
