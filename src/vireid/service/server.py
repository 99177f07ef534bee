"""The process: one service, one folder, one port; stopped by SIGTERM or Ctrl-C after what is at hand."""

from __future__ import annotations

import ipaddress
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
import uvicorn
from filelock import FileLock, Timeout

from vireid.errors import UsageError
from vireid.service.app import create_app
from vireid.service.core import Core

__all__ = ["Listening", "alone_in", "serve"]

_LOCK = ".service.lock"
_GRACE = 30  # seconds that running requests get when the service is stopped


@dataclass(frozen=True)
class Listening:
    """Where the service listens. Another address than this machine's own needs TLS, by itself or by a proxy.

    Raises:
        UsageError: an address that others reach, without either; a certificate without its key.
    """

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None
    behind_proxy: bool = False

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise UsageError("TLS needs both, --tls-certificate and --tls-key")
        if not self._own() and self.certificate is None and not self.behind_proxy:
            raise UsageError(
                f"{self.host} is reached by others, and keys would travel in clear text; give --tls-certificate and "
                "--tls-key, or --behind-proxy where another server speaks TLS"
            )

    def _own(self) -> bool:
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.certificate else 'http'}://{host}:{self.port}"


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Be the only service of a folder.

    Raises:
        UsageError: another process serves it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UsageError(f"{folder} is being served by another process") from None
    try:
        yield
    finally:
        lock.release()


def serve(core: Core, listening: Listening) -> None:
    """Answer until the process is told to stop."""
    _log_json()
    uvicorn.run(
        create_app(core, tls=listening.certificate is not None or listening.behind_proxy),
        host=listening.host,
        port=listening.port,
        ssl_certfile=listening.certificate,
        ssl_keyfile=listening.key,
        proxy_headers=listening.behind_proxy,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=_GRACE,
    )


def _log_json() -> None:
    """One JSON object a line, on standard error."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
