"""What is derived from a crawl database stands in a file beside it: `crawl.db.derived`. It may be deleted at any time.

The crawl pays nothing for it: whoever needs it brings it up to date, through a connection that cannot write the crawl's
file. Invariants:

- One process writes it at a time, the holder of `crawl.db.derived.lock`; all others open it read-only. (Two connections
  that write or checkpoint a write-ahead log at once can damage it in SQLite before 3.51.3.)
- How far a derivation has come (`indexes.upto`) is committed with what brought it there, so a build that is killed at
  any instant continues where it was.
- The newest row that a derivation took in must still be in the crawl's file, unchanged. If it is not, that file was
  replaced, restored from an older copy or pruned, and the derivation begins anew. So does a file that is damaged or of
  another version. A file that this program did not make is left alone.

Every question can be answered without this file; it only takes longer.
"""

from __future__ import annotations

import asyncio
import fcntl
import math
import os
import sqlite3
import stat
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import aiosqlite

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


class BusyError(UnavailableError):
    """Another process is updating it."""


class Derivation(Protocol):
    """What is derived: tables of its own in the file, and how far it has come there."""

    @property
    def name(self) -> str:
        """Its name in `indexes`."""

    @property
    def version(self) -> int:
        """A new one has it built anew."""

    @property
    def mark(self) -> str:
        """SQL that tells row ?1 of the source, up to which it has come, from any other that may get the same id.

        It names tables of the crawl's file without a schema, since that is attached here and the main one where the
        file is only read.
        """

    async def begin(self, connection: aiosqlite.Connection) -> None:
        """Make its tables anew, empty. Within a transaction."""

    async def take_in(self, progress: Progress, until: float) -> None:
        """Take in what the crawl has committed by now, in transactions; stop at `until` (monotonic seconds)."""


def derived_file(db: Path) -> Path:
    """The file beside the crawl database `db`."""
    return companion(db, ".derived")


async def create(connection: aiosqlite.Connection, script: str) -> None:
    """Execute the statements of a script in the transaction under way, which `executescript` would commit first."""
    for statement in script.split(";\n"):
        await connection.execute(statement)


async def bring_up_to_date(
    db: Path,
    derivation: Derivation,
    *,
    patience_s: float = PATIENCE_S,
    limit_s: float = math.inf,
    path: Path | None = None,
) -> None:
    """Take in what the crawl into `db` has committed by now, batch by batch, for about `limit_s` seconds at most.

    Creates the file if needed, at `path` if one is given. Raises `BusyError` if another process is still at it after
    `patience_s` seconds, and `UnavailableError` if the folder cannot be written, the disk is full, or a file of that
    name was made by something else.
    """
    path = path or derived_file(db)
    try:
        async with _held(path, patience_s):
            try:
                await _take_in(path, db, derivation, limit_s)
            except (sqlite3.DatabaseError, _OutdatedError) as error:
                if not (is_damage(error) or isinstance(error, _OutdatedError)) or not _is_ours(path):
                    raise
                _remove(path)
                await _take_in(path, db, derivation, limit_s)
    except (sqlite3.Error, OSError, _OutdatedError) as error:
        raise UnavailableError(f"{path} cannot be used: {_reason(error)}") from error


async def drop(db: Path, *derivations: Derivation) -> None:
    """Remove these, which are built anew when they are needed. What is left, or another process, is in no way of it."""
    with suppress(UnavailableError, sqlite3.Error, OSError):
        async with _held(derived_file(db), 0.0), _opened(derived_file(db), db) as connection:
            for one in derivations:
                await connection.execute(f"DROP TABLE IF EXISTS main.{one.name}")
                await connection.execute("DELETE FROM indexes WHERE name = ?", (one.name,))


async def discard(db: Path) -> None:
    """Delete the file, to be rebuilt when it is needed; after a prune it would mostly list what is gone.

    It stays if another process is updating it, or if this program did not make it.
    """
    path = derived_file(db)
    try:
        if inode_of(path) is None:
            return
        async with _held(path, 0.0):
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


def is_damage(error: BaseException | None) -> bool:
    """Whether SQLite found a file damaged, or not to be a database at all."""
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED


class _OutdatedError(Exception):
    """Another version of this program made the file."""


class Progress:
    """How far a derivation has come in the file, which `connection` writes; the crawl's file is attached to it."""

    def __init__(self, connection: aiosqlite.Connection, derivation: Derivation) -> None:
        self.connection = connection
        self._derivation = derivation

    async def upto(self) -> int:
        """The last row of the source that was taken in; 0 if the derivation is new, or has to begin anew."""
        one = self._derivation
        rows = list(await self.connection.execute_fetchall(_STATE, (one.name, one.version)))
        if rows and (not rows[0][0] or await self.value(one.mark, rows[0][0]) == rows[0][1]):
            return int(rows[0][0])
        await self.begin_anew()
        return 0

    async def begin_anew(self) -> None:
        """As if nothing had been taken in."""
        async with self.transaction():
            await self._derivation.begin(self.connection)
            await self.come_to(0)

    async def come_to(self, upto: int) -> None:
        """Note how far it has come, within the transaction that brings it there."""
        one = self._derivation
        mark = await self.value(one.mark, upto) if upto else None
        await self.connection.execute(_COME_TO, (one.name, one.version, upto, mark))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """What is not committed when this fails goes with the connection, which is closed then.

        Between two of them the crawl's log can be reset.
        """
        await self.connection.execute("BEGIN IMMEDIATE")
        yield
        await self.connection.execute("COMMIT")

    async def value(self, sql: str, *parameters: Any) -> Any:
        """The first column of the first row; None if there is no row."""
        return await _value(self.connection, sql, *parameters)


async def _take_in(path: Path, db: Path, derivation: Derivation, limit_s: float) -> None:
    async with _opened(path, db) as connection:
        await derivation.take_in(Progress(connection, derivation), time.monotonic() + limit_s)


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
async def _held(path: Path, patience_s: float) -> AsyncIterator[None]:
    """The lock of the file, which ends with its process."""
    descriptor = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        give_up_at = time.monotonic() + patience_s
        while not _try_lock(descriptor):
            if time.monotonic() >= give_up_at:
                raise BusyError(f"another process is updating {path}")
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
