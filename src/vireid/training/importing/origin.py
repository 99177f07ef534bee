"""What an imported model was trained on: as its data set tells, or as the published lists do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from vireid.data import KINDS, Dataset
from vireid.data.counts import official_pictures
from vireid.data.llcm import Llcm
from vireid.data.regdb import Regdb
from vireid.data.sysu import Sysu
from vireid.errors import UsageError, choose
from vireid.methods.bundle import Card, identity_names
from vireid.types import DataInfo, Modality

__all__ = ["Origin", "origin_of"]

_CLASSES = {"sysu": 395, "regdb": 206, "llcm": 713}
_OFFICIAL: dict[str, type[Dataset]] = {"sysu": Sysu, "regdb": Regdb, "llcm": Llcm}
_PROTOCOLS = {"sysu": "all-single-agw", "llcm": "i2v"}
_SPLIT = re.compile(r"split([1-9]|10)-(v2i|i2v)")


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The training data of a model that others trained.

    table: pictures it was trained on (identity, camera, modality), None where nobody says who they show.
    """

    kind: str
    name: str
    fingerprint: str
    licence: str
    restricted: bool
    protocol: str
    classes: int
    table: pd.DataFrame | None

    def info(self, size: tuple[int, int]) -> DataInfo:
        """What the method is told of the data; size: (height, width)."""
        table = official_pictures(self.kind) if self.table is None else self.table
        cameras = {
            modality: tuple(sorted({int(camera) for camera in table.camera[table.modality == modality]}))
            for modality in Modality
        }
        return DataInfo(
            identities=self.classes,
            image_size=size,
            visible_cameras=cameras[Modality.VISIBLE],
            infrared_cameras=cameras[Modality.INFRARED],
        )

    def card(self, imported: str, vireid: str) -> Card:
        """The model card; imported: the file, with its digest."""
        people = () if self.table is None else tuple(sorted({int(person) for person in self.table.identity}))
        return Card(
            dataset=self.name,
            dataset_kind=self.kind,
            dataset_fingerprint=self.fingerprint,
            licence=self.licence,
            restricted=self.restricted,
            protocol=self.protocol,
            identities=people,
            identity_names=() if self.table is None else identity_names(self.table),
            recipe="",
            seed=0,
            vireid=vireid,
            imported=imported,
        )


def origin_of(
    classes: int, file: Path, *, kind: str | None = None, data: Dataset | None = None, protocol: str | None = None
) -> Origin:
    """The training data of a classifier over `classes` people.

    Raises:
        UsageError: nobody says which data set or which split of RegDB, or it has another number of people.
    """
    kind = data.kind if data is not None else _kind(classes, kind)
    protocol = _protocol(kind, protocol, data, file)
    if data is not None:
        table = data.images.loc[data.training_rows(protocol)]
        people = int(table.identity.nunique())
        if people != classes:
            raise UsageError(
                f"the checkpoint tells {classes} people apart, but {protocol!r} of {data.name} trains on {people}; "
                "give the data set and the split that it was trained on"
            )
        return Origin(
            kind=kind,
            name=data.name,
            fingerprint=data.fingerprint,
            licence=data.licence,
            restricted=data.restricted,
            protocol=protocol,
            classes=classes,
            table=table,
        )
    official, listed = _OFFICIAL[kind], official_pictures(kind)
    return Origin(
        kind=kind,
        name=official.official_name,
        fingerprint="unknown",
        licence=official.official_licence,
        restricted=True,
        protocol=protocol,
        classes=classes,
        table=None if kind == "regdb" else listed[listed["split"].isin(["train", "val"])],
    )


def _kind(classes: int, kind: str | None) -> str:
    if kind is None:
        found = next((name for name, count in _CLASSES.items() if count == classes), None)
        if found is None:
            raise UsageError(
                f"the checkpoint tells {classes} people apart, which no published training set has; say what it was "
                "trained on: --data FOLDER --kind KIND"
            )
        return found
    choose(kind, KINDS, "kind of data set")
    if _CLASSES.get(kind) != classes:
        known = kind in _CLASSES
        expected = f"{_OFFICIAL[kind].official_name} has {_CLASSES[kind]}" if known else "a table may have any number"
        raise UsageError(
            f"the checkpoint tells {classes} people apart, {expected}; if it was trained on another version, show it: "
            f"--data FOLDER --kind {kind}"
        )
    return kind


def _protocol(kind: str, protocol: str | None, data: Dataset | None, file: Path) -> str:
    if protocol is None and kind == "regdb":
        trial = re.search(r"trial_?(\d+)", file.stem)
        guess = f"; the file's name suggests --protocol split{int(trial[1])}-v2i" if trial else ""
        raise UsageError(f"each split of RegDB has a model of its own; add --protocol split1-v2i, or another{guess}")
    if data is not None:
        known = data.known_protocols()
        return choose(protocol or known[0], known, f"protocol of {data.name}")
    if kind == "regdb" and not _SPLIT.fullmatch(str(protocol)):
        raise UsageError(f"unknown protocol of RegDB {protocol!r} (allowed: split1-v2i to split10-i2v)")
    return protocol or _PROTOCOLS[kind]
