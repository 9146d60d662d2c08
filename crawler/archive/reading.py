"""How the archive reads: from a crawl database, which it cannot change, with the views of this program.

A `Reader` is the same for both stores; only who asks what there is but in a SQLite file (its derived file, functions of
our own) opens a connection to one. Invariant: nothing is imported for PostgreSQL before such a database is opened.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import aiosqlite

from crawler.archive.derived_views import derived_views
from crawler.archive.dialect import Dialect, Text, text_of
from crawler.archive.fragments import add_own_views
from crawler.errors import DatabaseFailedError
from crawler.location import Location
from crawler.storage.location import with_driver
from crawler.storage.sqlite.database import explained, open_reader
from crawler.storage.sqlite.views import STORED_VIEWS, are_outdated, temporary, temporary_views


class Reader(Protocol):
    """Reads one crawl database. Several tasks may ask at once. All raise `DatabaseFailedError` if it cannot be read."""

    @property
    def db(self) -> Location:
        """The database."""

    @property
    def dialect(self) -> Dialect:
        """Which text of a question it takes."""

    async def fetch(self, sql: Text, *parameters: Any) -> list[Any]:
        """All rows of what is looked up. PostgreSQL goes by indexes alone: what asks for whole tables is streamed."""

    def stream(self, sql: Text, parameters: Sequence[Any], size: int) -> AsyncGenerator[Sequence[Sequence[Any]]]:
        """All rows of one snapshot, in batches of `size`, of which one is held at a time.

        Whoever is cancelled meanwhile need not wait for the query, which is interrupted.
        """

    def snapshot(self) -> AbstractAsyncContextManager[None]:
        """Whatever is read within sees the database as it was when the first of it was read, though a crawl may run."""

    def key_of(self, url: str) -> tuple[int, ...]:
        """What the SQL for PostgreSQL asks for before the URL itself: partition, host and id of its row, by which it is
        found. Of SQLite nothing, which has an index of URLs.
        """

    def key_of_host(self, name: str) -> tuple[int, ...]:
        """Likewise: partition and id."""

    async def check_condition(self, view: str, condition: str) -> None:
        """Raise `UsageError` unless SQL that a person wrote can stand, in two pairs of brackets, in the WHERE of a
        query of that view, and does nothing but read.
        """

    def blames_the_query(self, error: DatabaseFailedError) -> bool:
        """Whether it is none of the database, but of what the query does with a value, such as JSON that is none."""


class SqliteReader:
    """A SQLite file, through a connection that whoever has opened it closes."""

    dialect = Dialect.SQLITE

    def __init__(self, db: Path, connection: aiosqlite.Connection) -> None:
        self.db = db
        self._connection = connection

    async def fetch(self, sql: Text, *parameters: Any) -> list[Any]:
        """See `Reader`."""
        with explained(self.db):
            return list(await self._connection.execute_fetchall(text_of(sql, self.dialect), parameters))

    def stream(self, sql: Text, parameters: Sequence[Any], size: int) -> AsyncGenerator[Sequence[Sequence[Any]]]:
        """See `Reader`; the snapshot lasts as long as the cursor is open."""
        return stream(self.db, self._connection, text_of(sql, self.dialect), parameters, size)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[None]:
        """See `Reader`."""
        try:
            with explained(self.db):
                await self._connection.execute("BEGIN")
            yield
        finally:
            await self._connection.interrupt()  # what nobody waits for any more, after Ctrl-C, may have minutes to go
            with suppress(sqlite3.OperationalError):  # the interruption has ended it
                await self._connection.execute("ROLLBACK")

    def key_of(self, url: str) -> tuple[int, ...]:
        """See `Reader`."""
        return ()

    def key_of_host(self, name: str) -> tuple[int, ...]:
        """See `Reader`."""
        return ()

    async def check_condition(self, view: str, condition: str) -> None:
        """See `Reader`."""
        from crawler.archive.foreign_sql import check_condition

        check_condition(self.db, view, condition)

    def blames_the_query(self, error: DatabaseFailedError) -> bool:
        """See `Reader`."""
        return type(error.__cause__) is sqlite3.OperationalError


@asynccontextmanager
async def open_archive(path: Path) -> AsyncIterator[aiosqlite.Connection]:
    """Open the SQLite file at `path`. Raises `DatabaseFailedError` if there is none, or if its schema is older.

    If its views differ from those of this program, the connection gets temporary ones, as it does of those that only
    this program has (fragments.py, derived_views.py); nothing is written.
    """
    async with open_reader(path) as connection:
        with explained(path):
            if are_outdated(await connection.execute_fetchall(STORED_VIEWS)):
                await connection.executescript(temporary_views())
            await add_own_views(connection)
            await connection.executescript("".join(map(temporary, derived_views().values())))
        yield connection


@asynccontextmanager
async def open_database(db: Location) -> AsyncIterator[Reader]:
    """Open any crawl database. Raises `DatabaseFailedError` if there is none, or if its schema is another."""
    if isinstance(db, Path):
        async with open_archive(db) as connection:
            yield SqliteReader(db, connection)
        return
    with with_driver(db):
        from crawler.archive.postgres_reader import open_postgres

    async with open_postgres(db) as reader:
        yield reader


def reader_of(db: Location, connection: aiosqlite.Connection | Reader) -> Reader:
    """The reader of that connection; a reader is its own."""
    if isinstance(connection, aiosqlite.Connection) and isinstance(db, Path):
        return SqliteReader(db, connection)
    if isinstance(connection, aiosqlite.Connection):
        raise ValueError(f"{db} is no file")
    return connection


async def stream(
    path: Path, connection: aiosqlite.Connection, sql: str, parameters: Sequence[Any], size: int
) -> AsyncGenerator[Sequence[Sequence[Any]]]:
    """All rows of one snapshot of a SQLite file, which lasts as long as the cursor is open, in batches of `size`.

    Raises `DatabaseFailedError`. Whoever is cancelled meanwhile need not wait for the query, which is interrupted.
    """
    cursor = None
    with explained(path):
        try:
            cursor = await connection.execute(sql, parameters)
            while rows := list(await cursor.fetchmany(size)):
                yield rows
        except asyncio.CancelledError:
            await connection.interrupt()  # before the cursor is closed, which waits for its turn
            raise
        finally:
            if cursor is not None:
                with suppress(ValueError):  # who has stopped reading may have closed the connection, and so the cursor
                    await cursor.close()
