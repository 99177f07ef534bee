"""The routes, one file a subject. What each asks for stands in `vireid.service.rights`."""

from vireid.service.routes import audit, galleries, health, images, jobs, keys, searches

__all__ = ["ROUTERS"]

ROUTERS = (
    health.router,
    galleries.router,
    images.router,
    searches.router,
    jobs.router,
    keys.router,
    audit.router,
)
