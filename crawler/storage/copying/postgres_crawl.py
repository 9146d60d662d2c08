"""A crawl in a PostgreSQL database that is copied, or a database that is being filled.

Invariant: what is stored is committed together with how far that is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

import asyncpg
import orjson

from crawler.errors import DatabaseFailedError
from crawler.storage.copying.crawl import MAX_ROWS, MAX_SIZE, Chunk, Progress
from crawler.storage.copying.sqlite_crawl import FORGET, progress_of, progress_values
from crawler.storage.copying.tables import Row, Table, dumper_of, parser_of
from crawler.storage.postgres.connection import explained
from crawler.storage.postgres.ids import COPIED_MOST, copied_count, row_id

Numbers: TypeAlias = Callable[[str, Sequence[int]], Awaitable[Mapping[int, int]]]  # of ids of rows, by whose they are

_ROWS_AT_ONCE = 64
# Of connections that copy: they read and write whole tables.
SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "synchronous_commit": "off",
        "work_mem": "64MB",
        "maintenance_work_mem": "256MB",
        "jit": "off",
        "idle_in_transaction_session_timeout": "0",
    }
)

_COLUMNS = """
SELECT attname FROM pg_attribute
WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped AND attname <> 'part' ORDER BY attnum
"""
_FINGERPRINT = """
SELECT (SELECT json_agg(json_build_array(id, ended_at, pages, requests, length(summary)) ORDER BY id) FROM runs)::text,
    (SELECT json_build_array(count(*), sum(epoch)) FROM parts)::text,
    (SELECT count(*) FROM urls), (SELECT count(*) FROM fetches), (SELECT count(*) FROM pages),
    (SELECT sum(upto) FROM change_log_pruned),
    (SELECT json_agg(json_build_array(name, definition) ORDER BY name) FROM extraction_rules)::text,
    (SELECT json_build_array(sum(read_upto), sum(unread_upto)) FROM extraction_reads)::text
