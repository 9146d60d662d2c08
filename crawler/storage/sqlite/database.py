"""Connections, pragmas and migrations.

Invariants: one connection of one process writes (SQLite 3.7.0-3.51.2 can damage a WAL that two connections write or
checkpoint at once); every other connection is opened read-only and sees what is committed. Only SQLite ever opens the
file: whoever else closes a handle on it drops SQLite's POSIX locks (https://sqlite.org/howtocorrupt.html, 2.2), and
the next program to close the database would delete the WAL under a crawl that runs.
"""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from functools import cache
from importlib.resources import files
from pathlib import Path

import aiosqlite

from crawler.errors import DatabaseFailedError, no_crawl_in
from crawler.storage.sqlite.companions import companion
from crawler.storage.sqlite.views import STORED_VIEWS, are_outdated, drop_views, renew_views

APPLICATION_ID = 0x43524C52  # "CRLR", in the file's header: tells a crawl database from any other SQLite file
MIN_SQLITE = (3, 35, 0)  # RETURNING
_MIN_SIZE = 512  # bytes: the smallest page; SQLite takes a file of one byte for an empty database
_WRITER_PATIENCE_S = 30.0  # while another program writes: a crawl has time
_READER_PATIENCE_S = 10.0

# New URLs change pages all over their index. What several commits change in the same page goes into the database once,
# when the log is full: so that is not small. Its file is overwritten then, and not made anew.
_MAX_LOG_BYTES = 128 * 1024 * 1024
_WRITER_PRAGMAS = f"""
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA cache_size = -65536;
PRAGMA temp_store = MEMORY;
PRAGMA journal_size_limit = {_MAX_LOG_BYTES};
PRAGMA wal_autocheckpoint = {_MAX_LOG_BYTES // 4096};
"""


@asynccontextmanager
async def open_writer(path: Path) -> AsyncIterator[aiosqlite.Connection]:
    """The one connection that writes. Creates the file if it is missing, and brings its schema up to date.

    Raises `DatabaseFailedError` if the file is not a crawl database, is newer than this program, or cannot be used.
    """
    check_sqlite()
    check_file(path)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = await connect(str(path), uri=False, patience_s=_WRITER_PATIENCE_S)
    try:
        with explained(path):
            await _prepare(connection, path)
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def open_reader(path: Path, *, any_schema: bool = False) -> AsyncIterator[aiosqlite.Connection]:
    """A connection that cannot write. Raises `DatabaseFailedError` if there is no crawl database.

    A schema older than this program's is an error, too, unless `any_schema`.
    """
    check_sqlite()
    nothing = no_crawl_in(path)
    if not check_file(path):
        raise nothing
    with explained(path):
        connection = await connect(read_only_uri(path), uri=True, patience_s=_READER_PATIENCE_S)
    try:
        with explained(path):
            version = await _identify(connection, path)
            if not version and not await _has_tables(connection):
                raise nothing
            if version < schema_version() and not any_schema:
                raise DatabaseFailedError(f"{path} has an older schema; `crawler crawl --db {path}` upgrades it")
        yield connection
    finally:
        await connection.close()


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and the file system into one line that names the cause."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise DatabaseFailedError(f"{path}: {_explanation(error)}") from error


def schema_version() -> int:
    """The schema that this program writes."""
    return len(_migrations())


def check_sqlite() -> None:
    """Raise `DatabaseFailedError` if Python's SQLite is too old."""
    if sqlite3.sqlite_version_info < MIN_SQLITE:
        wanted = ".".join(map(str, MIN_SQLITE))
        raise DatabaseFailedError(
            f"this Python has SQLite {sqlite3.sqlite_version}; version {wanted} or newer is needed"
        )


def check_file(path: Path) -> int:
    """The size in bytes of a file that may be a database; 0 if a new one can be created there.

    Does not open the file, since opening a FIFO would block. Raises `DatabaseFailedError` for a folder, a device and
    the like, and for a file too small to be a database.
    """
    with explained(path):
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return 0
    if stat.S_ISDIR(found.st_mode):
        raise DatabaseFailedError(f"{path} is a folder; name a file with --db")
    if not stat.S_ISREG(found.st_mode):
        raise DatabaseFailedError(f"{path} is not a regular file; choose another --db")
    if 0 < found.st_size < _MIN_SIZE:
        raise DatabaseFailedError(f"{path} is not a crawl database; choose another --db")
    return found.st_size


