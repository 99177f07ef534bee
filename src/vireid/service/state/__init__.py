"""What the service remembers besides pictures and vectors: a database, SQLite by default, PostgreSQL by URL."""

from vireid.service.state.database import Database
from vireid.service.state.tables import (
    Alarm,
    AuditEntry,
    Base,
    GalleryRow,
    ImageRow,
    Job,
    JobRow,
    Key,
    Mark,
    Purpose,
    Replay,
    Search,
)

__all__ = [
    "Alarm",
    "AuditEntry",
    "Base",
    "Database",
    "GalleryRow",
    "ImageRow",
    "Job",
    "JobRow",
    "Key",
    "Mark",
    "Purpose",
    "Replay",
    "Search",
]
