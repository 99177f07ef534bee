"""What other programs computed, read from their files: a matrix or embeddings, with identities and cameras.

NumPy archives (.npz) and MATLAB files (.mat) hold named arrays; the names that public scripts give them are known. A
bare matrix (.npy, or .csv without a header) needs a table of labels beside it; embeddings may be one table (.csv).
"""

import difflib
import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vireid.errors import DataError, UsageError

__all__ = ["KEYS", "Given", "Task", "read_task"]

KEYS: Mapping[str, tuple[str, ...]] = {
    "scores": ("scores", "similarity", "similarities", "sim"),
    "distances": ("distances", "distance", "distmat", "dist"),
    "query_features": ("query_features", "query_f", "query_feat", "query_feats", "query_embeddings", "qf"),
    "gallery_features": ("gallery_features", "gallery_f", "gallery_feat", "gallery_feats", "gallery_embeddings", "gf"),
    "query_ids": ("query_ids", "query_label", "query_labels", "query_pids", "q_pids"),
    "gallery_ids": ("gallery_ids", "gallery_label", "gallery_labels", "gallery_pids", "g_pids"),
    "query_cameras": ("query_cameras", "query_cam", "query_cams", "query_camids", "q_camids"),
    "gallery_cameras": ("gallery_cameras", "gallery_cam", "gallery_cams", "gallery_camids", "g_camids"),
}
"""Arrays by their name here, with the names under which they are read."""

_TABLE = ("side", "identity", "camera")  # columns of a table that are no features
_SUFFIXES = (".npz", ".mat", ".npy", ".csv")


class Given(StrEnum):
    """What a file holds: embeddings to be compared, scores (higher is better) or distances (lower is better)."""

    EMBEDDINGS = "embeddings"
    SCORES = "scores"
    DISTANCES = "distances"


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """One matrix (Q, G), or embeddings (Q, D) and (G, D), with whom and by which camera each picture shows.

    query_ids, gallery_ids: (Q,), (G,), whole numbers or text. Cameras are whole numbers, None where not asked for.
    digest: SHA-256 (hex) of the files.
    """

    path: Path
    digest: str
    matrix: NDArray[Any] | None
    query_features: NDArray[Any] | None
    gallery_features: NDArray[Any] | None
    query_ids: NDArray[Any]
    gallery_ids: NDArray[Any]
    query_cameras: NDArray[np.int64] | None
    gallery_cameras: NDArray[np.int64] | None


def read_task(path: Path, *, given: Given, cameras: bool, labels: Path | None = None) -> Task:
    """Read a file, and the table of labels beside it if there is one.

    labels: a .csv with the columns side (query or gallery), identity and camera, in the order of rows and columns.

    Raises:
        UsageError: no such file, or a kind of file that is not read.
        DataError: it lacks something, which is named with what it holds; or its parts do not fit together.
    """
    held = _Held(path, _read(path, given))
    if labels is not None:
        held.add(labels, _read_table(labels, features=False))
    sides = ("query", "gallery")
    features = [held.features(f"{side}_features") if given is Given.EMBEDDINGS else None for side in sides]
    matrix = None if given is Given.EMBEDDINGS else held.take(given.value)
    ids = [held.identities(f"{side}_ids") for side in sides]
    seen_by = [held.cameras(f"{side}_cameras") if cameras else None for side in sides]
    task = Task(
        path=path,
        digest=_digest(path, labels),
        matrix=matrix,
        query_features=features[0],
        gallery_features=features[1],
        query_ids=ids[0],
        gallery_ids=ids[1],
        query_cameras=seen_by[0],
        gallery_cameras=seen_by[1],
    )
    _check(task)
    return task


