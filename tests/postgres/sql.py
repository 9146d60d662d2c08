"""SQL in a PostgreSQL database, for tests: it waits for the answer, also where an event loop runs."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import Any, TypeAlias, TypeVar

import asyncpg

T = TypeVar("T")
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


def rows(dsn: str, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """What a query gives; its parameters are SQLite's (`?` and `?1`), so that one query does for both stores."""
    return _waited_for(_rows(dsn, _with_dollars(sql), parameters))


def execute(dsn: str, sql: str, *parameters: Any) -> int:
    """Run one statement; returns how many rows it has changed."""
    return _waited_for(_execute(dsn, _with_dollars(sql), parameters))


def tried(dsn: str, statements: Sequence[str], settings: Mapping[str, str]) -> list[list[tuple[Any, ...]]]:
    """What each statement gives, all in one transaction, which is rolled back, in a session with these settings."""
    return _waited_for(_tried(dsn, statements, settings))


async def _rows(dsn: str, sql: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    async with _connected(dsn) as connection:
        return [tuple(row) for row in await connection.fetch(sql, *parameters)]


async def _execute(dsn: str, sql: str, parameters: tuple[Any, ...]) -> int:
    async with _connected(dsn) as connection:
        words = (await connection.execute(sql, *parameters)).split()
        return int(words[-1]) if words[-1].isdigit() else 0


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[Connection]:
    """The connection of last time, if it was to the same database; that to another one is closed."""
    kept = _kept.pop(dsn, None)
    while _kept:
        with suppress(*_LOST):
            await _kept.popitem()[1].close()
    connection = kept if kept is not None and await _lives(kept) else await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        if connection.is_closed() or dsn in _kept:
            await connection.close()
        else:
            _kept[dsn] = connection


async def _lives(connection: Connection) -> bool:
    try:
        await connection.fetchval("SELECT 1")
    except _LOST:
        connection.terminate()
        return False
    return True


_LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
_kept: dict[str, Connection] = {}  # by the database's URL; at most one


async def _tried(dsn: str, statements: Sequence[str], settings: Mapping[str, str]) -> list[list[tuple[Any, ...]]]:
    connection = await asyncpg.connect(dsn, server_settings=dict(settings))
    try:
        transaction = connection.transaction()
        await transaction.start()
        found = [[tuple(row) for row in await connection.fetch(statement)] for statement in statements]
        await transaction.rollback()
        return found
    finally:
        await connection.close()


def _with_dollars(sql: str) -> str:
    """SQLite's parameters in PostgreSQL's words; no query of ours has a question mark in a text."""
    numbers = iter(range(1, sql.count("?") + 1))
    return re.sub(r"\?(\d*)", lambda found: f"${found[1] or next(numbers)}", sql)


def _waited_for(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run_coroutine_threadsafe(coroutine, _loop()).result()


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """Of a thread of its own: tests ask from within their own loop, too."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return loop
