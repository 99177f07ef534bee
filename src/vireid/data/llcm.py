"""LLCM: nine cameras, each with both modalities; 713 identities to train on and 351 to test on.

Zhang, Wang: Diverse Embedding Expansion Network and Low-Light Cross-Modality Benchmark for Visible-Infrared Person
Re-identification, CVPR 2023.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from vireid.data.base import Dataset
from vireid.data.counts import check_counts, count_pictures, official_counts, read_expected
from vireid.data.labels import label_identities, refuse_unequal_labels
from vireid.data.layout import (
    Line,
    list_cameras,
    list_people,
    list_pictures,
    read_identities,
    read_lines,
    require_layout,
)
from vireid.data.protocol import Draw, Protocol, Rule
from vireid.data.sampling import gallery_by_seed, sightings
from vireid.data.table import Picture, image_table, refuse_shared_identities
from vireid.errors import DataError
from vireid.types import CmcKind, Modality

__all__ = ["CAMERAS", "CAMERA_IN_NAME", "WORDS", "Llcm", "open_llcm"]

IntArray = NDArray[np.int64]

CAMERAS = tuple(range(1, 10))
WORDS = {Modality.VISIBLE: "vis", Modality.INFRARED: "nir"}
CAMERA_IN_NAME = re.compile(r"_c(\d+)_")
_SCHEME = "one random.choice per identity and camera after random.seed(trial), trials 0 to 9"


@dataclass(frozen=True, kw_only=True, eq=False)
class Llcm(Dataset):
    """LLCM, or a set in its layout.

    Protocols: `i2v` searches every infrared test picture among drawn visible ones; `v2i-standard` the reverse.
    `v2i-deen_release` is what the code released with the paper measures under the name of the reverse: every *drawn
    infrared* picture is searched among *all visible* ones, so its queries are infrared. Synthetic sets add
    `visible-to-visible`.
    """

    kind: ClassVar[str] = "llcm"
    official_name: ClassVar[str] = "LLCM"
    official_licence: ClassVar[str] = "LLCM: on signed agreement with the authors, research only"

    def known_protocols(self) -> list[str]:
        return ["i2v", "v2i-standard", "v2i-deen_release", *(["visible-to-visible"] if self.synthetic else [])]

    def _serves(self, name: str) -> bool:
        needed = [Modality.VISIBLE] if name == "visible-to-visible" else list(Modality)
        return all(len(self.rows(split="test", modality=modality)) for modality in needed)

    def _build(self, name: str) -> Protocol:
        drawn = Modality.VISIBLE if name in ("i2v", "visible-to-visible") else Modality.INFRARED
        whole = Modality.INFRARED if name == "i2v" else Modality.VISIBLE
        everything = self.rows(split="test", modality=whole)
        groups = list(sightings(self.images, self.rows(split="test", modality=drawn)).values())
        samples = gallery_by_seed(groups)
        turned = name == "v2i-deen_release"
        return Protocol(
            name=name,
            images=self.images,
            cmc=CmcKind.IDENTITY,
            query_modality=drawn if turned else whole,
            gallery_modality=whole if turned else drawn,
            rule=Rule.SAME_CAMERA if name == "visible-to-visible" else Rule.SAME_IDENTITY_AND_CAMERA,
            shots=1,
            scheme=f"{'queries: ' if turned else ''}{_SCHEME}",
            source=self._source(),
            draws=tuple(Draw(sample, everything) if turned else Draw(everything, sample) for sample in samples),
            training_rows=self._training_rows(name),
        )


def open_llcm(root: Path, *, check_counts: bool = True) -> Llcm:
    """Read LLCM or a set in its layout; see `vireid.data.open_dataset`."""
    require_layout(root, "llcm", ["vis", "nir", "test_vis", "test_nir", "idx"])
    expected = read_expected(root, "llcm")
    tested = read_identities(root / "idx" / "test_id.txt")
    pictures, labels = [], []
    for modality, word in WORDS.items():
        path = root / "idx" / f"train_{word}.txt"
        lines = read_lines(path)
        listed = _training_pictures(root, path, lines, modality)
        labels.append((path, label_identities(path, lines, [picture.identity for picture in listed])))
        pictures += sorted(listed)
    refuse_unequal_labels(*labels)
    refuse_shared_identities(
        {"the training lists": sorted({picture.identity for picture in pictures}), "idx/test_id.txt": tested},
        where=root,
    )
    for modality, word in WORDS.items():
        pictures += _test_pictures(root, f"test_{word}", tested, modality)
    dataset = Llcm(root=root, images=image_table(root, pictures), expected=expected)
    if check_counts:
        _check(dataset)
    return dataset


def _training_pictures(root: Path, path: Path, lines: Sequence[Line], modality: Modality) -> list[Picture]:
    folder = WORDS[modality]
    existing = {
        f"{folder}/{person}/{name}"
        for person in list_people(root / folder).values()
        for name in list_pictures(root / folder / person)
    }
    pictures = []
    for line in lines:
        if line.path not in existing:
            raise DataError(f"{path} line {line.number}: {line.path} does not exist in {root}")
        _, person, name = line.path.split("/")
        found = CAMERA_IN_NAME.search(name)
        camera = int(found[1]) if found else None
        if camera not in CAMERAS:
            raise DataError(
                f"{path} line {line.number}: unknown camera {camera} in {name}; the name must hold _c01_ to _c09_"
            )
        pictures.append(Picture(line.path, int(person), camera, str(modality), "train"))
    return pictures


def _test_pictures(root: Path, folder: str, tested: Sequence[int], modality: Modality) -> list[Picture]:
    wanted = frozenset(tested)
    return [
        Picture(f"{folder}/cam{camera}/{person}/{name}", identity, camera, str(modality), "test")
        for camera in list_cameras(root / folder, CAMERAS)
        for identity, person in list_people(root / folder / f"cam{camera}").items()
        if identity in wanted
        for name in list_pictures(root / folder / f"cam{camera}" / person)
    ]


def _check(dataset: Llcm) -> None:
    stated = dataset.expected.table() if dataset.expected else official_counts("llcm")
    if stated is not None:
        check_counts(count_pictures(dataset.images), stated, root=dataset.root)
