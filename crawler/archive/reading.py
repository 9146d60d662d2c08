"""The connection that the archive reads through: it cannot write, and has the views of this program."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiosqlite

from crawler.storage.sqlite.database import explained, open_reader
from crawler.storage.sqlite.views import STORED_VIEWS, are_outdated, temporary_views


@asynccontextmanager
async def open_archive(path: Path) -> AsyncIterator[aiosqlite.Connection]:
    """Open the crawl database at `path`. Raises `DatabaseFailedError` if there is none, or if its schema is older.

    If its views differ from those of this program, the connection gets temporary ones; nothing is written.
    """
    async with open_reader(path) as connection:
        with explained(path):
            if are_outdated(await connection.execute_fetchall(STORED_VIEWS)):
                await connection.executescript(temporary_views())
        yield connection
