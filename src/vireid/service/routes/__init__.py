"""The routes, one file a subject. What each asks for stands in `vireid.service.rights`."""

from vireid.service.routes import audit, galleries, health, images, jobs, keys, searches, subjects, verifications

__all__ = ["ROUTERS"]

ROUTERS = (
    health.router,
    galleries.router,
    images.router,
    searches.router,
    verifications.router,
    subjects.router,
    jobs.router,
    keys.router,
    audit.router,
)
