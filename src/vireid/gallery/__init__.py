"""Galleries: pictures indexed once and searched across modalities. Nothing that this module imports needs torch."""

from vireid.gallery.exact import ExactStore
from vireid.gallery.gallery import Gallery
from vireid.gallery.results import Broken, Hit, IndexReport, SearchResult
from vireid.gallery.sheet import contact_sheet_html
from vireid.gallery.store import Entries, Found, GalleryStore

__all__ = [
    "Broken",
    "Entries",
    "ExactStore",
    "Found",
    "Gallery",
    "GalleryStore",
    "Hit",
    "IndexReport",
    "SearchResult",
    "contact_sheet_html",
]
