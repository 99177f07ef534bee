"""A data set of one's own: a CSV or Parquet table of pictures."""

import posixpath
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vireid.data.base import Dataset
from vireid.data.counts import check_counts as compare_counts
from vireid.data.counts import count_pictures, read_expected
from vireid.data.layout import detect_layout
from vireid.data.protocol import Draw, Protocol, Rule
from vireid.errors import DataError
from vireid.types import CmcKind, Modality

__all__ = ["COLUMNS", "SPLITS", "Manifest", "open_manifest"]

COLUMNS = ("path", "identity", "camera", "modality", "split")
SPLITS = ("train", "val", "test")
_FILES = ("manifest.csv", "manifest.parquet")
_WHOLE = re.compile(r"[+-]?\d{1,18}(\.0+)?")  # what 64 bits hold; longer ones are names
_DIRECTIONS = {"i2v": Modality.INFRARED, "v2i": Modality.VISIBLE}


@dataclass(frozen=True, kw_only=True, eq=False)
class Manifest(Dataset):
    """Pictures listed in a table.

    Required columns: path (relative to the table's folder), identity (whole numbers, or names, which are numbered in
    sorted order and kept as `identity_name`), camera (whole number; -1: unknown), modality (`visible` | `infrared`),
    split (`train` | `val` | `test`). A column `time` is kept as it is. Cameras of the same number, whatever their
    modality, stand at the same place.

    Protocols: `i2v` and `v2i` compare every test picture of one modality with every one of the other; pairs of the same
    identity before the same camera do not count.
    """

    kind: ClassVar[str] = "manifest"
    official_name: ClassVar[str] = "manifest"
    official_licence: ClassVar[str] = "not stated"

    @property
    def name(self) -> str:
        return self.expected.name if self.expected else self.root.name

    @property
    def version(self) -> str:
        return self.expected.version if self.expected else "not stated"

    @property
    def restricted(self) -> bool:
        """As `expected.json` beside the table states it; rendered pictures are free, and what is not stated is not."""
        if self.expected is None or self.expected.restricted is None:
            return not self.synthetic
        return self.expected.restricted

    def known_protocols(self) -> list[str]:
        return list(_DIRECTIONS)

    def _serves(self, name: str) -> bool:  # noqa: ARG002
        return all(len(self.rows(split="test", modality=modality)) for modality in Modality)

    def _build(self, name: str) -> Protocol:
        query = _DIRECTIONS[name]
        rows = {modality: self.rows(split="test", modality=modality) for modality in Modality}
        return Protocol(
            name=name,
            images=self.images,
            cmc=CmcKind.IMAGE,
            query_modality=query,
            gallery_modality=query.other,
            rule=Rule.SAME_IDENTITY_AND_CAMERA,
            shots=None,
            scheme="all pictures",
            source=self._source(),
            draws=(Draw(rows[query], rows[query.other]),),
            training_rows=self._training_rows(name),
        )


def open_manifest(root: Path, *, check_counts: bool = True) -> Manifest:
    """Read a table of pictures; see `vireid.data.open_dataset`.

    Raises:
        DataError: naming the first row at fault, counted from 1 after the header.
    """
    path = _find(root)
    table = _read(path)
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise DataError(f"{path}: no column {', '.join(missing)}; the columns {', '.join(COLUMNS)} are required")
    if not len(table):
        raise DataError(f"{path}: lists no picture")
    _refuse_gaps(table, path)
    images = _images(table, path)
    _refuse_shared_identities(images, path)
    dataset = Manifest(root=path.parent, images=images, expected=read_expected(path.parent, "manifest"))
    stated = dataset.expected.table() if dataset.expected else None
    if check_counts and stated is not None:
        compare_counts(count_pictures(images), stated, root=path.parent)
    return dataset


def _find(root: Path) -> Path:
    if root.is_file():
        return root
    if not root.is_dir():
        raise DataError(f"{root} does not exist; give a manifest or the folder that holds {' or '.join(_FILES)}")
    found = [root / name for name in _FILES if (root / name).is_file()]
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(f"{root} holds both {' and '.join(_FILES)}; give the one that is meant")
    kind = detect_layout(root)
    hint = f"; it holds the layout of {kind!r}: open it as that" if kind else ""
    raise DataError(f"{root} holds neither {' nor '.join(_FILES)}{hint}")


