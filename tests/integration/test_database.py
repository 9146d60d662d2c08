"""Opening the crawl database: migrations, and files that are refused and left as they are."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from crawler.errors import DatabaseBusyError, DatabaseFailedError
from crawler.records import Horizon, Target
from crawler.storage.sqlite.database import APPLICATION_ID, connect, open_reader, open_writer, schema_version
from crawler.storage.sqlite.lock import database_lock
from crawler.storage.sqlite.store import open_store

SCRIPTS = sorted((Path(__file__).parents[2] / "crawler/storage/sqlite/migrations").glob("*.sql"))
TABLES = {
    "extraction_rules",
    "extracts",
    "extract_misses",
    "change_log",
    "change_log_pruned",
    "checks",
    "heads",
    "places",
    "sitemap_entries",
    "runs",
    "hosts",
    "origins",
    "urls",
    "warc_files",
    "warc_payloads",
    "warc_urls",
    "fetches",
    "pages",
    "links",
    "bodies",
}


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


@pytest.mark.parametrize("path", [".", "/", "", "..", "/dev/null", "/dev/full"])
async def test_what_is_no_regular_file_is_refused(path: str) -> None:
    for opened in (open_writer(Path(path)), open_reader(Path(path))):
        with pytest.raises(DatabaseFailedError, match=r"is a folder|not a regular file"):
            await opened.__aenter__()


async def test_a_fifo_is_refused_without_waiting_for_its_other_end(tmp_path: Path) -> None:
    path = tmp_path / "crawl.db"
    os.mkfifo(path)
    for opened in (open_writer(path), open_reader(path)):
        with pytest.raises(DatabaseFailedError, match="not a regular file"):
            await opened.__aenter__()


async def test_another_program_that_closes_the_database_leaves_the_log_of_a_crawl_that_runs(tmp_path: Path) -> None:
    """The last one to close deletes the log, and the crawl's own lock is all that tells it that it is not the last."""
    path = tmp_path / "crawl.db"
    query = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM hosts').fetchall()"
    async with open_store(path) as store:
        await store.add([Target(url="http://a.test/", host="a.test")], 0.0)
        async with open_reader(path):
            pass
        with pytest.raises(DatabaseBusyError), database_lock(path), database_lock(path):
            pass
        subprocess.run([sys.executable, "-c", query, str(path)], check=True)
        assert path.with_name("crawl.db-wal").exists()


@pytest.mark.parametrize(("kept", "why"), [(1, "not a crawl database"), (5000, "damaged"), (20_000, "damaged")])
async def test_a_database_that_was_cut_is_named_as_such(tmp_path: Path, kept: int, why: str) -> None:
    path = tmp_path / "crawl.db"
    await make(path)
    with path.open("r+b") as file:
        file.truncate(kept)
    with pytest.raises(DatabaseFailedError, match=why):
        async with open_reader(path) as reader:
            await reader.execute_fetchall("SELECT * FROM urls")


async def test_a_reader_of_a_file_without_a_crawl_says_so(tmp_path: Path) -> None:
    empty, vacuumed = tmp_path / "empty.db", tmp_path / "vacuumed.db"
    empty.touch()
    sql(vacuumed, "VACUUM")
    for path in (empty, vacuumed):
        with pytest.raises(DatabaseFailedError, match="there is no crawl in"):
            await open_reader(path).__aenter__()


@pytest.fixture
def read_only_folder() -> Iterator[Path]:
    """A folder in which this process may make nothing; root gives up its rights until the test ends."""
    with TemporaryDirectory(dir="/tmp") as name:  # pytest's own folders are closed to other users
        folder = Path(name)
        user = os.geteuid()
        yield folder
        if user == 0:
            os.seteuid(0)
        folder.chmod(0o755)


def give_up_writing(folder: Path) -> None:
    for file in folder.iterdir():
        file.chmod(0o444)
    folder.chmod(0o555)
    if os.geteuid() == 0:
        os.seteuid(65534)


async def test_a_database_that_was_cleanly_closed_is_read_where_nothing_can_be_written(read_only_folder: Path) -> None:
    path = read_only_folder / "crawl.db"
    await make(path)
    sql(path, "INSERT INTO hosts (name) VALUES ('a.test')")
    give_up_writing(read_only_folder)
    async with open_reader(path) as reader:
        assert list(await reader.execute_fetchall("SELECT name FROM hosts")) == [("a.test",)]


