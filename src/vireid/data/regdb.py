"""RegDB: 412 people, ten visible and ten thermal pictures each, split anew in every one of ten trials.

Nguyen, Hong, Kim, Park: Person Recognition System Based on a Combination of Body Images from Visible Light and
Thermal Cameras, Sensors 2017.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vireid.data.base import Dataset
from vireid.data.counts import Count, Place, check_counts, count_pictures, official_counts, read_expected
from vireid.data.labels import label_identities, refuse_unequal_labels
from vireid.data.layout import Line, list_people, list_pictures, read_lines, require_layout
from vireid.data.protocol import Draw, Protocol, Rule
from vireid.data.table import Picture, image_table, refuse_shared_identities
from vireid.errors import DataError
from vireid.files import digest_of
from vireid.types import CmcKind, Modality

__all__ = ["CAMERAS", "FOLDERS", "LIST_WORDS", "SPLITS", "Regdb", "Split", "open_regdb"]

IntArray = NDArray[np.int64]

SPLITS = tuple(range(1, 11))
FOLDERS = {Modality.VISIBLE: "Visible", Modality.INFRARED: "Thermal"}
CAMERAS = {Modality.VISIBLE: 1, Modality.INFRARED: 2}
LIST_WORDS = {Modality.VISIBLE: "visible", Modality.INFRARED: "thermal"}
_DIRECTIONS = {"v2i": Modality.VISIBLE, "i2v": Modality.INFRARED}
_PER_LIST = 2060


@dataclass(frozen=True)
class Split:
    """Rows of the image table in the order of one trial's lists."""

    train: Mapping[Modality, IntArray]
    test: Mapping[Modality, IntArray]

    def rows(self, role: str) -> IntArray:
        """All rows of `train` or `test`, ascending."""
        lists = self.train if role == "train" else self.test
        return np.sort(np.concatenate(list(lists.values())))


@dataclass(frozen=True, kw_only=True, eq=False)
class Regdb(Dataset):
    """RegDB, or a set in its layout. Identity is the folder's number; camera 1 is visible, camera 2 infrared.

    Every split is a protocol of its own, `split{1..10}-{v2i|i2v}`: a model trained on one split has seen people that
    another one tests on. The table's `split` is `all`; a protocol's table says `train` or `test`.
    """

    kind: ClassVar[str] = "regdb"
    official_name: ClassVar[str] = "RegDB"
    official_licence: ClassVar[str] = "RegDB: on signed agreement with the authors, research only"

    splits: Mapping[int, Split] = field(default_factory=dict)

    def known_protocols(self) -> list[str]:
        return [f"split{number}-{direction}" for number in self.splits for direction in _DIRECTIONS]

    def _serves(self, name: str) -> bool:
        return name in self.known_protocols()

    def _split(self, name: str) -> Split:
        return self.splits[int(name.split("-")[0].removeprefix("split"))]

    def _training_rows(self, name: str) -> IntArray:
        return self._split(name).rows("train")

    def _build(self, name: str) -> Protocol:
        split = self._split(name)
        query = _DIRECTIONS[name.split("-")[1]]
        return Protocol(
            name=name,
            images=_with_split(self.images, split),
            cmc=CmcKind.IMAGE,
            query_modality=query,
            gallery_modality=query.other,
            rule=Rule.NONE,
            shots=None,
            scheme=f"the lists of trial {name.split('-')[0].removeprefix('split')}",
            source=self._source(),
            draws=(Draw(split.test[query], split.test[query.other]),),
            training_rows=split.rows("train"),
        )

    def _split_digest(self) -> str:
        # Rows depend on the order of the table alone, which is that of the sorted folders.
        return digest_of(
            {
                number: [split.rows("train").tolist(), split.rows("test").tolist()]
                for number, split in self.splits.items()
            }
        )


def open_regdb(root: Path, *, check_counts: bool = True) -> Regdb:
    """Read RegDB or a set in its layout; see `vireid.data.open_dataset`.

    An official copy must hold the lists of all ten trials; a set with `expected.json` may hold the first few.
    """
    require_layout(root, "regdb", ["Visible", "Thermal", "idx"])
    expected = read_expected(root, "regdb")
    pictures = _listing(root)
    row_of = {picture.path: row for row, picture in enumerate(pictures)}
    numbers = SPLITS if expected is None else _present(root)
    images = image_table(root, pictures)
    splits = {number: _read_split(root, number, row_of, pictures) for number in numbers}
    dataset = Regdb(root=root, images=images, expected=expected, splits=splits)
    if check_counts:
        _check(dataset)
    return dataset


def _listing(root: Path) -> list[Picture]:
    return [
        Picture(f"{folder}/{person}/{name}", identity, CAMERAS[modality], str(modality), "all")
        for modality, folder in FOLDERS.items()
        for identity, person in list_people(root / folder).items()
        for name in list_pictures(root / folder / person)
    ]


def _present(root: Path) -> tuple[int, ...]:
    found = tuple(number for number in SPLITS if (root / "idx" / f"test_visible_{number}.txt").is_file())
    if not found:
        raise DataError(f"{root / 'idx'}: no list of any trial, such as test_visible_1.txt")
    return found


def _read_split(root: Path, number: int, row_of: Mapping[str, int], pictures: Sequence[Picture]) -> Split:
    lists: dict[str, dict[Modality, IntArray]] = {}
    for role in ("train", "test"):
        lists[role], labels = {}, []
        for modality, word in LIST_WORDS.items():
            path = root / "idx" / f"{role}_{word}_{number}.txt"
            lines = read_lines(path)
            rows = [_row(line, path, modality, row_of, pictures) for line in lines]
            labels.append((path, label_identities(path, lines, [pictures[row].identity for row in rows])))
            lists[role][modality] = np.array(rows, dtype=np.int64)
        refuse_unequal_labels(*labels)
    split = Split(lists["train"], lists["test"])
    refuse_shared_identities(
        {
            f"the {role} lists of trial {number}": sorted({pictures[row].identity for row in split.rows(role)})
            for role in lists
        },
        where=root / "idx",
    )
    return split


def _row(line: Line, path: Path, modality: Modality, row_of: Mapping[str, int], pictures: Sequence[Picture]) -> int:
    row = row_of.get(line.path)
    if row is None:
        raise DataError(f"{path} line {line.number}: {line.path} does not exist in {path.parent.parent}")
    if pictures[row].modality != modality:
        raise DataError(f"{path} line {line.number}: {line.path} is {pictures[row].modality}, not {modality}")
    return row


def _with_split(images: pd.DataFrame, split: Split) -> pd.DataFrame:
    words = np.full(len(images), "unlisted", dtype=object)
    for role in ("train", "test"):
        words[split.rows(role)] = role
    return images.assign(split=words.tolist())


def _check(dataset: Regdb) -> None:
    stated = dataset.expected.table() if dataset.expected else official_counts("regdb")
    if stated is None:
        return
    whole = {place: count for place, count in stated.items() if place.split == "all"}
    if whole:
        check_counts(count_pictures(dataset.images), whole, root=dataset.root)
    halves = {place: count for place, count in stated.items() if place.split != "all"}
    if dataset.expected is None:
        halves = {
            Place(role, str(modality), camera): Count(_PER_LIST // 10, _PER_LIST)
            for role in ("train", "test")
            for modality, camera in CAMERAS.items()
        }
    for number, split in dataset.splits.items():
        if halves:
            found = count_pictures(_with_split(dataset.images, split))
            check_counts(found, halves, root=dataset.root, hints=[f"the lists of trial {number} are incomplete"])
