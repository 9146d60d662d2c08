"""Reads a crawl in PostgreSQL: through one connection, whose transactions cannot write.

Invariant: a statement at a time goes over the connection; what is streamed or read in a snapshot shares one transaction
with all that is asked meanwhile, since a cursor lives no longer than its transaction.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import asyncpg

from crawler.archive.dialect import Dialect, Glob, Text, text_of
from crawler.errors import DatabaseFailedError, UsageError
from crawler.location import DatabaseUrl
from crawler.storage.postgres.connection import CRAWL_SETTINGS, connect, explained
from crawler.storage.postgres.database import checked
from crawler.storage.postgres.ids import id_of, part_of
from crawler.storage.postgres.views import STORED_MARK, mark, temporary_views
from crawler.urls import host_of

# What is looked up goes by indexes, as a crawl does: the planner, which thinks that every JSON array has a hundred
# elements, would read all URLs for the links of some pages. What is streamed reads whole tables as it thinks best.
_SETTINGS: Mapping[str, str] = {**CRAWL_SETTINGS, "default_transaction_read_only": "on"}
_CHOICES = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin")
_FREE = "; ".join(f"SET LOCAL {name} = on" for name in _CHOICES)
_BY_INDEX = "; ".join(f"SET LOCAL {name} = off" for name in _CHOICES)

# Of a condition: what may be a call, names that are written so that nobody sees them, and functions that are more than
# functions of their arguments and of the database.
_CALLED = re.compile(r'([A-Za-z_][\w$]*)"?\s*\(')
_DISGUISED = re.compile(r'u&["\']', re.IGNORECASE)
_EFFECTIVE = "SELECT proname FROM pg_proc WHERE lower(proname) = ANY(?::text[]) AND provolatile = 'v' LIMIT 1"
_PLAN_S = 10.0

_PARAMETER = re.compile(r"\?\?|\?(\d*)")


class PostgresReader:
    """See `Reader`."""

    dialect = Dialect.POSTGRES

    def __init__(self, db: DatabaseUrl, connection: asyncpg.Connection[asyncpg.Record], parts: int) -> None:
        self.db = db
        self.parts = parts
        self._connection = connection
        self._turn = asyncio.Lock()
        self._transaction: Any = None
        self._users = 0  # of the transaction

    async def fetch(self, sql: Text, *parameters: Any) -> list[Any]:
        """See `Reader`."""
        text, values = bound(text_of(sql, self.dialect), parameters)
        async with self._turn:
            with explained(self.db.with_password):
                return list(map(tuple, await self._connection.fetch(text, *values)))

    async def fetch_within(self, sql: Text, *parameters: Any, limit_s: float) -> list[Any] | None:
        """As `fetch`; None if that takes longer, and then the server has given up."""
        text, values = bound(text_of(sql, self.dialect), parameters)
        async with self._turn:
            with explained(self.db.with_password):
                try:
                    async with self._connection.transaction():
                        return list(map(tuple, await self._connection.fetch(text, *values, timeout=max(limit_s, 0.01))))
                except TimeoutError:
                    return None

    async def stream(self, sql: Text, parameters: Sequence[Any], size: int) -> AsyncGenerator[Sequence[Sequence[Any]]]:
        """See `Reader`."""
        text, values = bound(text_of(sql, self.dialect), parameters)
        async with self.snapshot():
            cursor: Any = None
            while True:
                async with self._turn:
                    with explained(self.db.with_password):
                        cursor = cursor or await self._opened(text, values)
                        rows = await cursor.fetch(size)
                if not rows:
                    return
                yield list(map(tuple, rows))

    async def _opened(self, text: str, values: Sequence[Any]) -> Any:
        """A cursor, which is planned as it is opened."""
        await self._connection.execute(_FREE)
        cursor = await self._connection.cursor(text, *values)
        await self._connection.execute(_BY_INDEX)
        return cursor

    def snapshot(self) -> AbstractAsyncContextManager[None]:
        """See `Reader`."""
        return _Snapshot(self._begin, self._end)

    async def _begin(self) -> None:
        async with self._turn:
            if self._transaction is None:
                with explained(self.db.with_password):
                    transaction = self._connection.transaction(isolation="repeatable_read", readonly=True)
                    await transaction.start()
                self._transaction = transaction
            self._users += 1

    async def _end(self) -> None:
        async with self._turn:
            self._users -= 1
            if not self._users:
                transaction, self._transaction = self._transaction, None
                with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):  # it may be gone by now
                    await transaction.rollback()

    @asynccontextmanager
    async def apart(self) -> AsyncIterator[None]:
        """What fails within leaves the snapshot around it as it was."""
        async with self._turn:
            with explained(self.db.with_password):
                inner = self._connection.transaction()
                await inner.start()
        try:
            yield
        finally:
            async with self._turn:
                with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):  # it may be gone by now
                    await inner.rollback()

    def key_of(self, url: str) -> tuple[int, ...]:
        """See `Reader`. A text that is no URL has the key of no row."""
        if "://" not in url or "/" not in url.partition("://")[2]:
            return -1, 0, 0
        return (*self.key_of_host(host_of(url)), id_of(url))

    def key_of_host(self, name: str) -> tuple[int, ...]:
        """See `Reader`."""
        host_id = id_of(name)
        return part_of(host_id, self.parts), host_id

    async def check_condition(self, view: str, condition: str) -> None:
        """See `Reader`. The statement is planned, and not run, in a transaction that cannot write; what it may call has
        no effect beyond its value.
        """
        called = [name.lower() for name in _CALLED.findall(condition)]
        found = await self.fetch(_EFFECTIVE, called)
        if found or _DISGUISED.search(condition):
            what = f"{found[0][0]}() does more than that" if found else 'U&"..." hides a name'
            raise UsageError(f"only reading is allowed: a condition on the columns of {view} ({what})")
        for text in (f"({condition}\n)", f"(({condition}\n))"):
            sql = f"EXPLAIN SELECT 1 FROM {view} WHERE {text.replace('?', '??')}"  # noqa: S608 - it is guarded
            try:
                if await self.fetch_within(sql, limit_s=_PLAN_S) is None:
                    raise UsageError("the condition cannot be planned in time; ask for less")
            except DatabaseFailedError as error:
                if isinstance(error.__cause__, asyncpg.SyntaxOrAccessError | asyncpg.DataError):
                    raise UsageError(f"the statement cannot be run: {error.__cause__}") from error
                raise

    def blames_the_query(self, error: DatabaseFailedError) -> bool:
        """See `Reader`."""
        return isinstance(error.__cause__, asyncpg.DataError)


class _Snapshot:
    """No generator: a loop that ends closes all of them at once, so that one within another would be closed twice."""

    def __init__(self, begin: Callable[[], Awaitable[None]], end: Callable[[], Awaitable[None]]) -> None:
        self._begin = begin
        self._end = end

    async def __aenter__(self) -> None:
        await self._begin()

    async def __aexit__(self, *_exception: object) -> None:
        await self._end()


@asynccontextmanager
async def open_postgres(db: DatabaseUrl) -> AsyncIterator[PostgresReader]:
    """Open the crawl in that database. Raises `DatabaseFailedError` if there is none, or if its schema is another."""
    with explained(db.with_password):
        connection = await connect(db.with_password, _SETTINGS)
    try:
        with explained(db.with_password):
            parts = await _identify(connection, db)
        yield PostgresReader(db, connection, parts)
    finally:
        connection.terminate()  # a question that nobody waits for any more may have minutes to go


async def _identify(connection: asyncpg.Connection[asyncpg.Record], db: DatabaseUrl) -> int:
    """How many partitions it has. If its views are not those of this program, the connection gets temporary ones."""
    parts = await checked(connection, db.with_password)
    if await connection.fetchval(STORED_MARK) != mark():
        async with connection.transaction(readonly=False):
            await connection.execute("SET TRANSACTION READ WRITE")
            await connection.execute(temporary_views())
    return parts


def bound(sql: str, parameters: Sequence[Any]) -> tuple[str, list[Any]]:
    """A statement with `$1` in the place of `?`, and the values that it takes."""
    number = 0

    def numbered(found: re.Match[str]) -> str:
        nonlocal number
        if found[0] == "??":
            return "?"
        number += 1
        return f"${found[1] or number}"

    return _PARAMETER.sub(numbered, sql), [one.as_regex() if isinstance(one, Glob) else one for one in parameters]