async def test_a_log_that_cannot_be_read_is_not_overlooked(read_only_folder: Path) -> None:
    path = read_only_folder / "crawl.db"
    await make(path)
    path.with_name("crawl.db-wal").write_bytes(b"what a run that was killed has left")
    give_up_writing(read_only_folder)
    with pytest.raises(DatabaseFailedError, match="check that the file and its folder are writable"):
        await open_reader(path).__aenter__()


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
    sql(path, f"PRAGMA application_id = {APPLICATION_ID}", "CREATE TABLE urls (id INTEGER)")
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


async def test_a_new_database_is_the_same_as_one_that_came_through_all_migrations(tmp_path: Path) -> None:
    """schema.sql makes the new one: what it says, with its comments taken out, is what the migrations have led to."""
    new, migrated = tmp_path / "new.db", tmp_path / "migrated.db"
    await make(new)
    with closing(sqlite3.connect(migrated)) as connection:
        for script in SCRIPTS:
            connection.executescript(script.read_text())
    assert schema_of(new) == schema_of(migrated)
    assert value(new, "PRAGMA user_version") == len(SCRIPTS)


def schema_of(path: Path) -> dict[str, tuple[str, list[object]]]:
    """Of each table, index and trigger, in the order of their names: its statement, and its columns in their order."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute(
            "SELECT type, name, sql FROM sqlite_schema WHERE type <> 'view' ORDER BY name"
        ).fetchall()
        return {
            f"{kind} {name}": (normalized(sql or ""), connection.execute(f"PRAGMA {kind}_xinfo({name})").fetchall())
            for kind, name, sql in found
        }


def normalized(statement: str) -> str:
    return re.sub(r"\s*([(),])\s*", r"\1", " ".join(re.sub(r"--[^\n]*", "", statement).split()))


@pytest.mark.parametrize("version", range(1, schema_version()))
async def test_a_database_of_an_earlier_schema_is_brought_up_to_date_and_gone_on_with(
    tmp_path: Path, version: int
) -> None:
    path = tmp_path / "crawl.db"
    with closing(sqlite3.connect(path)) as connection:
        for script in SCRIPTS[:version]:
            connection.executescript(script.read_text())
        connection.executescript(
            f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version};"
            "INSERT INTO hosts (name) VALUES ('a.test');"
            "INSERT INTO urls (url, host_id, kind, status, depth, discovered_at, fetched_at, next_fetch_at) VALUES"
            " ('http://a.test/1', 1, 'page', 'fetched', 0, 5, 5, NULL),"
            " ('http://a.test/2', 1, 'page', 'gone', 0, 5, 5, NULL),"
            " ('http://a.test/3', 1, 'page', 'pending', 0, 5, NULL, 5),"
            " ('http://a.test/robots.txt', 1, 'robots', 'fetched', 0, 5, 5, NULL)"
        )
        if version > 1:  # which plans this itself
            connection.execute("UPDATE urls SET revisit_at = 9 WHERE status <> 'pending' AND kind = 'page'")
            connection.commit()
    day_s = 86400.0
    async with open_store(path) as store:
        await store.begin_run({"scope": {"max_pages": None}}, 2 * day_s)
        horizon = Horizon(started_at=2 * day_s, fetched_before=0.0, revisit_before=2 * day_s)
        assert {claim.url for claim in await store.stale_urls([1], 9, horizon)} == {
            "http://a.test/1",
            "http://a.test/2",
        }
        assert {claim.url for claim in await store.due_urls([1], 9, day_s)} == {"http://a.test/3"}
    assert value(path, "PRAGMA user_version") == schema_version()
    assert value(path, "PRAGMA integrity_check") == "ok"


def test_connecting_that_is_cancelled_leaves_no_thread_that_calls_into_a_closed_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C may come while a command opens its database."""
    told: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda error: told.append(repr(error.exc_value)))

    async def connect_for(turns: int) -> None:
        connecting = asyncio.create_task(connect(str(tmp_path / "crawl.db"), uri=False, patience_s=1))
        for _turn in range(turns):
            await asyncio.sleep(0)
        connecting.cancel()
        with suppress(asyncio.CancelledError):
            await connecting

    for attempt in range(100):
        asyncio.run(connect_for(attempt % 4))
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(10)
    assert told == []
