"""The console: pages for people, over the same functions, rights and audit as the interface for programs.

Pages are put together here and need no script; `static/console.js` adds dropping, pasting, the proposed modality, and
progress that moves by itself.
"""

from vireid.service.console import audit, entrance, galleries, images, jobs, keys, searches

__all__ = ["PAGES"]

PAGES = (
    entrance.router,
    entrance.signed_in,
    galleries.router,
    images.router,
    searches.router,
    jobs.router,
    keys.router,
    audit.router,
)
