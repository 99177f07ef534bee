"""A gallery: pictures indexed with one model, searched with pictures of either modality."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vireid.data.images import read_image
from vireid.errors import BundleError, GalleryError, UsageError, VireidError, choose
from vireid.gallery.bulk import Bulk
from vireid.gallery.calibrated import aim_at, rank_aimed
from vireid.gallery.deletion import Receipt, delete_entries, finish_deletion
from vireid.gallery.filters import check_filters, describe_filters
from vireid.gallery.header import (
    HEADER,
    Header,
    new_header,
    read_header,
    refuse_other_encoder,
    refuse_other_model,
    refuse_other_place,
    write_header,
    writer,
)
from vireid.gallery.indexing import Indexer
from vireid.gallery.migration import Migration, agreement, drop_leftovers, embed_anew, refuse_losses, staged_header
from vireid.gallery.results import IndexReport, SearchResult
from vireid.gallery.sources import list_images
from vireid.gallery.store import Filters, GalleryStore
from vireid.gallery.stores import open_store
from vireid.gallery.tombstones import Tombstones
from vireid.matching import Matcher, create_matcher, is_registered
from vireid.matching.calibration import Calibration
from vireid.methods.bundle import Bundle
from vireid.types import Embeddings, Modality, Track, untracked

if TYPE_CHECKING:
    from vireid.methods.encoder import Encoder

__all__ = ["Gallery"]

Picture: TypeAlias = "str | Path | bytes | NDArray[np.uint8]"


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
        frames: str | Path | None = None,
        restricted: bool = False,
        readmit: bool = False,
        milvus: str | None = None,
        encoder: Encoder | None = None,
        device: str | None = None,
        batch_size: int = 64,
        ray: bool = False,
        track: Track = untracked,
    ) -> Gallery:
        """Index pictures into the gallery at `path`, a new one or one that exists.

        A picture is known by the SHA-256 of its file (and its box): known ones are not embedded again, so a run that
        was stopped goes on when it is repeated, and a picture that was moved or got new metadata is updated. A file
        that cannot be read is listed in `report.broken` and the run goes on. Pictures that are no longer there stay in
        the gallery.

        Args:
            path: folder of the gallery.
            bundle: the model, or its folder, or the folder of the run that made it.
            images: a folder (all pictures below it, sorted by path; hidden ones are left out), a list of files, a
                table with the columns path and modality, `box` (`x,y,width,height`) where a picture is part of a frame,
                and any metadata (identity, camera, time, track, ...), or a file that `read_frames` reads as such.
            modality: `visible` or `infrared`; required unless the table says it.
            camera: of all pictures, unless the table says it.
            frames: folder to which the paths of such a file are relative.
            restricted: the terms of these pictures forbid showing them (`Dataset.restricted`). The gallery keeps the
                mark for good, and contact sheets of it leave all pictures out unless told otherwise.
            readmit: index pictures again that were deleted from this gallery; else they are refused and counted.
            milvus: address of the Milvus server on which a new gallery keeps its entries (default: in its folder).
            encoder: embeds the pictures (default: the bundle's own, which needs torch unless it is an export).
            device: of the bundle's own encoder, `cpu` or `cuda` (default: CUDA where there is one).
            batch_size: pictures embedded at once; what is done is written every four batches.
            ray: read and embed on Ray, in the cluster that RAY_ADDRESS names or in processes of this machine.

        Raises:
            UsageError: a modality is missing, unknown or given twice; a table that cannot be used; no such device; an
                encoder of another bundle.
            DataError: there is no picture, or none that can be read. Nothing is written then.
            GalleryError: the gallery belongs to another model, is damaged, or is being written by another process.
            MissingExtraError: Ray is asked for and not installed.
        """
        if batch_size < 1:
            raise UsageError(f"batch_size is {batch_size}; it must be at least 1")
        folder, model = Path(path), bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        known = read_header(folder)
        if known:
            refuse_other_model(folder, known, model)
        listing = list_images(
            images, modality=modality, camera=camera, besides=folder, frames=None if frames is None else Path(frames)
        )
        used = _chosen_encoder(model, encoder, device)
        refuse_other_encoder(used, model.digest)
        bulk = Bulk(bundle=model, encoder=encoder, device=device, batch_size=batch_size) if ray else None
        with writer(folder):
            before = read_header(folder)
            header = (before or new_header(model, milvus=milvus)).with_source(listing.source, restricted=restricted)
            refuse_other_model(folder, header, model)
            refuse_other_place(folder, header, milvus)
            if before and header != before:  # now, since a run in which nothing is new writes nothing else
                write_header(folder, header)
            store = open_store(folder, header)
            drop_leftovers(folder, header)
            finish_deletion(folder, store)
            indexer = Indexer(
                path=folder,
                header=header,
                store=store,
                encoder=used,
                matcher=model.matcher(),
                tombstones=Tombstones.read(folder),
                readmit=readmit,
                batch_size=batch_size,
                bulk=bulk,
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
        return cls(folder, header, open_store(folder, header), bundle=model, device=device)

    def __len__(self) -> int:
        return self.store.count()

    def count(self, filters: Mapping[str, Any] | None = None) -> int:
        """Number of pictures that match."""
        return self.store.count(check_filters(filters, self.columns))

    def information(self) -> dict[str, Any]:
        """What the gallery is bound to and how much it holds, as plain values."""
        tombstones = Tombstones.read(self.path)
        files = [file.stat().st_size for file in self.path.rglob("*") if file.is_file()]
        return {
            "pictures": len(self),
            **self.modalities(),
            "columns": self.columns,
            "method": self.header.method,
            "bundle": self.header.bundle,
            "digest": self.header.digest,
            "matcher": self.header.matcher,
            "store": f"Milvus at {self.header.milvus.uri}" if self.header.milvus else "LanceDB in its folder",
            "restricted": self.header.restricted,
            "created": self.header.created,
            "deleted": len(tombstones.hashes),
            "deletion unfinished": tombstones.unfinished,
            "bytes": sum(files),
        }

    def table(self, filters: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """What is known of every picture that matches, by path; no vectors.

        Raises:
            UsageError: an unknown column.
        """
        keys = sorted(self.store.keys(check_filters(filters, self.columns)))
        parts = [self.store.fetch(keys[start : start + 500]).table for start in range(0, len(keys), 500)]
        found = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=self.columns)
        return found.sort_values("path", kind="stable", ignore_index=True)

    def delete(self, filters: Mapping[str, Any]) -> Receipt:
        """Delete every picture that matches, for good: from all files, versions and the index.

        The whole gallery is rewritten, so delete what goes together at once. The deleted pictures are refused when they
        are indexed again. The picture files themselves, and backups of the gallery, are not touched.

        Raises:
            UsageError: an unknown column, or no filters.
            GalleryError: the gallery is being written by another process.
        """
        if not filters:
            raise UsageError("say what is to be deleted, for example {'identity': 7}")
        with self._writing():
            return delete_entries(self.path, self.store, check_filters(filters, self.columns))

    def deleted_before(self, keys: Sequence[str]) -> set[str]:
        """Which of these pictures (SHA-256 of the file's bytes) were deleted here, and are refused."""
        tombstones = Tombstones.read(self.path)
        return {key for key in keys if key in tombstones}

    def compact(self) -> None:
        """Merge what was added piece by piece, finish what a killed process left, bring the index up to date.

        Raises:
            GalleryError: the gallery is being written by another process.
        """
        with self._writing():
            self.store.compact()

    def migrate(
        self,
        bundle: Bundle | str | Path,
        *,
        leave_out: bool = False,
        queries: int = 100,
        encoders: tuple[Encoder, Encoder] | None = None,
        batch_size: int = 256,
        track: Track = untracked,
    ) -> Migration:
        """Embed all pictures with another model, beside what is there, and exchange the two in one step.

        Searches go on meanwhile; a gallery that is open elsewhere has to be opened again afterwards. A migration that
        was stopped goes on when it is repeated, unless something else was written in between. Equal scores stand in
        the order of paths afterwards.

        Args:
            bundle: the new model.
            leave_out: lose the pictures that are not where they were, or not what they were.
            queries: pictures of which both models' answers are compared.
            encoders: of the old and the new model (default: the bundles' own, which need torch).
            batch_size: pictures embedded and written at once.

        Raises:
            UsageError: the gallery is of this model already. DataError: pictures would be lost; nothing is exchanged.
            GalleryError: the gallery is being written by another process.
        """
        model = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        with writer(self.path):
            self._refuse_exchanged()
            finish_deletion(self.path, self.store)
            header = staged_header(self.path, self.header, model)
            used = encoders[1] if encoders else model.encoder(device=self._device)
            refuse_other_encoder(used, model.digest)
            store = open_store(self.path, header)
            broken = embed_anew(self.table(), store, model.matcher(), used, batch_size=batch_size, track=track)
            refuse_losses(broken, leave_out=leave_out)
            after, note, compared = Gallery(self.path, header, store, bundle=model, device=self._device), "", None
            try:
                before = encoders[0] if encoders else self._own_encoder()
                compared = agreement(self, after, (before, used), queries=queries)
            except VireidError as error:
                note = f"the old model's answers were not compared: {error}"
            write_header(self.path, header)
            drop_leftovers(self.path, header)
        self.header, self.store, self._bundle, self._encoder = header, store, model, None if encoders else used
        self._scoring = after._scoring
        return Migration(pictures=len(self), left_out=tuple(broken), agreement=compared, note=note)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """The right to write, with everything finished that others left."""
        with writer(self.path):
            self._refuse_exchanged()
            drop_leftovers(self.path, self.header)
            finish_deletion(self.path, self.store)
            yield

    def _refuse_exchanged(self) -> None:
        now = read_header(self.path)
        if now is None or now.store != self.header.store:
            raise GalleryError(f"gallery {self.path} was migrated to another model meanwhile; open it again")

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
        image: Picture | Sequence[Picture],
        *,
        modality: str,
        top: int = 10,
        min_llr: float | None = None,
        filters: Mapping[str, Any] | None = None,
        group: str | None = None,
        encoder: Encoder | None = None,
    ) -> SearchResult:
        """The pictures of the gallery that look most like the person in `image`.

        Where the model is calibrated (`vireid calibrate`), hits carry log-likelihood ratios, and a gallery of both
        modalities is ranked by them. Where it is not, the other modality alone is searched: scores within a modality
        are higher than across, so a mixed list would begin with the query's own. The result's note says so, and a
        filter on `modality` decides otherwise.

        Args:
            image: file, bytes of a file, or array (H, W, 3) uint8; or several of these in a list, which show one
                person: the score is then the mean of theirs.
            modality: which camera took it, `visible` or `infrared`.
            top: hits wanted; fewer come where fewer match.
            min_llr: no hit below this log-likelihood ratio (natural logarithm).
            filters: column -> value or list of values (None: unknown), e.g. {"camera": [1, 2]}.
            group: column, such as `track`, of whose values each comes once, by its best picture. Pictures where it is
                unknown stand for themselves.
            encoder: embeds the picture (default: that of the gallery's model).

        Raises:
            UsageError: unknown modality or column, `top` below 1, no such device, an encoder of another bundle, a
                least ratio without a calibration. BundleError: a damaged calibration.
            ImageError: the picture cannot be read.
            GalleryError: the gallery's model is not where it was, or is another one by now.
        """
        side = Modality(choose(str(modality), list(Modality), "modality"))
        self._check(top, filters)
        frames = [image] if isinstance(image, str | Path | bytes | np.ndarray) else list(image)
        if not frames:
            raise UsageError("there is no picture to search with; give one, or several of one person")
        pixels = [frame if isinstance(frame, np.ndarray) else read_image(frame) for frame in frames]
        used = encoder or self._own_encoder()
        refuse_other_encoder(used, self.header.digest)
        first = os.fspath(frames[0]) if isinstance(frames[0], str | os.PathLike) else "picture"
        return self.search_vectors(
            used.embed(pixels, side),
            modality=side,
            top=top,
            min_llr=min_llr,
            filters=filters,
            group=group,
            together=True,
            names=[f"{first} and {len(frames) - 1} more" if len(frames) > 1 else first],
            pictures=[frames[0]],
        )[0]

    def search_vectors(
        self,
        vectors: Embeddings[Any] | NDArray[Any],
        *,
        modality: str | None = None,
        top: int = 10,
        min_llr: float | None = None,
        filters: Mapping[str, Any] | None = None,
        group: str | None = None,
        together: bool = False,
        names: Sequence[str] | None = None,
        pictures: Sequence[Any] | None = None,
    ) -> list[SearchResult]:
        """Search with embeddings of this gallery's model, or with their vectors (Q, D) where its matcher needs no more.

        `modality` None says that nothing is known of the queries: all pictures are searched, by their scores.
        `together` says that all queries show one person, and gives one result; `group` is that of `search`. `names` and
        `pictures` are taken over into the results.

        Raises:
            UsageError: as `search`. GalleryError: vectors of another length than the gallery's.
        """
        checked = self._check(top, filters)
        queries = vectors if isinstance(vectors, Embeddings) else Embeddings(np.atleast_2d(vectors))
        side = None if modality is None else Modality(choose(str(modality), list(Modality), "modality"))
        if group is not None:
            choose(group, self.columns, "column to group by")
        calibration, lacking = self._calibration if side else (None, "")
        aim = aim_at(self.store, side, checked, calibration, lacking=lacking)
        mode, ranked = rank_aimed(
            self.store, self._matcher, queries, aim, top=top, min_llr=min_llr, group=group, together=together
        )
        return [
            SearchResult(
                query=names[place] if names else f"vector {place}",
                modality=None if side is None else str(side),
                searched=tuple(aim.counts),
                mode=mode,
                note=aim.note if aim.counts else f"no picture of the gallery matches {describe_filters(aim.filters)}",
                hits=hits,
                picture=pictures[place] if pictures else None,
                restricted=self.header.restricted,
                counts=aim.counts,
                calibration=calibration.digest if calibration and aim.calibrations else "",
                min_llr=min_llr,
                false_matches=None if min_llr is None else aim.false_matches(min_llr),
            )
            for place, hits in enumerate(ranked)
        ]

    def _check(self, top: int, filters: Mapping[str, Any] | None) -> Filters:
        if top < 1:
            raise UsageError(f"top is {top}; ask for at least 1 hit")
        if not len(self):
            raise GalleryError(f"gallery {self.path} holds no pictures; run the `vireid index` that was stopped again")
        return check_filters(filters, self.columns)

    @property
    def _calibration(self) -> tuple[Calibration | None, str]:
        """That of the gallery's model, or why there is none."""
        try:
            found = self.bundle.calibration()
        except GalleryError:
            return None, "the gallery's model is not where it was, so its calibration is not known"
        return found, "the model is not calibrated (`vireid calibrate`)"

    @property
    def _matcher(self) -> Matcher:
        """Of the name in the header, or the model's own, which needs the model."""
        if self._scoring is None:
            self._scoring = self.bundle.matcher(device=self._device)
        return self._scoring

    def _own_encoder(self) -> Encoder:
        if self._encoder is None:
            self._encoder = self.bundle.encoder(device=self._device)
        return self._encoder

    @property
    def bundle(self) -> Bundle:
        """The model that the gallery belongs to.

        Raises:
            GalleryError: it is not where it was, or is another one by now.
        """
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
    return encoder or bundle.encoder(device=device)
