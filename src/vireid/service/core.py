"""The service without HTTP: its parts, put together, started and stopped."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import structlog
from sqlalchemy import func, select

from vireid.errors import VireidError
from vireid.service.audit import Anchors, Ledger
from vireid.service.batching import Batcher
from vireid.service.explaining import Explainer
from vireid.service.galleries import Galleries, OpenEncoder
from vireid.service.jobs import Jobs
from vireid.service.keys import issue
from vireid.service.library import Library
from vireid.service.metrics import Metrics
from vireid.service.retention import Retention
from vireid.service.rights import Role
from vireid.service.searching import Searcher
from vireid.service.secrets import Secrets
from vireid.service.sessions import Sessions
from vireid.service.settings import Settings
from vireid.service.state import Database, GalleryRow, Key

__all__ = ["Core", "open_state"]

_log = structlog.get_logger("vireid.service")


def open_state(settings: Settings) -> tuple[Database, Ledger]:
    """Database, in the newest form, and audit of the service in a folder: what `keys` and `audit` need of it."""
    settings.folder.mkdir(parents=True, exist_ok=True)
    secrets = Secrets(settings.secrets)
    database = Database(settings.database_url)
    database.migrate()
    return database, Ledger(database, Anchors(settings.anchor_file, secrets), secrets)


class Core:
    """Everything that routes use. ready: models are loaded and threads run; stopping: no new work is taken."""

    def __init__(self, settings: Settings, *, opener: OpenEncoder | None = None) -> None:
        self.settings = settings
        self.database, self.ledger = open_state(settings)
        opener = opener or (lambda bundle: bundle.encoder(device=settings.device))
        self.galleries = Galleries(settings.folder / "galleries", settings.bundles, opener)
        self.library = Library(self.database, self.ledger, self.galleries, max_pixels=settings.limits.pixels)
        self.searcher = Searcher(self.database, self.ledger, self.galleries, settings)
        self.explainer = Explainer(self.ledger, self.galleries)
        self.jobs = Jobs(self.database, self.library, settings)
        self.retention = Retention(self.library, settings.retention)
        self.embedding = ThreadPoolExecutor(1, "embedding")
        self.decoding = ThreadPoolExecutor(2, "decoding")
        self.adding = ThreadPoolExecutor(2, "adding")  # of its own, so that uploads do not keep searches waiting
        self.metrics = Metrics()
        self.sessions = Sessions(settings.sessions)
        self.ready = False
        self.stopping = False
        self._batchers: dict[str, Batcher] = {}
        self._turn = threading.Lock()

    def first_key(self) -> str | None:
        """An admin key for all galleries if there is no key at all, else None."""
        with self.ledger.transaction() as (session, record):
            if session.scalar(select(func.count()).select_from(Key)):
                return None
            key, text = issue(session, holder="first admin", role=Role.ADMIN)
            record("key.issue", target_key=key.id, role=key.role, galleries=key.galleries, exports=False)
        return text

    def batcher(self, bundle: str) -> Batcher:
        """Where queries for this model meet. The first call opens the model; make it from a thread."""
        encoder = self.galleries.model(bundle).encoder
        with self._turn:
            if bundle not in self._batchers:
                self._batchers[bundle] = Batcher(
                    encoder,
                    size=self.settings.batch,
                    seconds=self.settings.batch_milliseconds / 1000,
                    threads=self.embedding,
                    told=self.metrics.batches.observe,
                )
            return self._batchers[bundle]

    def start(self) -> None:
        """Load the models of all galleries, tell the audit, and start the threads."""
        entry, anchored = self.ledger.unanchored()
        if entry != anchored:
            _log.warning("audit.unanchored", entries=entry, anchored=anchored)
        self.ledger.record("service.start")
        with self.database.read() as session:
            rows = list(session.scalars(select(GalleryRow).order_by(GalleryRow.id)))
        for row in rows:
            try:
                self.galleries.model(row.bundle)
                self.galleries.bundle_of(row.id, row.bundle)
            except VireidError as error:  # its searches answer `model-refused`; the other galleries work
                _log.error("gallery.unusable", gallery=row.id, error=str(error))
        self.jobs.start()
        self.retention.start()
        self.ready = True

    def stop(self) -> None:
        """Finish what is at hand and close."""
        self.stopping, self.ready = True, False
        self.jobs.stop()
        self.retention.stop()
        self.embedding.shutdown()
        self.decoding.shutdown()
        self.adding.shutdown()
        try:
            self.ledger.record("service.stop")
        finally:  # also where the disk is full or the database away
            self.database.close()
