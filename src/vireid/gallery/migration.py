"""A gallery re-embedded with another model, beside the old one, and exchanged for it in one step."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vireid.data.images import read_image
from vireid.errors import DataError, GalleryError, UsageError
from vireid.files import write_json
from vireid.gallery.filters import written
from vireid.gallery.frames import crop, parse_box
from vireid.gallery.header import Header, new_header
from vireid.gallery.indexing import entries_of
from vireid.gallery.reading import ReadPicture, read_ahead
from vireid.gallery.results import Broken, Hit
from vireid.gallery.store import KEY, GalleryStore
from vireid.gallery.stores import open_store
from vireid.matching import Matcher
from vireid.methods.bundle import Bundle
from vireid.types import Modality, Track

if TYPE_CHECKING:
    from vireid.gallery.gallery import Gallery
    from vireid.methods.encoder import Encoder

__all__ = ["Agreement", "Migration", "agreement", "drop_leftovers", "embed_anew", "refuse_losses", "staged_header"]

_NOTE = "leftover.json"
_TOP = 10


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How alike two models answer the same pictures of a gallery, the picture itself left out.

    same_first: share of queries with the same first hit. overlap: mean share of common pictures among the first ten.
    right_before, right_after: share of queries whose first hit has their identity, None where none is known.
    """

    queries: int
    same_first: float
    overlap: float
    right_before: float | None
    right_after: float | None


@dataclass(frozen=True, kw_only=True)
class Migration:
    """What a migration did. agreement is None where the old model could not be asked; `note` says why."""

    pictures: int
    left_out: tuple[Broken, ...]
    agreement: Agreement | None
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def staged_header(path: Path, old: Header, bundle: Bundle) -> Header:
    """The header that will be the gallery's; its place, which an interrupted migration may have begun, is noted.

    Raises:
        UsageError: the gallery is of this model already.
    """
    if bundle.digest == old.digest:
        raise UsageError(f"gallery {path} is of model {bundle.digest[:12]} already")
    new = new_header(bundle, milvus=old.milvus.uri if old.milvus else None)
    place = f"store-{bundle.digest[:16]}"
    new = new.model_copy(update={"store": place, "sources": old.sources, "restricted": old.restricted})
    for begun in _noted(path):
        if begun.store == place:
            new = new.model_copy(update={"milvus": begun.milvus})
        elif begun.store != old.store:  # of a migration to a third model, which was given up
            open_store(path, begun).drop()
    places = [header.model_dump(mode="json") for header in (old, new)]
    write_json(path / _NOTE, places)
    return new


def drop_leftovers(path: Path, header: Header) -> None:
    """Remove the stores of migrations that were given up or have been completed; the caller may write."""
    for left in _noted(path):
        if left.store != header.store:
            open_store(path, left).drop()
    (path / _NOTE).unlink(missing_ok=True)


def embed_anew(
    table: pd.DataFrame, store: GalleryStore, matcher: Matcher, encoder: Encoder, *, batch_size: int, track: Track
) -> list[Broken]:
    """Bring all pictures of a table into a new store; answers with those that are not as they were."""
    broken: list[Broken] = []
    size = encoder.preprocessing.size
    known = store.keys()
    for modality in Modality:
        rows = [
            {str(name): value for name, value in row.items()}
            for row in table[table["modality"] == str(modality)].to_dict("records")
        ]
        batch: list[ReadPicture] = []
        with closing(read_ahead(rows, known=known, size=size)) as ahead:
            for picture in track(ahead, description=f"embedding {modality}", total=len(rows)):
                if picture.problem is not None or picture.sha256 != picture.row[KEY]:
                    broken.append(Broken(picture.row["path"], picture.problem or "its content has changed"))
                elif picture.pixels is not None:
                    batch.append(picture)
                if len(batch) == batch_size:
                    _add(batch, store, matcher, encoder, modality)
                    batch = []
        _add(batch, store, matcher, encoder, modality)
    store.compact()
    return broken


def agreement(old: Gallery, new: Gallery, encoders: tuple[Encoder, Encoder], *, queries: int) -> Agreement:
    """How alike the two answer up to `queries` of their pictures, drawn with a fixed seed."""
    table = new.table()
    drawn = np.sort(np.random.default_rng(0).permutation(len(table))[:queries])
    same, overlap = [], []
    right: tuple[list[bool], list[bool]] = ([], [])
    held = old.modalities()
    for row in table.iloc[drawn].to_dict("records"):
        other = str(Modality(row["modality"]).other)
        searched = {"modality": other if other in held else row["modality"]}  # the same of both, calibrated or not
        pixels = read_image(row["path"])
        pixels = crop(pixels, parse_box(row["box"])) if row.get("box") else pixels
        answers = []
        for gallery, encoder, firsts in zip((old, new), encoders, right, strict=True):
            found = gallery.search(pixels, modality=row["modality"], top=_TOP + 1, filters=searched, encoder=encoder)
            others = [hit for hit in found if (hit.path, hit.box) != (row["path"], row.get("box"))][:_TOP]
            answers.append([(hit.path, hit.box) for hit in others])
            firsts.extend(_right(others, row.get("identity")))
        if answers[1]:
            same.append(answers[0][:1] == answers[1][:1])
            overlap.append(len(set(answers[0]) & set(answers[1])) / len(answers[1]))
    return Agreement(
        queries=len(same),
        same_first=_mean(same) or 0.0,
        overlap=_mean(overlap) or 0.0,
        right_before=_mean(right[0]),
        right_after=_mean(right[1]),
    )


def refuse_losses(broken: Sequence[Broken], *, leave_out: bool) -> None:
    """Refuse to exchange the stores where pictures would be lost.

    Raises:
        DataError: names them.
    """
    if broken and not leave_out:
        shown = "".join(f"\n  {one.path}: {one.reason}" for one in broken[:5])
        raise DataError(
            f"{len(broken)} pictures of the gallery cannot be embedded anew, and it is left as it was; bring them back "
            f"and repeat the command, which goes on from here, or leave them out (--leave-out):{shown}"
        )


def _add(
    batch: Sequence[ReadPicture], store: GalleryStore, matcher: Matcher, encoder: Encoder, modality: Modality
) -> None:
    if batch:
        found = encoder.embed([picture.pixels for picture in batch if picture.pixels is not None], modality)
        store.add(entries_of(found, matcher, [picture.row for picture in batch]))


def _right(others: Sequence[Hit], identity: Any) -> Iterator[bool]:
    if others and identity is not None and others[0].identity is not None:
        yield written(others[0].identity) == written(identity)


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _noted(path: Path) -> list[Header]:
    file = path / _NOTE
    if not file.exists():
        return []
    try:
        held: list[Mapping[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
        return [Header.model_validate(place) for place in held]
    except ValueError as error:
        raise GalleryError(f"{file} is damaged ({error}); remove it and the store that {path} does not use") from error