def _read(path: Path) -> pd.DataFrame:
    try:
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path).reset_index(drop=True)
        if path.suffix.lower() == ".csv":
            # Text, not guessed types: identities such as 0006 must not change with the rest of their column.
            table = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=["", "nan", "NaN"])
            if not isinstance(table.index, pd.RangeIndex):
                raise DataError(f"{path}: the rows have more fields than the header names")
            return table
    except (ValueError, OSError) as error:
        raise DataError(f"{path}: cannot be read as a table ({error})") from error
    raise DataError(f"{path}: a manifest is a .csv or .parquet file, not {path.suffix or 'one without ending'!r}")


def _refuse_gaps(table: pd.DataFrame, path: Path) -> None:
    for name in COLUMNS:
        empty = table[name].isna().to_numpy(dtype=np.bool_)
        if empty.any():
            raise DataError(f"{path} row {_row(empty)}: no {name} (and {int(empty.sum()) - 1} further rows without)")


def _refuse_shared_identities(images: pd.DataFrame, path: Path) -> None:
    people = images["identity_name" if "identity_name" in images else "identity"]
    first: dict[object, tuple[str, int]] = {}
    for row, (identity, split) in enumerate(zip(people, images["split"], strict=True), start=1):
        known, where = first.setdefault(identity, (split, row))
        if known != split:
            raise DataError(
                f"{path} row {row}: identity {identity} is in {split} here and in {known} in row {where}; "
                "a model would be tested on people it has seen. Keep every identity in one split"
            )


def _images(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    relative = _paths(table, path)
    identity, names = _identities(table, path)
    base = path.parent.as_posix().rstrip("/")
    columns: dict[str, Any] = {
        "path": [f"{base}/{name}" for name in relative],
        "identity": identity,
        "camera": _whole(table, "camera", path, least=-1),
        "modality": _words(table, "modality", [str(modality) for modality in Modality], path),
        "split": _words(table, "split", list(SPLITS), path),
    }
    if names is not None:
        columns["identity_name"] = names
    if "time" in table.columns:
        columns["time"] = table["time"].to_numpy()
    # Rows are known by number elsewhere: the order of the file must not decide it.
    return pd.DataFrame(columns).sort_values("path", ignore_index=True)


def _paths(table: pd.DataFrame, path: Path) -> list[str]:
    """Paths in their shortest form, all different, relative and existing."""
    first: dict[str, int] = {}
    relative = []
    for number, stated in enumerate(table["path"].astype(str), start=1):
        name = posixpath.normpath(stated.strip().replace("\\", "/"))
        if posixpath.isabs(name) or re.match(r"[A-Za-z]:", name):
            raise DataError(f"{path} row {number}: {stated} is absolute; paths are relative to {path.parent}")
        if name in first:
            raise DataError(f"{path} row {number}: {name} is already listed in row {first[name]}")
        if not (path.parent / name).is_file():
            raise DataError(f"{path} row {number}: {name} does not exist in {path.parent}")
        first[name] = number
        relative.append(name)
    return relative


def _identities(table: pd.DataFrame, path: Path) -> tuple[NDArray[np.int64], list[str] | None]:
    """Identities, and their names where they were not whole numbers."""
    names = table["identity"].astype(str).str.strip()
    distinct = sorted(set(names))
    if all(_WHOLE.fullmatch(name) for name in distinct):
        return _whole(table, "identity", path, least=0), None
    number = {name: place for place, name in enumerate(distinct)}
    return np.array([number[name] for name in names], dtype=np.int64), names.tolist()


def _whole(table: pd.DataFrame, name: str, path: Path, *, least: int) -> NDArray[np.int64]:
    texts = table[name].astype(str).str.strip()
    wrong = ~texts.str.fullmatch(_WHOLE.pattern).to_numpy(dtype=np.bool_)
    if wrong.any():
        raise DataError(f"{path} row {_row(wrong)}: {name} {texts[wrong].iloc[0]!r} is no whole number")
    values = np.array([int(text.partition(".")[0]) for text in texts], dtype=np.int64)
    if (values < least).any():
        row = _row(values < least)
        raise DataError(f"{path} row {row}: {name} {values[row - 1]} is not allowed; the least is {least}")
    return values


def _words(table: pd.DataFrame, name: str, allowed: list[str], path: Path) -> list[str]:
    words = table[name].astype(str).str.strip()
    wrong = ~words.isin(allowed).to_numpy(dtype=np.bool_)
    if wrong.any():
        raise DataError(
            f"{path} row {_row(wrong)}: unknown {name} {words[wrong].iloc[0]!r} (allowed: {', '.join(allowed)})"
        )
    return words.tolist()


def _row(at_fault: NDArray[np.bool_]) -> int:
    return int(np.argmax(at_fault)) + 1
