"""The one place of the service that touches `vireid.gallery`: models opened, pictures indexed, searched, deleted."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vireid.errors import GalleryError, UsageError, choose
from vireid.gallery import Gallery, Migration, Verification, verify
from vireid.gallery.header import HEADER, read_header
from vireid.gallery.store import KEY
from vireid.gallery.tombstones import Tombstones
from vireid.methods.bundle import Bundle
from vireid.service.problems import Problem
from vireid.types import Embeddings, Modality, Track, untracked

if TYPE_CHECKING:
    from vireid.methods.encoder import Encoder
    from vireid.methods.explain import Explanation

__all__ = ["Answer", "Exchanged", "Galleries", "Hit", "Model", "OpenEncoder", "Picture", "Source"]

_Seen = tuple[NDArray[np.uint8], str]  # pixels (H, W, 3), and what kind of camera saw them
OpenEncoder = Callable[[Bundle], "Encoder"]
_BATCH = 8  # pictures embedded at once while indexing, so that a query waits for few


@dataclass(frozen=True)
class Picture:
    """A picture file on its way into a gallery. id: SHA-256 of its bytes, the name of the file."""

    id: str
    path: Path
    modality: str
    camera: str | None


@dataclass(frozen=True)
class Source:
    """A gallery outside the service. digest and bundle: hash of its model, and where that lay."""

    digest: str
    bundle: str
    restricted: bool
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Hit:
    """A picture that a search found. llr: log-likelihood ratio of one person against two, where the model has it, and
    false_matches: how many pictures of other people chance is expected to lift as high in what was searched.
    """

    image: str
    score: float
    llr: float | None
    false_matches: float | None


@dataclass(frozen=True)
class Answer:
    """What a search found. searched: modalities; mode: `full` or `cascade:K`; note: how that was chosen; warning: how
    many of the hits chance alone would give, where the model is calibrated.
    """

    hits: tuple[Hit, ...]
    searched: tuple[str, ...]
    mode: str
    note: str
    warning: str


class Exchanged(Exception):  # noqa: N818
    """The gallery has another model since the query was embedded: embed it again."""


class _OneAtATime:
    """An encoder that several threads may call."""

    def __init__(self, encoder: Encoder) -> None:
        self.preprocessing = encoder.preprocessing
        self.digest = encoder.digest
        self._encoder = encoder
        self._turn = threading.Lock()

    def embed(self, pictures: Sequence[NDArray[np.uint8]], modality: Modality) -> Embeddings[NDArray[Any]]:
        with self._turn:
            return self._encoder.embed(pictures, modality)

    @property
    def explains(self) -> bool:
        """Whether there is a method, in torch, that can be asked; an export is a closed graph."""
        return hasattr(self._encoder, "method")

    def explain(self, query: _Seen, candidate: _Seen) -> Explanation:
        from vireid.methods.encoder import TorchEncoder
        from vireid.report.sections.explanations import shown

        encoder = self._encoder
        assert isinstance(encoder, TorchEncoder)
        sides = [
            shown(pixels, Modality(modality), encoder.preprocessing, encoder.device)
            for pixels, modality in (query, candidate)
        ]
        with self._turn:
            return encoder.method.explain(*sides)


@dataclass(frozen=True)
class Model:
    """A bundle with its encoder."""

    bundle: Bundle
    encoder: _OneAtATime


class Galleries:
    """The indexes in one folder. Readers of a gallery share one opened index; writers take turns.

    bundles: name -> folder of a model, as the operator configured them.
    """

    def __init__(self, folder: Path, bundles: Mapping[str, Path], opener: OpenEncoder) -> None:
        self.folder = folder
        self.bundles = bundles
        self._opener = opener
        self._turn = threading.RLock()
        self._models: dict[str, Model] = {}
        self._open: dict[str, Gallery] = {}
        self._turns: dict[str, threading.RLock] = {}
        self._migrating: set[str] = set()

    def model(self, name: str) -> Model:
        """The model of this name, opened when first asked for.

        Raises:
            UsageError: no such name. BundleError: the model is damaged.
        """
        with self._turn:
            if name not in self._models:
                if not self.bundles:
                    raise UsageError("the service has no models; the operator names them under `bundles`")
                bundle = Bundle.open(self.bundles[choose(name, self.bundles, "bundle")])
                self._models[name] = Model(bundle, _OneAtATime(self._opener(bundle)))
            return self._models[name]

    def add(self, gallery: str, bundle: str, pictures: Sequence[Picture], *, track: Track = untracked) -> None:
        """Index pictures; those that are there by content are not embedded again.

        Raises:
            GalleryError: the gallery was built with another model. DataError: no picture can be read.
        """
        model = self.model(bundle)
        table = pd.DataFrame(
            {
                "path": [str(picture.path) for picture in pictures],
                "modality": [picture.modality for picture in pictures],
                "camera": [picture.camera for picture in pictures],
            },
            dtype=object,
        )
        with self.turn(gallery):
            built = Gallery.build(
                self._path(gallery), model.bundle, table, encoder=model.encoder, batch_size=_BATCH, track=track
            )
            with self._turn:
                self._open[gallery] = built

    def deleted_before(self, gallery: str, images: Sequence[str]) -> set[str]:
        """Those that were deleted from the gallery, and are not to come back."""
        return self._opened(gallery).deleted_before(images) if self._exists(gallery) else set()

    def delete(self, gallery: str, images: Sequence[str]) -> int:
        """Remove pictures from every file of the index, for good; returns how many there were."""
        with self.turn(gallery):
            if not images or not self._exists(gallery):
                return 0
            gone = Gallery.open(self._path(gallery)).delete({KEY: list(images)}).deleted
            with self._turn:
                self._open.pop(gallery, None)
        return gone

    def leave_out(self, gallery: str, images: Sequence[str]) -> None:
        """Remove pictures that were not deleted by anybody: they may come back."""
        with self.turn(gallery):
            self.delete(gallery, images)
            Tombstones.read(self._path(gallery)).lift(images)

    def drop(self, gallery: str) -> None:
        """Remove the whole index."""
        with self.turn(gallery):
            if self._path(gallery).exists():
                shutil.rmtree(self._path(gallery))
            with self._turn:
                self._open.pop(gallery, None)

    def count(self, gallery: str) -> int:
        """Number of pictures that can be found."""
        return len(self._opened(gallery)) if self._exists(gallery) else 0

    def search(
        self,
        gallery: str,
        queries: Embeddings[Any],
        *,
        digest: str,
        modality: str,
        top: int,
        filters: Mapping[str, Any],
    ) -> Answer:
        """The first `top` pictures for one person, seen in the Q pictures of `queries`: a score is the mean over them.

        digest: hash of the model that made the queries.

        Raises:
            Exchanged: the gallery is of another model. GalleryError: nothing was ever indexed here. UsageError: a
                filter that is not there.
        """
        # Without the gallery's turn: searches go on while it is written.
        opened = self._opened(gallery)
        if opened.header.digest != digest:
            raise Exchanged
        try:
            found = opened.search_vectors(queries, modality=modality, top=top, filters=filters, together=True)[0]
        except Exception as error:
            header = read_header(self._path(gallery))
            if header is not None and header.store != opened.header.store:  # exchanged while it was being read
                with self._turn:
                    self._open.pop(gallery, None)
                raise Exchanged from error
            raise
        hits = tuple(Hit(Path(hit.path).stem, hit.score, hit.llr, hit.false_matches) for hit in found)
        return Answer(hits, tuple(found.searched), found.mode, found.note, found.warning)

    def verify(
        self,
        bundle: str,
        pictures: tuple[NDArray[np.uint8], NDArray[np.uint8]],
        modalities: tuple[str, str],
        *,
        prior: float | None,
    ) -> Verification:
        """Two pictures compared by a model: `vireid.gallery.verify`.

        Raises:
            UsageError: the model is not calibrated for these modalities.
        """
        model = self.model(bundle)
        return verify(model.bundle, pictures, modalities, prior=prior, encoder=model.encoder)

    def explains(self, bundle: str) -> bool:
        """Whether a model can say what matched."""
        return self.model(bundle).encoder.explains

    def explain(self, bundle: str, query: _Seen, candidate: _Seen) -> Explanation:
        """What matched in two pictures, by a model that `explains`."""
        return self.model(bundle).encoder.explain(query, candidate)

    def _opened(self, gallery: str) -> Gallery:
        with self._turn:
            if gallery not in self._open:
                opened = Gallery.open(self._path(gallery))
                own = [model.bundle for model in self._models.values() if model.bundle.digest == opened.header.digest]
                self._open[gallery] = Gallery.open(opened.path, bundle=own[0]) if own else opened
            return self._open[gallery]

    def look(self, folder: Path) -> Source:
        """What a gallery that `vireid index` made holds.

        Raises:
            GalleryError: there is none, it is damaged, or what it holds are not whole pictures in its own folder.
        """
        opened = Gallery.open(folder)
        header, rows = opened.header, opened.table().to_dict("records")
        if header.milvus:
            raise GalleryError(
                f"gallery {folder} lies on a Milvus server; the service keeps galleries in its own folder"
            )
        if any(row.get("box") for row in rows):
            raise GalleryError(
                f"gallery {folder} holds parts of frames; the service takes whole pictures, so cut them out"
            )
        pictures = [
            Picture(row[KEY], Path(row["path"]), row["modality"], None if row["camera"] is None else str(row["camera"]))
            for row in rows
        ]
        return Source(header.digest, header.bundle, header.restricted, tuple(pictures))

    def copy(self, folder: Path, gallery: str) -> None:
        """Take over the index of a gallery outside the service."""
        with self.turn(gallery):
            shutil.copytree(folder, self._path(gallery), ignore=shutil.ignore_patterns(".lock"))

    def digests(self) -> dict[str, str]:
        """Name -> hash of the models that are configured."""
        return {name: self.model(name).bundle.digest for name in self.bundles}

    def bundle_of(self, gallery: str, bundle: str) -> str:
        """The name of the model that the gallery is searched with: `bundle`, or while the two are being exchanged and
        `bundle` is what it was before, the other one.

        Raises:
            GalleryError: the gallery was built with a model that is none of those.
        """
        if not self._exists(gallery):
            return bundle
        digest = self._opened(gallery).header.digest
        if digest == self.model(bundle).bundle.digest:
            return bundle
        with self._turn:
            others = [name for name, model in self._models.items() if model.bundle.digest == digest]
        if not others:
            raise GalleryError(f"gallery {gallery} was built with another model than bundle {bundle} is now")
        return others[0]

    @contextmanager
    def closed_to_writers(self, gallery: str) -> Iterator[None]:
        """For work of hours: who wants to write is refused rather than kept waiting; searches go on."""
        with self.turn(gallery):
            self._migrating.add(gallery)
        try:
            yield
        finally:
            with self.turn(gallery), self._turn:
                self._migrating.discard(gallery)
                self._open.pop(gallery, None)

    def refuse_migrating(self, gallery: str) -> None:
        """For a writer that has the gallery's turn.

        Raises:
            Problem: the gallery is closed to writers.
        """
        if gallery in self._migrating:
            raise Problem("migrating", "searches are answered; try again later", headers={"Retry-After": "600"})

    def migrate(self, gallery: str, bundles: tuple[str, str], *, track: Track = untracked) -> Migration | None:
        """Embed a gallery with the second of two models, beside what is there, and exchange; what was embedded before
        a stop is not embedded again. None where there was nothing to do.

        Raises:
            DataError: pictures of the gallery are not as they were; it is left as it was.
        """
        if not self._exists(gallery):
            return None
        old, new = (self.model(name) for name in bundles)
        opened = Gallery.open(self._path(gallery))
        if opened.header.digest == new.bundle.digest:
            return None
        opened = Gallery.open(self._path(gallery), bundle=old.bundle)
        return opened.migrate(new.bundle, encoders=(old.encoder, new.encoder), batch_size=_BATCH, track=track)

    def _exists(self, gallery: str) -> bool:
        return (self._path(gallery) / HEADER).is_file()

    def _path(self, gallery: str) -> Path:
        return self.folder / gallery / "index"

    def turn(self, gallery: str) -> threading.RLock:
        """The lock of a gallery: who holds it alone writes there."""
        with self._turn:
            return self._turns.setdefault(gallery, threading.RLock())