async def connect(target: str, *, uri: bool, patience_s: float) -> aiosqlite.Connection:
    """Connects once without a thread first: if connecting fails, aiosqlite's thread may call into a closed loop.

    So it may where connecting is cancelled, as by Ctrl-C: what is being opened is closed before that goes on.
    """
    sqlite3.connect(target, uri=uri).close()
    opening = asyncio.create_task(_opened(target, uri=uri, patience_s=patience_s))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        with suppress(sqlite3.Error):
            await (await opening).close()
        raise


async def _opened(target: str, *, uri: bool, patience_s: float) -> aiosqlite.Connection:
    return await aiosqlite.connect(target, uri=uri, isolation_level=None, timeout=patience_s)


def read_only_uri(path: Path) -> str:
    """A reader of a WAL database creates its -shm file; if the folder forbids that, it opens the file as immutable.

    SQLite then takes no locks and ignores the WAL, so this is only for a database that was closed cleanly.
    """
    uri = f"{path.absolute().as_uri()}?mode=ro"
    if companion(path, "-wal").exists() or _opens(uri):
        return uri
    return f"{uri}&immutable=1"


def _opens(uri: str) -> bool:
    with closing(sqlite3.connect(uri, uri=True, timeout=0)) as connection:
        try:
            connection.execute("PRAGMA schema_version")
        except sqlite3.Error as error:
            return error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
    return True


async def _prepare(connection: aiosqlite.Connection, path: Path) -> None:
    version = await _identify(connection, path)
    await connection.executescript(_WRITER_PRAGMAS)
    if version < schema_version():
        await connection.executescript(drop_views())
    for number, script in _steps(version):
        # One transaction per step: after a kill between two of them, the next start continues with the second.
        await connection.executescript(
            f"BEGIN IMMEDIATE; {script}\n"
            f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number}; COMMIT;"
        )
    if are_outdated(await connection.execute_fetchall(STORED_VIEWS)):
        await connection.executescript(renew_views())


async def _identify(connection: aiosqlite.Connection, path: Path) -> int:
    """The file's schema version; 0 for a new file."""
    application_id = await _pragma(connection, "application_id")
    version = await _pragma(connection, "user_version")
    if application_id == APPLICATION_ID:
        if version > schema_version():
            raise DatabaseFailedError(f"{path} was written by a newer version of crawler; upgrade crawler")
        return version
    if application_id or version or await _has_tables(connection):
        raise DatabaseFailedError(f"{path} is a SQLite file but not a crawl database; choose another --db")
    return 0


async def _pragma(connection: aiosqlite.Connection, name: str) -> int:
    async with connection.execute(f"PRAGMA {name}") as cursor:
        row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def _has_tables(connection: aiosqlite.Connection) -> bool:
    async with connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1") as cursor:
        return await cursor.fetchone() is not None


def _steps(version: int) -> list[tuple[int, str]]:
    """The scripts that lead from a schema to today's, each with the version that it leads to.

    A new database is made in one, with the comments that `.schema` shows: ALTER TABLE would keep none.
    """
    if version == 0:
        return [(schema_version(), files(__package__).joinpath("schema.sql").read_text(encoding="utf-8"))]
    return list(enumerate(_migrations()[version:], start=version + 1))


@cache
def _migrations() -> list[str]:
    folder = files("crawler.storage.sqlite.migrations")
    scripts = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda entry: entry.name)
    return [script.read_text(encoding="utf-8") for script in scripts]


def _explanation(error: sqlite3.Error | OSError) -> str:
    if isinstance(error, OSError):
        return f"{error.strerror or error}; choose another --db or free some space"
    text = str(error)
    if "not a database" in text:
        return "not a crawl database; choose another --db"
    if "malformed" in text or "corrupt" in text:
        return "the database is damaged; restore a backup, or recover what is readable with `sqlite3 FILE .recover`"
    if "full" in text:
        return "the disk is full; committed data is safe; free some space and run the same command again"
    if "readonly" in text or "unable to open" in text:
        return f"{text}; check that the file and its folder are writable"
    if "locked" in text:
        return "another program has locked the database; close it and run the same command again"
    return text
