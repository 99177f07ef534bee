"""A gallery: pictures indexed with one model, searched with pictures of either modality."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vireid.data.images import read_image
from vireid.errors import BundleError, GalleryError, UsageError, choose
from vireid.gallery.exact import ExactStore
from vireid.gallery.filters import check_filters, describe_filters
from vireid.gallery.header import (
    HEADER,
    STORE,
    Header,
    new_header,
    read_header,
    refuse_other_encoder,
    refuse_other_model,
    write_header,
    writer,
)
from vireid.gallery.indexing import Indexer
from vireid.gallery.ranking import mode_of, rank_entries
from vireid.gallery.results import IndexReport, SearchResult
from vireid.gallery.sources import list_images
from vireid.gallery.store import Filters, GalleryStore
from vireid.matching import Matcher, create_matcher, is_registered
from vireid.methods.bundle import Bundle
from vireid.types import Embeddings, Modality, Track, untracked

if TYPE_CHECKING:
    from vireid.methods.encoder import Encoder

__all__ = ["Gallery"]


class Gallery:
    """Indexed pictures in a folder, bound to one bundle.

    header: what the gallery says of itself. store: where its vectors live. report: what `build` did, None after `open`.
    """

    def __init__(
        self,
        path: Path,
        header: Header,
        store: GalleryStore,
        *,
        bundle: Bundle | None,
        device: str | None = None,
        report: IndexReport | None = None,
    ) -> None:
        self.path = path
        self.header = header
        self.store = store
        self.report = report
        self._bundle = bundle
        self._device = device
        self._encoder: Encoder | None = None
        self._scoring = create_matcher(header.matcher) if is_registered(header.matcher) else None

    @classmethod
    def build(
        cls,
        path: str | Path,
        bundle: Bundle | str | Path,
        images: pd.DataFrame | str | Path | Sequence[str | Path],
        *,
        modality: str | None = None,
        camera: int | str | None = None,
        restricted: bool = False,
        encoder: Encoder | None = None,
        device: str | None = None,
        batch_size: int = 64,
        track: Track = untracked,
    ) -> Gallery:
        """Index pictures into the gallery at `path`, a new one or one that exists.

        A picture is known by the SHA-256 of its file: known ones are not embedded again, so a run that was stopped goes
        on when it is repeated, and a picture that was moved or got new metadata is updated. A file that cannot be read
        is listed in `report.broken` and the run goes on. Pictures that are no longer there stay in the gallery.

        Args:
            path: folder of the gallery.
            bundle: the model, or its folder, or the folder of the run that made it.
            images: a folder (all pictures below it, sorted by path; hidden ones are left out), a list of files, or a
                table with the columns path and modality and any metadata (identity, camera, time, ...).
            modality: `visible` or `infrared`; required unless the table says it.
            camera: of all pictures, unless the table says it.
            restricted: the terms of these pictures forbid showing them (`Dataset.restricted`). The gallery keeps the
                mark for good, and contact sheets of it leave all pictures out unless told otherwise.
            encoder: embeds the pictures (default: the bundle's own, which needs torch unless it is an export).
            device: of the bundle's own encoder, `cpu` or `cuda` (default: CUDA where there is one).
            batch_size: pictures embedded at once; what is done is written every four batches.

        Raises:
            UsageError: a modality is missing, unknown or given twice; a table that cannot be used; no such device; an
                encoder of another bundle.
            DataError: there is no picture, or none that can be read. Nothing is written then.
            GalleryError: the gallery belongs to another model, is damaged, or is being written by another process.
        """
        if batch_size < 1:
            raise UsageError(f"batch_size is {batch_size}; it must be at least 1")
        folder, model = Path(path), bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        known = read_header(folder)
        if known:
            refuse_other_model(folder, known, model)
        listing = list_images(images, modality=modality, camera=camera, besides=folder)
        used = _chosen_encoder(model, encoder, device)
        refuse_other_encoder(used, model.digest)
        with writer(folder):
            before = read_header(folder)
            header = (before or new_header(model)).with_source(listing.source, restricted=restricted)
            refuse_other_model(folder, header, model)
            if before and header != before:  # now, since a run in which nothing is new writes nothing else
                write_header(folder, header)
            store = ExactStore(folder / STORE)
            indexer = Indexer(
                path=folder, header=header, store=store, encoder=used, matcher=model.matcher(), batch_size=batch_size
            )
            report = indexer.run(listing, track)
        return cls(folder, header, store, bundle=model, device=device, report=report)

    @classmethod
    def open(cls, path: str | Path, *, bundle: Bundle | str | Path | None = None, device: str | None = None) -> Gallery:
        """Open a gallery to search it.

        Args:
            path: its folder.
            bundle: where its model lies now (default: where it lay when the gallery was built).
            device: where that runs, `cpu` or `cuda` (default: CUDA where there is one).

        Raises:
            GalleryError: there is no gallery, it is damaged, or `bundle` is not the model it was built with.
        """
        folder = Path(path)
        header = read_header(folder)
        if header is None:
            raise GalleryError(f"there is no gallery at {folder} (no {HEADER}); make one with `vireid index`")
        model = bundle if isinstance(bundle, Bundle) or bundle is None else Bundle.open(bundle)
        if model:
            refuse_other_model(folder, header, model)
        return cls(folder, header, ExactStore(folder / STORE), bundle=model, device=device)

    def __len__(self) -> int:
        return self.store.count()

    @property
    def columns(self) -> list[str]:
        """What can be filtered by."""
        return self.store.columns

    def modalities(self) -> dict[str, int]:
        """Number of pictures of each modality that the gallery holds."""
        counts = {str(modality): self.store.count({"modality": [modality]}) for modality in Modality}
        return {modality: count for modality, count in counts.items() if count}

    def search(
        self,
        image: str | Path | bytes | NDArray[np.uint8],
        *,
        modality: str,
        top: int = 10,
        filters: Mapping[str, Any] | None = None,
        encoder: Encoder | None = None,
    ) -> SearchResult:
        """The pictures of the gallery that look most like the person in `image`.

        Where the gallery holds the other modality, that one alone is searched: scores within a modality are higher than
        across, so a mixed list would begin with the query's own. The result's note says so, and a filter on `modality`
        decides otherwise.

        Args:
            image: file, bytes of a file, or array (H, W, 3) uint8.
            modality: which camera took it, `visible` or `infrared`.
            top: hits wanted; fewer come where fewer match.
            filters: column -> value or list of values (None: unknown), e.g. {"camera": [1, 2]}.
            encoder: embeds the picture (default: that of the gallery's model).

        Raises:
            UsageError: unknown modality or column, `top` below 1, no such device, an encoder of another bundle.
            ImageError: the picture cannot be read.
            GalleryError: the gallery's model is not where it was, or is another one by now.
        """
        side = Modality(choose(str(modality), list(Modality), "modality"))
        self._check(top, filters)
        pixels = image if isinstance(image, np.ndarray) else read_image(image)
        used = encoder or self._own_encoder()
        refuse_other_encoder(used, self.header.digest)
        found = used.embed([pixels], side)
        name = os.fspath(image) if isinstance(image, str | os.PathLike) else "picture"
        return self.search_vectors(found, modality=side, top=top, filters=filters, names=[name], pictures=[image])[0]

    def search_vectors(
        self,
        vectors: Embeddings[Any] | NDArray[Any],
        *,
        modality: str | None = None,
        top: int = 10,
        filters: Mapping[str, Any] | None = None,
        names: Sequence[str] | None = None,
        pictures: Sequence[Any] | None = None,
    ) -> list[SearchResult]:
        """Search with embeddings of this gallery's model, or with their vectors (Q, D) where its matcher needs no more.

        `modality` None says that nothing is known of the queries, and all pictures are searched. `names` and `pictures`
        are taken over into the results.

        Raises:
            UsageError: as `search`. GalleryError: vectors of another length than the gallery's.
        """
        checked = self._check(top, filters)
        queries = vectors if isinstance(vectors, Embeddings) else Embeddings(np.atleast_2d(vectors))
        side = None if modality is None else Modality(choose(str(modality), list(Modality), "modality"))
        aimed, note = self._aim(side, checked)
        held = self.modalities()
        searched = tuple(str(m) for m in aimed.get("modality", held) if str(m) in held)
        return [
            SearchResult(
                query=names[place] if names else f"vector {place}",
                modality=None if side is None else str(side),
                searched=searched,
                mode=mode_of(self._matcher, top),
                note=note if hits else f"no picture of the gallery matches {describe_filters(aimed)}",
                hits=hits,
                picture=pictures[place] if pictures else None,
                restricted=self.header.restricted,
            )
            for place, hits in enumerate(rank_entries(self.store, self._matcher, queries, top=top, filters=aimed))
        ]

    def _check(self, top: int, filters: Mapping[str, Any] | None) -> Filters:
        if top < 1:
            raise UsageError(f"top is {top}; ask for at least 1 hit")
        if not len(self):
            raise GalleryError(f"gallery {self.path} holds no pictures; run the `vireid index` that was stopped again")
        return check_filters(filters, self.columns)

    def _aim(self, side: Modality | None, filters: Filters) -> tuple[Filters, str]:
        """Filters with the modality that is searched, and a note on it."""
        held = self.modalities()
        if side is None or "modality" in filters:
            return filters, ""
        if side.other not in held:
            return (
                filters,
                f"the gallery holds {side} pictures only, as the query is: this is no search across modalities",
            )
        if side not in held:
            return filters, ""
        note = (
            f"searched the {held[side.other]} {side.other} pictures; "
            f"the {held[side]} {side} ones are left out unless a filter on modality asks for them"
        )
        return {**filters, "modality": [str(side.other)]}, note

    @property
    def _matcher(self) -> Matcher:
        """Of the name in the header, or the model's own, which needs the model."""
        if self._scoring is None:
            self._scoring = self._own_bundle().matcher(device=self._device)
        return self._scoring

    def _own_encoder(self) -> Encoder:
        if self._encoder is None:
            self._encoder = _open_encoder(self._own_bundle(), self._device)
        return self._encoder

    def _own_bundle(self) -> Bundle:
        if self._bundle is None:
            self._bundle = _bundle_of(self.path, self.header)
        return self._bundle


def _bundle_of(path: Path, header: Header) -> Bundle:
    try:
        bundle = Bundle.open(header.bundle)
    except BundleError as error:
        raise GalleryError(
            f"the model of gallery {path} cannot be opened where it was ({error}); say where it lies: "
            f"Gallery.open(path, bundle=...) or --bundle"
        ) from error
    refuse_other_model(path, header, bundle)
    return bundle


def _chosen_encoder(bundle: Bundle, encoder: Encoder | None, device: str | None) -> Encoder:
    if encoder is not None and device is not None:
        raise UsageError(f"device={device!r} is for the bundle's own encoder; leave it out where encoder is given")
    return encoder or _open_encoder(bundle, device)


def _open_encoder(bundle: Bundle, device: str | None) -> Encoder:
    return bundle.encoder(device=device)