"""
_PROGRESS = "SELECT upto, rows, digest, is_whole FROM copy_progress WHERE name = $1"
_SET_PROGRESS = """
INSERT INTO copy_progress (name, upto, rows, digest, is_whole) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (name) DO UPDATE
SET upto = excluded.upto, rows = excluded.rows, digest = excluded.digest, is_whole = excluded.is_whole
"""


class PostgresCrawl:
    """A crawl database on a connection for this alone. `numbers` tells those of its attempts, versions and changes."""

    def __init__(self, db: str, connection: asyncpg.Connection[asyncpg.Record], numbers: Numbers) -> None:
        self._db = db
        self._connection = connection
        self.numbers = numbers

    # --- as the source ----------------------------------------------------------------------------------------------

    async def fingerprint(self) -> str:
        """Of its state."""
        (found,) = await self.fetch(_FINGERPRINT)
        return repr(tuple(found))

    async def columns(self, table: Table) -> list[str]:
        """Of the table."""
        return [row[0] for row in await self.fetch(_COLUMNS, table.name)]

    async def count(self, table: Table) -> int:
        """Of its rows; of what SQLite keeps once, more."""
        return int((await self.fetch(f"SELECT count(*) FROM {table.name}"))[0][0])  # noqa: S608 - our own names

    async def chunks(self, table: Table, columns: Sequence[str], after: Row | None = None) -> AsyncIterator[Chunk]:
        """All rows behind this key, in the order of SQLite's ids."""
        key = ", ".join(table.order)
        places = ", ".join(f"${place}" for place in range(1, len(table.order) + 1))
        behind = f"WHERE ({key}) > ({places})" if after is not None else ""
        origin = table.origin or f"{table.name} AS t"
        sql = f"SELECT {key}, {_values(table, columns)} FROM {origin} {behind} ORDER BY {key}"  # noqa: S608
        width = len(table.order)
        async for rows in self.read(sql, *(after or ())):
            yield Chunk(await self._common(table, columns, [row[width:] for row in rows]), rows[-1][:width])

    async def stored(self, table: Table, columns: Sequence[str]) -> AsyncIterator[Sequence[Row]]:
        """All rows, in any order."""
        origin = table.origin if table.is_shared else f"{table.name} AS t"
        sql = f"SELECT {_values(table, columns)} FROM {origin}"  # noqa: S608 - our own names
        async for rows in self.read(sql):
            yield await self._common(table, columns, rows)

    async def read(self, sql: str, *parameters: Any) -> AsyncIterator[list[Row]]:
        """What a query gives, some rows at a time."""
        with explained(self._db):
            async with self._connection.transaction():
                cursor = await self._connection.cursor(sql, *parameters)
                rows, size = list[Row](), 0
                while fetched := [tuple(row) for row in await cursor.fetch(_ROWS_AT_ONCE)]:
                    rows += fetched
                    size += sum(len(value) for row in fetched for value in row if isinstance(value, str | bytes))
                    if len(rows) >= MAX_ROWS or size >= MAX_SIZE:
                        yield rows
                        rows, size = [], 0
                if rows:
                    yield rows

    async def _common(self, table: Table, columns: Sequence[str], rows: Sequence[Row]) -> list[Row]:
        parsed = list(map(parser_of(columns, 1), rows))
        if table.groups:
            links = 1 + columns.index("links")
            parsed = [row for row in parsed if row[links]]  # SQLite has no row of a page without links
        for name, whose in table.numbers.items():
            place = 1 + columns.index(name)
            ids = {row[place] for row in parsed if row[place] is not None}
            numbers = await self.numbers(whose, list(ids))
            parsed = [(*row[:place], numbers.get(row[place]), *row[place + 1 :]) for row in parsed]
        return parsed

    # --- as the target ----------------------------------------------------------------------------------------------

    async def progress(self, table: Table) -> Progress:
        """As it was stored last."""
        return progress_of(await self.fetch(_PROGRESS, table.name))

    async def begin(self, table: Table) -> None:
        """Nothing has to be prepared."""

    async def store(self, table: Table, columns: Sequence[str], rows: Sequence[Row], progress: Progress) -> None:
        """Add rows."""
        has_part = table.part != "NULL"
        records = _records(table, columns, rows) if has_part else (row[1:] for row in rows)
        names = ["part", *columns] if has_part else list(columns)
        with explained(self._db):
            async with self._connection.transaction():
                if rows:
                    await self._connection.copy_records_to_table(table.name, records=records, columns=names)
                await self._connection.execute(_SET_PROGRESS, *progress_values(table, progress))

    async def forget(self) -> None:
        """Of no state of a crawl that there is."""
        await self.fetch(FORGET)

    # --- statements -------------------------------------------------------------------------------------------------

    async def fetch(self, sql: str, *parameters: Any) -> list[Any]:
        """Run one statement."""
        with explained(self._db):
            rows: list[Any] = await self._connection.fetch(sql, *parameters)
            return rows


async def copied_numbers(_whose: str, ids: Sequence[int]) -> Mapping[int, int]:
    """The numbers of rows that were copied from SQLite."""
    return {row: number for row in ids if (number := copied_count(row)) is not None}


def _values(table: Table, columns: Sequence[str]) -> str:
    part = "NULL::int" if table.part == "NULL" else "t.part"
    return ", ".join([part, *(f"t.{name}" for name in columns)])


def _records(table: Table, columns: Sequence[str], rows: Iterable[Row]) -> Iterable[Sequence[Any]]:
    dump = dumper_of(columns, 1)
    if table.is_shared:
        return ((part, *row[1:]) for row in rows for part in orjson.loads(row[0]) or [0])
    places = [1 + columns.index(name) for name in table.numbers]
    return (_with_ids(dump(row), places) for row in rows)


def _with_ids(row: Row, places: Sequence[int]) -> Sequence[Any]:
    """With ids in the place of numbers."""
    values = list(row)
    for place in places:
        number = values[place]
        if number is not None:
            if not 0 <= number < COPIED_MOST:
                raise DatabaseFailedError(f"a row has the id {number}; only ids below {COPIED_MOST} can be copied")
            values[place] = row_id(row[0], 0, number)
    return values
