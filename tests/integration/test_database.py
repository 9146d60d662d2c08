"""Opening the crawl database: migrations, and files that are refused and left as they are."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from crawler.errors import DatabaseFailedError
from crawler.storage.database import APPLICATION_ID, open_reader, open_writer, schema_version
from crawler.storage.store import open_store

TABLES = {"runs", "hosts", "origins", "urls", "fetches", "pages", "links", "bodies"}


def sql(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def value(path: Path, statement: str) -> object:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchone()[0]


async def make(path: Path) -> None:
    async with open_writer(path):
        pass


async def test_a_new_file_gets_the_newest_schema(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "crawl.db"
    await make(path)
    with closing(sqlite3.connect(path)) as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert names == TABLES
    assert value(path, "PRAGMA application_id") == APPLICATION_ID
    assert value(path, "PRAGMA user_version") == schema_version() >= 1
    assert value(path, "PRAGMA journal_mode") == "wal"
    assert value(path, "PRAGMA integrity_check") == "ok"


async def test_an_empty_file_is_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "crawl.db"
    path.touch()
    await make(path)
    assert value(path, "PRAGMA user_version") == schema_version()


async def test_opening_again_keeps_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "crawl.db"
    await make(path)
    sql(path, "INSERT INTO hosts (name) VALUES ('a.test')")
    await make(path)
    assert value(path, "SELECT name FROM hosts") == "a.test"


async def test_a_schema_that_a_kill_left_halfway_is_completed(tmp_path: Path) -> None:
    path = tmp_path / "crawl.db"
    sql(path, f"PRAGMA application_id = {APPLICATION_ID}")
    await make(path)
    assert value(path, "PRAGMA user_version") == schema_version()


def a_text(path: Path) -> None:
    path.write_text("not a database\n" * 100)


def a_short_text(path: Path) -> None:
    path.write_text("x")


def other_tables(path: Path) -> None:
    sql(path, "CREATE TABLE recipes (name TEXT)")


def other_tables_in_wal_mode(path: Path) -> None:
    sql(path, "PRAGMA journal_mode = WAL", "CREATE TABLE recipes (name TEXT)")


def another_application(path: Path) -> None:
    sql(path, "PRAGMA application_id = 7")


def another_version_counter(path: Path) -> None:
    sql(path, "PRAGMA user_version = 3")


def a_newer_schema(path: Path) -> None:
    sql(path, f"PRAGMA application_id = {APPLICATION_ID}", f"PRAGMA user_version = {schema_version() + 1}")


REFUSED: list[tuple[Callable[[Path], None], str]] = [
    (a_text, "not a crawl database"),
    (a_short_text, "not a crawl database"),
    (other_tables, "not a crawl database"),
    (other_tables_in_wal_mode, "not a crawl database"),
    (another_application, "not a crawl database"),
    (another_version_counter, "not a crawl database"),
    (a_newer_schema, "newer version"),
]


@pytest.mark.parametrize(("write", "why"), REFUSED)
async def test_a_file_that_is_no_crawl_database_is_refused_and_left_as_it_is(
    tmp_path: Path, write: Callable[[Path], None], why: str
) -> None:
    path = tmp_path / "crawl.db"
    write(path)
    before = path.read_bytes()
    for opened in (open_writer(path), open_reader(path)):
        with pytest.raises(DatabaseFailedError, match=why) as raised:
            await opened.__aenter__()
        assert str(path) in str(raised.value)
        assert "\n" not in str(raised.value)
    assert path.read_bytes() == before


async def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatabaseFailedError, match="unable to open"):
        await make(tmp_path)


async def test_a_place_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseFailedError, match="choose another --db"):
        await make(tmp_path / "file" / "crawl.db")


async def test_a_folder_in_which_nobody_can_write_is_refused() -> None:
    with pytest.raises(DatabaseFailedError, match="unable to open"):
        await make(Path("/proc/self/crawl.db"))  # root can write where modes forbid it, but not here


async def test_a_damaged_database_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "crawl.db"
    await make(path)
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 4000)
    with pytest.raises(DatabaseFailedError, match=r"damaged|not a crawl database"):
        async with open_store(path) as store:
            await store.counts()


async def test_a_reader_needs_a_database(tmp_path: Path) -> None:
    path = tmp_path / "crawl.db"
    with pytest.raises(DatabaseFailedError, match="there is no"):
        await open_reader(path).__aenter__()
    assert not path.exists()


async def test_a_reader_does_not_update_an_older_schema(tmp_path: Path) -> None:
    path = tmp_path / "crawl.db"
    sql(path, f"PRAGMA application_id = {APPLICATION_ID}")
    with pytest.raises(DatabaseFailedError, match="older schema"):
        await open_reader(path).__aenter__()


async def test_a_reader_cannot_write(tmp_path: Path) -> None:
    path = tmp_path / "crawl.db"
    await make(path)
    async with open_reader(path) as reader:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await reader.execute("INSERT INTO hosts (name) VALUES ('a.test')")


@pytest.mark.parametrize("name", ["with space.db", "a?mode=memory.db", "a#b.db", "100%41.db", "ü.db", "file:x.db"])
async def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    async with open_store(path) as store:
        await store.begin_run({}, 1.0)
    assert path.is_file()
    async with open_reader(path) as reader:
        assert list(await reader.execute_fetchall("SELECT count(*) FROM runs")) == [(1,)]
