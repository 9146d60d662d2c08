"""What is derived from a crawl database stands in a file beside it: `crawl.db.derived`. It may be deleted at any time.

The crawl pays nothing for it: whoever needs it brings it up to date, through a connection that cannot write the crawl's
file. Invariants:

- One process writes it at a time, the holder of `crawl.db.derived.lock`; all others open it read-only. (Two connections
  that write or checkpoint a write-ahead log at once can damage it in SQLite before 3.51.3.)
- How far an index has come (`indexes.upto`) is committed with what brought it there, so a build that is killed at any
  instant continues where it was.
- The newest row that an index took in must still be in the crawl's file, unchanged. If it is not, that file was
  replaced, restored from an older copy or pruned, and the index is rebuilt. So is a file that is damaged or of another
  version. A file that this program did not make is left alone.

Every question can be answered without this file; it only takes longer.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
import stat
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiosqlite

from crawler.archive.indexes import Index
from crawler.storage.sqlite.companions import companion
from crawler.storage.sqlite.database import connect, read_only_uri

APPLICATION_ID = 0x43524C44  # "CRLD", in the file's header
VERSION = 1  # of the table of indexes; each index has one of its own
_APPLICATION_ID_AT = 68  # bytes into the file (https://sqlite.org/fileformat.html, 1.3)

_PRAGMAS = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA cache_size = -65536;
PRAGMA journal_size_limit = 67108864;
"""
_BEGIN_FILE = f"""
BEGIN;
CREATE TABLE indexes (name TEXT PRIMARY KEY, version INTEGER NOT NULL, upto INTEGER NOT NULL, mark TEXT) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
COMMIT;
"""
_STATE = "SELECT upto, mark FROM indexes WHERE name = ? AND version = ?"
_COME_TO = "INSERT OR REPLACE INTO indexes (name, version, upto, mark) VALUES (?, ?, ?, ?)"

PATIENCE_S = 10.0  # for another process that brings it up to date
_POLL_S = 0.05
_SQLITE_PATIENCE_S = 10.0
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class UnavailableError(Exception):
    """The file cannot be updated; the message says why, on one line."""


def derived_file(db: Path) -> Path:
    """The file beside the crawl database `db`."""
    return companion(db, ".derived")


async def bring_up_to_date(db: Path, index: Index, *, patience_s: float = PATIENCE_S) -> None:
    """Take in everything that the crawl into `db` has committed by now, batch by batch. Creates the file if needed.

    Raises `UnavailableError` if another process is still at it after `patience_s` seconds, the folder cannot be
    written, the disk is full, or a file of that name was made by something else.
    """
    path = derived_file(db)
    try:
        async with _held(db, patience_s):
            try:
                await _take_in_all(path, db, index)
            except (sqlite3.DatabaseError, _OutdatedError) as error:
                if not (is_damage(error) or isinstance(error, _OutdatedError)) or not _is_ours(path):
                    raise
                _remove(path)
                await _take_in_all(path, db, index)
    except (sqlite3.Error, OSError, _OutdatedError) as error:
        raise UnavailableError(f"{path} cannot be used: {_reason(error)}") from error


async def discard(db: Path) -> None:
    """Delete the file, to be rebuilt when it is needed; after a prune it would mostly list what is gone.

    It stays if another process is updating it, or if this program did not make it.
    """
    path = derived_file(db)
    try:
        if inode_of(path) is None:
            return
        async with _held(db, 0.0):
            if _is_ours(path):
                _remove(path)
    except (UnavailableError, OSError):
        return  # it still gives right answers, and is only larger than it need be


