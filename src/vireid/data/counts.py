"""How many pictures a data set must hold: the published counts, or those that a set states of itself."""

import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from vireid.errors import DataError, choose

__all__ = [
    "EXPECTED_FILE",
    "Count",
    "Counts",
    "Expected",
    "Place",
    "check_counts",
    "count_pictures",
    "official_counts",
    "official_pictures",
    "probable_causes",
    "read_expected",
]

EXPECTED_FILE = "expected.json"
_LISTED = 8  # differences that an error spells out


class Place(NamedTuple):
    """What is counted separately."""

    split: str
    modality: str
    camera: int


class Count(NamedTuple):
    identities: int
    images: int


Counts: TypeAlias = dict[Place, Count]


class _CountRow(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    split: Literal["train", "val", "test", "all"]
    modality: Literal["visible", "infrared"]
    camera: int
    identities: int
    images: int


class Expected(BaseModel):
    """What a data set says of itself in `expected.json`. Synthetic sets write it; further keys are kept in `stated`."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    format: Literal[1]
    name: str
    version: str
    licence: str
    synthetic: bool
    dataset: Literal["sysu", "regdb", "llcm", "manifest"]
    restricted: bool | None = None
    counts: tuple[_CountRow, ...] | None = None

    @cached_property
    def stated(self) -> dict[str, Any]:
        """The whole file as JSON values; part of the data's fingerprint."""
        return self.model_dump(mode="json", exclude_none=True)

    def table(self) -> Counts | None:
        """The stated counts, places with pictures only; None where the file states none."""
        if self.counts is None:
            return None
        return {
            Place(row.split, row.modality, row.camera): Count(row.identities, row.images)
            for row in self.counts
            if row.images
        }


def read_expected(root: Path, kind: str) -> Expected | None:
    """What `<root>/expected.json` states, None without the file.

    Raises:
        DataError: not of this form, or of another kind of data set.
    """
    path = root / EXPECTED_FILE
    if not path.is_file():
        return None
    try:
        expected = Expected.model_validate_json(path.read_bytes())
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors()[:_LISTED])
        raise DataError(f"{path}: {problems}") from error
    if expected.dataset != kind:
        raise DataError(
            f"{path}: states a data set in the layout {expected.dataset!r}; open it as that, not as {kind!r}"
        )
    return expected


def official_pictures(kind: str) -> pd.DataFrame:
    """Published numbers of pictures, one row per split, modality, camera and identity: column `images`.

    `kind` is `sysu`, `llcm` or `regdb`. SYSU-MM01 lists a few identities in no split: `unlisted` here. RegDB, which is
    split anew in every trial, has the split `all`; its cameras are 1 (visible) and 2 (infrared).

    Raises:
        UsageError: another kind.
    """
    choose(kind, ("sysu", "regdb", "llcm"), "kind of data set with published counts")
    columns = ["split", "modality", "camera", "identity", "images"]
    if kind == "regdb":
        pairs = (("visible", 1), ("infrared", 2))
        regdb = [("all", modality, camera, person, 10) for modality, camera in pairs for person in range(1, 413)]
        return pd.DataFrame(regdb, columns=columns)
    text = (files("vireid.data") / "official" / f"{kind}.json").read_text(encoding="utf-8")
    stored: dict[str, Any] = json.loads(text)
    split_of = {identity: split for split, identities in stored["splits"].items() for identity in identities}
    rows = [
        (split_of.get(int(identity), "unlisted"), modality, int(camera), int(identity), images)
        for modality, cameras in stored["images"].items()
        for camera, people in cameras.items()
        for identity, images in people.items()
    ]
    return pd.DataFrame(rows, columns=columns)


def official_counts(kind: str) -> Counts:
    """The published counts per split, modality and camera; identities in no split are left out."""
    table = official_pictures(kind)
    grouped = table[table["split"] != "unlisted"].groupby(["split", "modality", "camera"])
    return _counts(grouped["identity"].nunique(), grouped["images"].sum())


def count_pictures(images: pd.DataFrame) -> Counts:
    """Identities and pictures per split, modality and camera of a table of images."""
    grouped = images.groupby(["split", "modality", "camera"])
    return _counts(grouped["identity"].nunique(), grouped.size())


def check_counts(found: Counts, expected: Counts, *, root: Path, hints: Iterable[str] = ()) -> None:
    """Compare two tables of counts.

    Raises:
        DataError: they differ; lists the first differences, the totals, and what probably went wrong.
    """
    none = Count(0, 0)
    different = [place for place in sorted({*found, *expected}) if found.get(place, none) != expected.get(place, none)]
    if not different:
        return
    lines = [
        f"  {place.split} {place.modality} camera {place.camera}: {_words(found.get(place, none))}, "
        f"expected {_words(expected.get(place, none))}"
        for place in different[:_LISTED]
    ]
    if len(different) > _LISTED:
        lines.append(f"  and {len(different) - _LISTED} more")
    guesses = [*hints, *probable_causes(found, expected)]
    raise DataError(
        f"{root}: the pictures found are not the expected ones\n"
        + "\n".join(lines)
        + f"\nin all {_total(found)} pictures, expected {_total(expected)}. Probable cause: {'; '.join(guesses)}"
    )


def _counts(identities: "pd.Series[int]", images: "pd.Series[int]") -> Counts:
    keys = [Place(str(split), str(modality), int(camera)) for split, modality, camera in images.index]
    return {
        place: Count(int(people), int(number))
        for place, people, number in zip(keys, identities.to_numpy(), images.to_numpy(), strict=True)
    }


def _words(count: Count) -> str:
    return f"{count.images} pictures of {count.identities} identities"


def _total(counts: Mapping[Place, Count]) -> int:
    return sum(count.images for count in counts.values())


def probable_causes(found: Counts, expected: Counts) -> list[str]:
    """What probably went wrong where the two differ, as far as counts alone tell."""
    empty_splits = sorted({place.split for place in expected} - {place.split for place in found})
    if empty_splits == ["val"]:
        return [
            "the validation identities are missing; training uses the identities of exp/train_id.txt and "
            "exp/val_id.txt together"
        ]
    cameras = {(place.modality, place.camera) for place in expected} - {(p.modality, p.camera) for p in found}
    if cameras:
        names = ", ".join(f"{modality} camera {camera}" for modality, camera in sorted(cameras))
        return [f"no picture of {names}: a folder that was not unpacked"]
    if _total(found) > _total(expected):
        return ["added pictures: a derived or preprocessed copy of the data set"]
    if _total(found) < _total(expected):
        return ["missing pictures: an incomplete download or unpacking"]
    return ["pictures in the wrong folders or identities in the wrong list"]
