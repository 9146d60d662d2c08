"""The connection for what the processes of a crawl settle among themselves: leases, runs, grants, notices.

It is one, beside those for commits and reads, so that no long statement of these delays a renewal; and each of its own
statements gives up soon. Invariant: one statement at a time, or one short transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from crawler.errors import DatabaseFailedError
from crawler.storage.postgres.connection import PATIENCE_S, Connection, connect, explained, is_lost, worker_settings

_LOCK_S = 1.0  # a row that somebody holds for longer than this is left for later


class Control:
    """Connected on first use, and anew after the connection was lost: while `holds`, a server that is away is waited
    for. Operations raise `DatabaseFailedError`.
    """

    def __init__(self, db: str, name: str, lease_s: float, holds: Callable[[], bool] = lambda: False) -> None:
        self.db = db
        self._holds = holds
        self._settings = {**worker_settings(name, lease_s), "lock_timeout": f"{int(_LOCK_S * 1000)}ms"}
        self._patience_s = max(lease_s / 2, 2 * _LOCK_S)
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._turn = asyncio.Lock()

    async def fetch(self, sql: str, *parameters: Any) -> list[Any]:
        """The rows of one statement, which is a transaction of its own."""
        async with self._use() as connection:
            return list(await connection.fetch(sql, *parameters))

    async def execute(self, sql: str, *parameters: Any) -> int:
        """How many rows the statement has changed."""
        async with self._use() as connection:
            return int((await connection.execute(sql, *parameters)).rsplit(" ", 1)[-1])

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Some statements, all or none of them; short ones."""
        async with self._use() as connection, connection.transaction():
            yield connection

    def close(self) -> None:
        """Without a word to a server that may have gone."""
        if self._connection is not None:
            self._connection.terminate()

    @asynccontextmanager
    async def _use(self) -> AsyncIterator[Connection]:
        with explained(self.db):
            async with self._turn, asyncio.timeout(self._patience_s):
                connection = await self._connected()
                try:
                    yield connection
                except (TimeoutError, asyncio.CancelledError, asyncpg.InternalClientError):
                    connection.terminate()  # nobody knows what it is doing
                    raise

    async def _connected(self) -> Connection:
        while self._connection is None or self._connection.is_closed():
            try:
                self._connection = await connect(self.db, self._settings)
            except Exception as error:
                if not (is_lost(error) and self._holds()):
                    raise
                await asyncio.sleep(PATIENCE_S)
        return self._connection


def is_locked_out(error: DatabaseFailedError) -> bool:
    """Whether all that was wrong is that somebody else held a row."""
    return isinstance(error.__cause__, asyncpg.LockNotAvailableError)
