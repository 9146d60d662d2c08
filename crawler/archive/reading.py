"""The connection that the archive reads through: it cannot write, and has the views of this program."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiosqlite

from crawler.archive.derived_views import derived_views
from crawler.archive.fragments import add_own_views
from crawler.storage.sqlite.database import explained, open_reader
from crawler.storage.sqlite.views import STORED_VIEWS, are_outdated, temporary, temporary_views


@asynccontextmanager
async def open_archive(path: Path) -> AsyncIterator[aiosqlite.Connection]:
    """Open the crawl database at `path`. Raises `DatabaseFailedError` if there is none, or if its schema is older.

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


async def stream(
    path: Path, connection: aiosqlite.Connection, sql: str, parameters: Sequence[Any], size: int
) -> AsyncGenerator[Sequence[Sequence[Any]]]:
    """All rows of one snapshot, which lasts as long as the cursor is open, in batches of `size`.

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
