"""The tables, on SQLite and on PostgreSQL."""

import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import func, inspect, select
from sqlalchemy.exc import IntegrityError

from vireid.errors import UsageError
from vireid.service.state import Base, Database, GalleryRow, ImageRow, Key


def gallery(name: str = "entrance") -> GalleryRow:
    return GalleryRow(
        id=name,
        bundle="demo",
        digest="0" * 64,
        restricted=False,
        retention_days=30,
        search_retention_days=90,
        created=datetime.now(UTC),
    )


def image(number: int, owner: str = "entrance") -> ImageRow:
    now = datetime.now(UTC)
    return ImageRow(
        gallery=owner, id=f"{number:064x}", suffix=".png", modality="visible", camera=None, added=now, expires=now
    )


def test_migrations_make_the_tables_that_the_code_has(database: Database) -> None:
    found = inspect(database.engine)
    tables = {name for name in found.get_table_names() if name != "alembic_version"}
    assert tables == set(Base.metadata.tables)
    for name, table in Base.metadata.tables.items():
        columns = {column["name"]: column["nullable"] for column in found.get_columns(name)}
        assert columns == {column.name: column.nullable for column in table.columns}
        assert {index["name"] for index in found.get_indexes(name)} == {index.name for index in table.indexes}
    database.migrate()  # again: nothing to do, nothing lost


def test_times_come_back_as_they_went_in_whatever_their_zone(database: Database) -> None:
    there = datetime(2026, 3, 1, 23, 30, tzinfo=timezone(timedelta(hours=-7)))
    with database.write() as session:
        session.add(Key(
            id="a", digest="0" * 64, holder="h", role="reader", galleries=["*"], exports=False,
            created=there, expires=there, revoked=None,
        ))  # fmt: skip
    with database.read() as session:
        found = session.get_one(Key, "a")
        assert found.created == there
        assert found.created.tzinfo is UTC
        assert session.scalar(select(func.count()).select_from(Key).where(Key.expires <= there)) == 1
        assert session.scalar(select(func.count()).select_from(Key).where(Key.expires < there)) == 0


def test_what_belongs_to_a_gallery_goes_with_it(database: Database) -> None:
    with database.write() as session:
        session.add(gallery())
        session.flush()
        session.add(image(1))
    with pytest.raises(IntegrityError), database.write() as session:
        session.add(image(2, "nowhere"))
    with database.write() as session:
        session.delete(session.get_one(GalleryRow, "entrance"))
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(ImageRow)) == 0


def test_a_block_that_fails_leaves_nothing(database: Database) -> None:
    with pytest.raises(RuntimeError), database.write() as session:
        session.add(gallery())
        session.flush()
        raise RuntimeError
    with database.read() as session:
        assert session.get(GalleryRow, "entrance") is None


def test_writers_that_read_first_wait_for_each_other(database: Database) -> None:
    with database.write() as session:
        session.add(gallery())
    failures = []

    def add(start: int) -> None:
        try:
            for number in range(start, start + 10):
                with database.write() as session:
                    session.scalar(select(func.count()).select_from(ImageRow))
                    session.add(image(number))
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=add, args=(100 * place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(ImageRow)) == 40


def test_a_database_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="mysql"):
        Database("mysql://root@localhost/x")
    with pytest.raises(UsageError, match="URL"):
        Database("no url")
    with pytest.raises(UsageError, match="cannot be used"):
        Database(f"sqlite:///{tmp_path}/missing/state.sqlite3").migrate()
    with pytest.raises(UsageError, match="cannot be used"):
        Database("postgresql://nobody@127.0.0.1:1/none").migrate()


def test_deleted_rows_are_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "state.sqlite3"
    database = Database(f"sqlite:///{file}")
    database.migrate()
    with database.write() as session:
        session.add(gallery("a-name-to-look-for"))
    with database.write() as session:
        session.delete(session.get_one(GalleryRow, "a-name-to-look-for"))
    database.close()
    assert b"a-name-to-look-for" not in file.read_bytes()
