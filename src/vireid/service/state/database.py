"""The database: opened, brought to the newest form, read and written in short transactions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.orm import Session

from vireid.errors import MissingExtraError, UsageError

__all__ = ["Database"]

_SCHEMES = ("sqlite", "postgresql")


class Database:
    """One database, named by a URL: `sqlite:///FILE` or `postgresql://USER@HOST/NAME`.

    Raises:
        UsageError: another kind of database, or a URL that cannot be read.
        MissingExtraError: PostgreSQL, and its driver is not installed.
    """

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)

    def migrate(self) -> None:
        """Bring the tables to the form of this version; what is there stays.

        Raises:
            UsageError: the database cannot be reached.
        """
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
        try:
            with self.engine.begin() as connection:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        except OperationalError as error:
            raise UsageError(f"the database cannot be used: {error.orig}") from error

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that is rolled back in the end."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that is committed in the end, or rolled back if the block fails.

        SQLite's one writer is claimed at the beginning: a transaction that reads first and writes later would fail
        when another one wrote in between.
        """
        engine = self.engine.execution_options(writes=True)
        with Session(engine, expire_on_commit=False) as session, session.begin():
            yield session

    def answers(self) -> bool:
        """Whether the database can be reached."""
        try:
            with self.engine.connect() as connection:
                connection.execute(text("select 1"))
        except OperationalError:
            return False
        return True

    def close(self) -> None:
        self.engine.dispose()


def _engine(address: str) -> Engine:
    try:
        url = make_url(address)
    except ArgumentError as error:
        raise UsageError(f"the database's URL cannot be read: {error}") from None
    scheme = url.get_backend_name()
    if scheme not in _SCHEMES:
        raise UsageError(f"databases of kind {scheme!r} are not supported (allowed: {', '.join(_SCHEMES)})")
    if scheme == "postgresql":
        try:
            return create_engine(url.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
        except ModuleNotFoundError as error:
            raise MissingExtraError("psycopg", "postgresql") from error
    engine = create_engine(url, connect_args={"timeout": 30})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun below
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
