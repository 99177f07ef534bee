"""SYSU-MM01: six cameras, 395 identities to train on and 96 to test on.

Wu, Zheng, Yu, Gong, Lai: RGB-Infrared Cross-Modality Person Re-Identification, ICCV 2017.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vireid.data.base import Dataset
from vireid.data.counts import check_counts, count_pictures, official_counts, read_expected
from vireid.data.layout import list_cameras, list_people, list_pictures, read_identities, require_layout
from vireid.data.permutation import PERMUTATION_FILE, Permutation, read_permutation
from vireid.data.protocol import Draw, Protocol, Rule
from vireid.data.sampling import TRIALS, gallery_by_seed, sightings, take
from vireid.data.table import Picture, image_table, refuse_shared_identities
from vireid.types import CmcKind, Modality

__all__ = ["INFRARED_CAMERAS", "LISTS", "VISIBLE_CAMERAS", "Sysu", "open_sysu", "sysu_table"]

IntArray = NDArray[np.int64]

VISIBLE_CAMERAS = (1, 2, 4, 5)
INFRARED_CAMERAS = (3, 6)
_MODES = {"all": (1, 2, 4, 5), "indoor": (1, 2)}
_SHOTS = {"single": 1, "multi": 10}
LISTS = {"train": "exp/train_id.txt", "val": "exp/val_id.txt", "test": "exp/test_id.txt"}
_SEEDED = {
    1: "one random.choice per identity and camera after random.seed(trial), trials 0 to 9",
    10: "one random.sample per identity and camera after random.seed(trial), trials 0 to 9; vireid's own draw",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Sysu(Dataset):
    """SYSU-MM01, or a set in its layout. Train and val identities together are the published training set.

    Protocols: `{all|indoor}-{single|multi}-{agw|official}`, with galleries drawn as the code of the AGW family does or
    by the authors' permutation file; `val` searches the validation identities, for models trained on the others;
    synthetic sets add `visible-to-visible`.
    """

    kind: ClassVar[str] = "sysu"
    official_name: ClassVar[str] = "SYSU-MM01"
    official_licence: ClassVar[str] = "SYSU-MM01: on signed agreement with the authors, research only"

    def known_protocols(self) -> list[str]:
        names = [f"{mode}-{shots}-{draw}" for draw in ("agw", "official") for mode in _MODES for shots in _SHOTS]
        return [*names, "val", *(["visible-to-visible"] if self.synthetic else [])]

    def _serves(self, name: str) -> bool:
        if name.endswith("-official"):
            return (self.root / PERMUTATION_FILE).is_file() and self._has("test", _MODES[name.split("-")[0]])
        if name == "visible-to-visible":
            return self._has("test", VISIBLE_CAMERAS, both=False)
        return self._has("val", VISIBLE_CAMERAS) if name == "val" else self._has("test", _MODES[name.split("-")[0]])

    def _training_rows(self, name: str) -> IntArray:
        train = self.rows(split="train")
        return train if name == "val" else np.sort(np.concatenate([train, self.rows(split="val")]))

    def _build(self, name: str) -> Protocol:
        if name == "val":
            return self._search(name, split="val", cameras=VISIBLE_CAMERAS, shots=1)
        if name == "visible-to-visible":
            return self._search(name, split="test", cameras=VISIBLE_CAMERAS, shots=1, query=Modality.VISIBLE)
        mode, shots, draw = name.split("-")
        permutation = read_permutation(self.root / PERMUTATION_FILE) if draw == "official" else None
        return self._search(name, split="test", cameras=_MODES[mode], shots=_SHOTS[shots], permutation=permutation)

    def _search(
        self,
        name: str,
        *,
        split: str,
        cameras: Sequence[int],
        shots: int,
        query: Modality = Modality.INFRARED,
        permutation: Permutation | None = None,
    ) -> Protocol:
        queries = self.rows(split=split, modality=query)
        groups = sightings(self.images, self._gallery_rows(split, cameras))
        if permutation is None:
            scheme = _SEEDED[shots]
            galleries = gallery_by_seed(list(groups.values()), shots=shots)
        else:
            scheme = f"first entries of rows 1 to 10 of the authors' permutation {permutation.digest(groups)[:16]}"
            sizes = {key: len(group) for key, group in groups.items()}
            galleries = [
                take(list(groups.values()), permutation.draw(trial, sizes, shots=shots)) for trial in range(TRIALS)
            ]
        return Protocol(
            name=name,
            images=self.images,
            cmc=CmcKind.IDENTITY,
            query_modality=query,
            gallery_modality=Modality.VISIBLE,
            rule=Rule.SAME_CAMERA if query is Modality.VISIBLE else Rule.SYSU_LOCATION,
            shots=shots,
            scheme=scheme,
            source=self._source(),
            draws=tuple(Draw(queries, gallery) for gallery in galleries),
            training_rows=self._training_rows(name),
        )

    def _gallery_rows(self, split: str, cameras: Sequence[int]) -> IntArray:
        rows = self.rows(split=split, modality=Modality.VISIBLE)
        return rows[np.isin(self.images["camera"].to_numpy()[rows], cameras)]

    def _has(self, split: str, cameras: Sequence[int], *, both: bool = True) -> bool:
        queries = self.rows(split=split, modality=Modality.INFRARED)
        return len(self._gallery_rows(split, cameras)) > 0 and (len(queries) > 0 or not both)


def open_sysu(root: Path, *, check_counts: bool = True) -> Sysu:
    """Read SYSU-MM01 or a set in its layout; see `vireid.data.open_dataset`."""
    require_layout(root, "sysu", ["exp", "cam1|cam2|cam4|cam5", "cam3|cam6"])
    expected = read_expected(root, "sysu")
    list_cameras(root, [*VISIBLE_CAMERAS, *INFRARED_CAMERAS])
    # A set that states its own counts may do without validation identities; the official one must not lose them.
    splits = {
        split: read_identities(root / name, may_be_empty=split == "val" and expected is not None)
        for split, name in LISTS.items()
    }
    dataset = Sysu(root=root, images=sysu_table(root, splits, _listing(root, splits)), expected=expected)
    if check_counts:
        _check(dataset)
    return dataset


def sysu_table(
    root: Path, splits: Mapping[str, Sequence[int]], names: Mapping[tuple[int, int], Sequence[str]]
) -> pd.DataFrame:
    """The table of images from the identities of each split and the file paths (from the root, sorted) of each
    (camera, identity).

    Raises:
        DataError: an identity in two splits.
    """
    refuse_shared_identities(splits, where=root / "exp")
    return image_table(
        root,
        [
            Picture(name, identity, camera, _modality(camera), split)
            for split, identities in splits.items()
            for camera in sorted((*VISIBLE_CAMERAS, *INFRARED_CAMERAS))
            for identity in identities
            for name in names.get((camera, identity), ())
        ],
    )


def _listing(root: Path, splits: Mapping[str, Sequence[int]]) -> dict[tuple[int, int], list[str]]:
    wanted = {identity for identities in splits.values() for identity in identities}
    return {
        (camera, identity): [f"cam{camera}/{folder}/{name}" for name in list_pictures(root / f"cam{camera}" / folder)]
        for camera in (*VISIBLE_CAMERAS, *INFRARED_CAMERAS)
        for identity, folder in list_people(root / f"cam{camera}").items()
        if identity in wanted
    }


def _modality(camera: int) -> str:
    return "infrared" if camera in INFRARED_CAMERAS else "visible"


def _check(dataset: Sysu) -> None:
    stated = dataset.expected.table() if dataset.expected else official_counts("sysu")
    if stated is not None:
        check_counts(count_pictures(dataset.images), stated, root=dataset.root)
