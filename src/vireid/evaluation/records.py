"""What statistics need of an evaluation: every query of every trial, kept as one file beside the model.

An evaluation file is a NumPy archive. `header` is JSON text (the result as `vireid evaluate --json` prints it, and
which model it is of); the other arrays hold one entry per query and trial.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vireid.errors import DataError, UsageError, choose
from vireid.evaluation.results import METRICS, EvaluationResult
from vireid.files import digest_of, new_file

__all__ = ["EVALUATIONS", "Origin", "QueryRecords", "stored_in"]

EVALUATIONS = "evaluations"
"""Folder of evaluation files inside a run folder."""

_FORMAT = 1
_ARRAYS = ("trial", "query", "identity", "ap", "inp", "first")


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Which model was evaluated.

    bundle: its hash. seed: of its training. trained_on: fingerprint of its training data. configuration: hash of its
    recipe without the seed, so that runs of one configuration find each other; None where the recipe is not known.
    """

    bundle: str
    method: str
    seed: int
    trained_on: str
    configuration: str | None


@dataclass(frozen=True, kw_only=True, eq=False)
class QueryRecords:
    """One evaluation, query by query.

    result: as `EvaluationResult.to_json()` gives it. trial, query, identity: (N,) int64, the trial's index, the row of
    the image table and who is seen there. ap, inp: (N,) float64, not-a-number where the gallery holds no correct
    picture. first: (N,) int64, the position that the CMC counts, 0 there.
    """

    result: Mapping[str, Any]
    origin: Origin
    trial: NDArray[np.int64]
    query: NDArray[np.int64]
    identity: NDArray[np.int64]
    ap: NDArray[np.float64]
    inp: NDArray[np.float64]
    first: NDArray[np.int64]

    @classmethod
    def of(cls, result: EvaluationResult, identity: NDArray[np.int64], *, origin: Origin) -> QueryRecords:
        """Of a result; `identity` is that column of the protocol's image table."""
        query = np.concatenate([trial.query for trial in result.trials])
        return cls(
            result=result.to_json(),
            origin=origin,
            trial=np.concatenate([np.full(len(trial.query), trial.index) for trial in result.trials]),
            query=query,
            identity=identity[query],
            **{
                name: np.concatenate([getattr(trial.ranking, name) for trial in result.trials])
                for name in ("ap", "inp", "first")
            },
        )

    @property
    def fingerprint(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.result["fingerprint"]
        return found

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(N,) queries with a correct picture."""
        return self.first > 0

    def values(self, metric: str) -> NDArray[np.float64]:
        """(N,) what each query adds to `metric`, in percent; not-a-number where it is not valid.

        Raises:
            UsageError: an unknown metric.
        """
        choose(metric, METRICS, "metric")
        if metric in {"mAP", "mINP"}:
            return 100 * (self.ap if metric == "mAP" else self.inp)
        return np.where(self.valid, 100.0 * (self.first <= int(metric.removeprefix("rank"))), np.nan)

    @property
    def file_name(self) -> str:
        """One name for one protocol, data, mode and re-ranking."""
        kind = {key: self.result.get(key) for key in ("fingerprint", "mode", "rerank")}
        return f"{self.result['protocol']}-{digest_of(kind)[:8]}.npz"

    def save(self, folder: Path) -> Path:
        """Write the evaluation file into `folder`, in place of one of the same protocol, data and ranking."""
        header = {"format": _FORMAT, "origin": asdict(self.origin), "result": dict(self.result)}
        arrays: dict[str, Any] = {name: getattr(self, name) for name in _ARRAYS}
        path = folder / self.file_name
        with new_file(path) as temporary:
            np.savez_compressed(temporary, header=np.array(json.dumps(header, allow_nan=False)), **arrays)
        return path

    @classmethod
    def load(cls, path: Path) -> QueryRecords:
        """Read an evaluation file.

        Raises:
            UsageError: there is none. DataError: it is damaged, or something else.
        """
        if not path.is_file():
            raise UsageError(f"there is no evaluation file {path}")
        try:
            with np.load(path, allow_pickle=False) as stored:
                header = json.loads(str(stored["header"]))
                arrays = {name: stored[name] for name in _ARRAYS}
        except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(
                f"{path} is no evaluation file, or damaged ({error}); run `vireid evaluate` again"
            ) from None
        if header.get("format") != _FORMAT:
            raise DataError(f"{path} was written by another version; run `vireid evaluate` again")
        return cls(result=header["result"], origin=Origin(**header["origin"]), **arrays)


def stored_in(folder: Path) -> list[QueryRecords]:
    """All evaluations of the run or bundle in `folder`, by file name; none where it was not evaluated yet."""
    places = (folder / EVALUATIONS, folder.with_name(f"{folder.name}-{EVALUATIONS}"))
    return [QueryRecords.load(path) for place in places for path in sorted(place.glob("*.npz"))]
