"""Galleries: pictures indexed once and searched across modalities. Nothing that this module imports needs torch."""

from vireid.gallery.exact import ExactStore
from vireid.gallery.gallery import Gallery
from vireid.gallery.results import Broken, Hit, IndexReport, SearchResult
from vireid.gallery.sheet import contact_sheet_html
from vireid.gallery.store import Entries, Found, GalleryStore
from vireid.gallery.verification import Verification, verify

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
    "Verification",
    "contact_sheet_html",
    "verify",
]
