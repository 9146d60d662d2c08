"""The connection that the archive reads by: it cannot write, and its views are those of this program."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiosqlite

from crawler.storage.sqlite.database import explained, open_reader
from crawler.storage.sqlite.views import STORED_VIEWS, are_outdated, temporary_views


@asynccontextmanager
async def open_archive(path: Path) -> AsyncIterator[aiosqlite.Connection]:
    """Open the crawl database at `path`. Raises `DatabaseFailedError` where there is none, or its schema is older.

    Where its views are not those of this program, the connection gets them for itself: nothing is written.
    """
    async with open_reader(path) as connection:
        with explained(path):
            if are_outdated(await connection.execute_fetchall(STORED_VIEWS)):
                await connection.executescript(temporary_views())
        yield connection