class _Held:
    """The arrays of a file by the names they have there."""

    def __init__(self, path: Path, arrays: dict[str, NDArray[Any]]) -> None:
        self.path, self.arrays = path, arrays

    def add(self, path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Arrays of a second file, none of which the first may hold."""
        for key, value in arrays.items():
            known = self._names(key)
            if known:
                raise DataError(f"{path} gives {key}, and {self.path} holds them as {known[0]!r}; give them once")
            self.arrays[key] = value

    def take(self, key: str) -> NDArray[Any]:
        names = self._names(key)
        if len(names) > 1:
            raise DataError(f"{self.path} holds {key} twice, as {' and '.join(map(repr, names))}; keep one")
        if not names:
            shapes = [f"{name} {value.shape}" for name, value in self.arrays.items()]
            near = difflib.get_close_matches(key, self.arrays, n=1, cutoff=0.5)
            hint = f"; is it {near[0]!r}? Rename that to {key!r}" if near else ""
            other = {"scores": "distances", "distances": "scores"}.get(key)
            if other and self._names(other):
                hint = f"; if {self._names(other)[0]!r} is meant, ask with --{other}"
            raise DataError(
                f"{self.path} lacks {key} (read under the names {', '.join(KEYS[key])}){hint}; "
                f"it holds: {', '.join(shapes) or 'nothing'}"
            )
        return self.arrays[names[0]]

    def features(self, key: str) -> NDArray[Any]:
        value = self.take(key)
        if value.ndim != 2 or value.dtype.kind not in "fiu":
            raise DataError(
                f"{self.path}: {key} is {value.dtype} of shape {value.shape}; give numbers, a row a picture"
            )
        return value if value.dtype.kind == "f" and value.dtype.itemsize >= 4 else value.astype(np.float64)

    def identities(self, key: str) -> NDArray[Any]:
        value = self._line(key)
        if value.dtype.kind in "US":
            return np.char.strip(value.astype(np.str_))
        return self._whole(key, value)

    def cameras(self, key: str) -> NDArray[np.int64]:
        value = self._line(key)
        if value.dtype.kind in "US":
            texts = value.astype(np.str_)
            wrong = [text for text in texts if not text.strip().isdecimal()]
            if wrong:
                raise DataError(f"{self.path}: {key} holds {str(wrong[0])!r}; cameras are whole numbers")
            return texts.astype(np.int64)
        return self._whole(key, value)

    def _names(self, key: str) -> list[str]:
        return [name for name in self.arrays if name.lower() in KEYS[key]]

    def _line(self, key: str) -> NDArray[Any]:
        """(N,), also of what MATLAB calls (1, N) or (N, 1)."""
        value = self.take(key)
        if value.size != max(value.shape, default=1):
            raise DataError(f"{self.path}: {key} has shape {value.shape}; give one entry a picture")
        return value.ravel()

    def _whole(self, key: str, value: NDArray[Any]) -> NDArray[np.int64]:
        if value.dtype.kind not in "fiu" or not np.array_equal(value, np.floor(value)) or not np.isfinite(value).all():
            raise DataError(f"{self.path}: {key} is {value.dtype} and not whole numbers, which are needed there")
        return value.astype(np.int64)


def _read(path: Path, given: Given) -> dict[str, NDArray[Any]]:
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise UsageError(
            f"{path}: files are read with the endings {', '.join(_SUFFIXES)}, not {suffix or 'without one'}"
        )
    if not path.is_file():
        raise UsageError(f"{path} does not exist")
    try:
        if suffix == ".npz":
            with np.load(path, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        if suffix == ".mat":
            return _read_matlab(path)
        if suffix == ".csv" and given is Given.EMBEDDINGS:
            return _read_table(path, features=True)
        if given is Given.EMBEDDINGS:
            raise UsageError(f"{path} is a single matrix; embeddings of queries and gallery come as .npz, .mat or .csv")
        matrix = np.load(path, allow_pickle=False) if suffix == ".npy" else np.loadtxt(path, delimiter=",", ndmin=2)
    except (ValueError, EOFError, zipfile.BadZipFile, TypeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    return {given.value: matrix}


def _read_matlab(path: Path) -> dict[str, NDArray[Any]]:
    from scipy.io import loadmat  # here, because it takes longer to import than the rest
    from scipy.io.matlab import MatReadError

    try:
        return {name: np.asarray(value) for name, value in loadmat(path).items() if not name.startswith("__")}
    except NotImplementedError as error:
        raise DataError(f"{path} is of MATLAB's format 7.3, which is not read; save it with the option -v7") from error
    except MatReadError as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _read_table(path: Path, *, features: bool) -> dict[str, NDArray[Any]]:
    """Arrays of both sides from a table with a row a picture; all columns that are no labels are features."""
    if not path.is_file():
        raise UsageError(f"{path} does not exist")
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(_TABLE, str), keep_default_na=False, na_values=["", "nan", "NaN"])
    except ValueError as error:
        raise DataError(f"{path} cannot be read as a table: {error}") from error
    missing = [name for name in ("side", "identity") if name not in table.columns]
    if missing:
        columns = ", ".join(map(str, table.columns[:8]))
        raise DataError(f"{path} lacks the column {missing[0]} (needed: {', '.join(_TABLE)}); it has: {columns}")
    wrong = ~table["side"].isin(["query", "gallery"])
    if wrong.any():
        raise DataError(
            f"{path} row {wrong.argmax() + 1}: side is {table['side'][wrong].iloc[0]!r}, not query or gallery"
        )
    if table.isna().to_numpy().any():
        row, column = np.argwhere(table.isna().to_numpy())[0]
        raise DataError(f"{path} row {row + 1}: no {table.columns[column]}")
    text = [name for name in table if name not in _TABLE and not pd.api.types.is_numeric_dtype(table[name])]
    if features and text:
        raise DataError(
            f"{path}: column {text[0]} holds something that is no number, as all but {', '.join(_TABLE)} must"
        )
    arrays: dict[str, NDArray[Any]] = {}
    for side, part in table.groupby("side"):
        identity = part["identity"].to_numpy(dtype=np.str_)
        whole = all(text.strip().isdecimal() for text in table["identity"])
        arrays[f"{side}_ids"] = identity.astype(np.int64) if whole else identity
        if "camera" in part.columns:
            arrays[f"{side}_cameras"] = part["camera"].to_numpy(dtype=np.str_)
        if features:
            numbers = part.drop(columns=[name for name in _TABLE if name in part.columns])
            arrays[f"{side}_features"] = numbers.to_numpy()
    return arrays


def _digest(*paths: Path | None) -> str:
    running = hashlib.sha256()
    for path in paths:
        if path is not None:
            with path.open("rb") as stream:
                running.update(hashlib.file_digest(stream, "sha256").digest())
    return running.hexdigest()


def _check(task: Task) -> None:
    """Refuse parts that do not fit together."""
    if task.query_ids.dtype.kind != task.gallery_ids.dtype.kind:
        raise DataError(f"{task.path}: identities of one side are numbers, of the other text; write both alike")
    sizes = {"query": len(task.query_ids), "gallery": len(task.gallery_ids)}
    for side, size in sizes.items():
        for name in ("features", "cameras"):
            value = getattr(task, f"{side}_{name}")
            if value is not None and len(value) != size:
                raise DataError(f"{task.path}: {side}_{name} has {len(value)} rows for {size} {side}_ids")
    if task.matrix is not None and task.matrix.shape != (expected := tuple(sizes.values())):
        turned = "; it seems to be transposed" if task.matrix.shape == expected[::-1] else ""
        raise DataError(
            f"{task.path}: the matrix has shape {task.matrix.shape}, expected {expected}: a row a query, a column a "
            f"gallery picture{turned}"
        )
    query, gallery = task.query_features, task.gallery_features
    if query is not None and gallery is not None and query.shape[1] != gallery.shape[1]:
        raise DataError(
            f"{task.path}: features of queries have {query.shape[1]} numbers, of gallery {gallery.shape[1]}"
        )
