"""Galleries: pictures indexed once and searched across modalities. Nothing that this module imports needs torch."""

from vireid.gallery.deletion import Receipt
from vireid.gallery.frames import read_frames
from vireid.gallery.gallery import Gallery
from vireid.gallery.lance import LanceStore
from vireid.gallery.memory import MemoryStore
from vireid.gallery.migration import Agreement, Migration
from vireid.gallery.ranges import Range
from vireid.gallery.results import Broken, Hit, IndexReport, SearchResult
from vireid.gallery.sheet import contact_sheet_html
from vireid.gallery.store import Entries, Found, GalleryStore
from vireid.gallery.verification import Verification, verify

__all__ = [
    "Agreement",
    "Broken",
    "Entries",
    "Found",
    "Gallery",
    "GalleryStore",
    "Hit",
    "IndexReport",
    "LanceStore",
    "MemoryStore",
    "Migration",
    "Range",
    "Receipt",
    "SearchResult",
    "Verification",
    "contact_sheet_html",
    "read_frames",
    "verify",
]
