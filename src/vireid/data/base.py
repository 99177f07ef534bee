"""A data set: one table of pictures, and the protocols that are defined on it."""

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from vireid.data.counts import Expected
from vireid.data.protocol import IntArray, Protocol
from vireid.errors import choose
from vireid.files import digest_of
from vireid.types import Modality

__all__ = ["UNKNOWN", "Dataset"]

UNKNOWN = -1
"""The identity of pictures that nobody named, and the camera of those whose camera is not known."""

_TABLE_FORMAT = 1  # part of every fingerprint; raise it when the meaning of a column changes


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset(ABC):
    """A data set that lies in `root`.

    images: one row per picture, RangeIndex; columns path (absolute), identity and camera (int64), modality
        (`visible` | `infrared`), split (`train` | `val` | `test`), and `time` or `identity_name` where known. RegDB,
        whose splits depend on the trial, has `all` here and the trial's own split in its protocols' tables.
    expected: what the set says of itself in `expected.json`, None for an official download.
    """

    kind: ClassVar[str]
    official_name: ClassVar[str]
    official_licence: ClassVar[str]

    root: Path
    images: pd.DataFrame
    expected: Expected | None = None

    @property
    def name(self) -> str:
        """The official name, or the one in `expected.json`."""
        return self.expected.name if self.expected else self.official_name

    @property
    def version(self) -> str:
        """The version in `expected.json`, or `official`."""
        return self.expected.version if self.expected else "official"

    @property
    def licence(self) -> str:
        """The terms of the pictures."""
        return self.expected.licence if self.expected else self.official_licence

    @property
    def synthetic(self) -> bool:
        """Whether the pictures are rendered: no real person is seen."""
        return self.expected is not None and self.expected.synthetic

    @property
    def restricted(self) -> bool:
        """Whether pictures must not enter reports or galleries without the user's explicit word.

        Only pictures that `expected.json` declares rendered are free.
        """
        return not self.synthetic

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over what the set says of itself and the table, with paths relative to the root."""
        header = [_TABLE_FORMAT, self.kind, self.version, self.expected and self.expected.stated, self._split_digest()]
        start = len(self.root.as_posix().rstrip("/")) + 1
        columns = [self.images[name].tolist() for name in ("path", "identity", "camera", "modality", "split")]
        lines = sorted(f"{path[start:]}\t{i}\t{c}\t{m}\t{s}" for path, i, c, m, s in zip(*columns, strict=True))
        return hashlib.sha256("\n".join([digest_of(header), *lines]).encode()).hexdigest()

    @abstractmethod
    def known_protocols(self) -> list[str]:
        """Names of all protocols of this kind of data set, the default one first."""

    def protocols(self) -> list[str]:
        """Names of the protocols that this copy of the data can serve."""
        return [name for name in self.known_protocols() if self._serves(name)]

    @property
    def default_protocol(self) -> str:
        """The protocol meant where none is named."""
        return self.known_protocols()[0]

    def protocol(self, name: str) -> Protocol:
        """The protocol called `name`.

        Raises:
            UsageError: no such protocol.
            DataError: the data lacks something that this protocol needs.
        """
        return self._build(choose(name, self.known_protocols(), f"protocol of {self.name}"))

    def training_rows(self, protocol: str | None = None) -> IntArray:
        """Rows of `images` that a model tested by `protocol` (None: the default one) may be trained on, ascending.

        Raises:
            UsageError: no such protocol.
        """
        name = protocol or self.default_protocol
        return self._training_rows(choose(name, self.known_protocols(), f"protocol of {self.name}"))

    def rows(self, *, split: str | None = None, modality: Modality | None = None) -> IntArray:
        """Rows of `images`, ascending, of one split and modality (None: of all)."""
        keep = np.ones(len(self.images), dtype=np.bool_)
        if split is not None:
            keep &= (self.images["split"] == split).to_numpy(dtype=np.bool_)
        if modality is not None:
            keep &= (self.images["modality"] == str(modality)).to_numpy(dtype=np.bool_)
        return np.flatnonzero(keep).astype(np.int64)

    @abstractmethod
    def _serves(self, name: str) -> bool:
        """Whether the pictures and files that protocol `name` needs are there."""

    @abstractmethod
    def _build(self, name: str) -> Protocol:
        """The protocol called `name`, one of `known_protocols()`."""

    def _training_rows(self, name: str) -> IntArray:  # noqa: ARG002
        return self.rows(split="train")

    def _split_digest(self) -> str | None:
        """Digest of splits that the table's column cannot hold."""
        return None

    def _source(self) -> dict[str, str]:
        """The part of a protocol's fingerprint that names the data."""
        return {"dataset": self.name, "kind": self.kind, "version": self.version, "data": self.fingerprint}