def inode_of(path: Path) -> int | None:
    """Tells the file from another one of the same name; None if there is no regular file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino if stat.S_ISREG(found.st_mode) else None


def is_damage(error: Exception) -> bool:
    """Whether SQLite found a file damaged, or not to be a database at all."""
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED


class _OutdatedError(Exception):
    """Another version of this program made the file."""


async def _take_in_all(path: Path, db: Path, index: Index) -> None:
    async with _opened(path, db) as connection:
        upto: int | None = await _begin(connection, index)
        newest = await _value(connection, index.newest) or 0  # what is there now: a crawl may go on as fast as we do
        while upto is not None and upto < newest:
            upto = await _take_in(connection, index, upto)


async def _begin(connection: aiosqlite.Connection, index: Index) -> int:
    """How far the index has come; 0 if it is new or has to be rebuilt."""
    rows = list(await connection.execute_fetchall(_STATE, (index.name, index.version)))
    if rows and (not rows[0][0] or await _value(connection, index.mark, rows[0][0]) == rows[0][1]):
        return int(rows[0][0])
    key, candidate = index.columns
    async with _transaction(connection):
        await connection.execute(f"DROP TABLE IF EXISTS main.{index.name}")
        await connection.execute(
            f"CREATE TABLE main.{index.name} ({key} INTEGER NOT NULL, {candidate} INTEGER NOT NULL,"
            f" PRIMARY KEY ({key}, {candidate})) WITHOUT ROWID"
        )
        await connection.execute(_COME_TO, (index.name, index.version, 0, None))
    return 0


async def _take_in(connection: aiosqlite.Connection, index: Index, after: int) -> int | None:
    """Take in one batch; returns how far the index has come, None if a prune left nothing to take in.

    Between two batches the crawl's log can be reset.
    """
    async with _transaction(connection):
        upto: int | None = await _value(connection, index.bound, after)
        if upto is None or upto <= after:
            return None
        await connection.execute(index.take_in, (after, upto))
        await connection.execute(
            _COME_TO, (index.name, index.version, upto, await _value(connection, index.mark, upto))
        )
    return upto


@asynccontextmanager
async def _opened(path: Path, db: Path) -> AsyncIterator[aiosqlite.Connection]:
    """The only connection that writes, with the crawl's file attached read-only."""
    connection = await connect(_uri_of(path), uri=True, patience_s=_SQLITE_PATIENCE_S)
    try:
        version = await _value(connection, "PRAGMA user_version")
        application_id = await _value(connection, "PRAGMA application_id")
        is_new = not await _value(connection, "SELECT count(*) FROM sqlite_schema")
        if not is_new and application_id != APPLICATION_ID:
            raise OSError(0, "this program did not make it; move it away")
        if not is_new and version != VERSION:
            raise _OutdatedError("another version of this program made it")
        await connection.executescript(_PRAGMAS + (_BEGIN_FILE if is_new else ""))
        await connection.execute("ATTACH ? AS crawl", (read_only_uri(db),))
        yield connection
    finally:
        await connection.close()


def _uri_of(path: Path) -> str:
    if path.exists() and inode_of(path) is None:  # to open a FIFO would wait for ever
        raise OSError(0, "it is not a regular file; move it away")
    return path.absolute().as_uri()


@asynccontextmanager
async def _transaction(connection: aiosqlite.Connection) -> AsyncIterator[None]:
    """What is not committed when this fails goes with the connection, which is closed then."""
    await connection.execute("BEGIN")
    yield
    await connection.execute("COMMIT")


@asynccontextmanager
async def _held(db: Path, patience_s: float) -> AsyncIterator[None]:
    """The lock, which ends with its process."""
    descriptor = os.open(companion(db, ".derived.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        give_up_at = time.monotonic() + patience_s
        while not _try_lock(descriptor):
            if time.monotonic() >= give_up_at:
                raise UnavailableError(f"another process is updating {derived_file(db)}")
            await asyncio.sleep(_POLL_S)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_ours(path: Path) -> bool:
    """By its header: SQLite may be unable to read the rest. Closing it drops SQLite's locks, but the file is to go."""
    with path.open("rb") as file:
        return file.read(_APPLICATION_ID_AT + 4)[_APPLICATION_ID_AT:] == APPLICATION_ID.to_bytes(4, "big")


def _remove(path: Path) -> None:
    """The file first: SQLite ignores the log of a file that is missing, but would replay it into one that is there."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


async def _value(connection: aiosqlite.Connection, sql: str, *parameters: Any) -> Any:
    rows = list(await connection.execute_fetchall(sql, parameters))
    return rows[0][0] if rows else None
