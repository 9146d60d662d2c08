"""A SQLite file that is copied, or that is being filled.

Invariants: what is read is one snapshot; what is stored is committed together with how far that is.
"""

from __future__ import annotations

import asyncio
import sqlite3
from ast import literal_eval
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from crawler.storage.copying.crawl import MAX_ROWS, MAX_SIZE, Chunk, Progress
from crawler.storage.copying.tables import Row, Table, dumper_of, parser_of
from crawler.storage.copying.tally import Tally
from crawler.storage.postgres.ids import head_id_of, id_of
from crawler.storage.sqlite.database import explained

_ROWS_AT_ONCE = 64
_LINKS = "page_links"  # is `links` here, with a row for each

_IDS = """
PRAGMA temp_store = FILE;
PRAGMA temp.cache_size = -65536;
CREATE TEMP TABLE copied_hosts (id INTEGER PRIMARY KEY, made_id INTEGER NOT NULL UNIQUE);
CREATE TEMP TABLE copied_urls (id INTEGER PRIMARY KEY, made_id INTEGER NOT NULL, host_id INTEGER NOT NULL);
CREATE TEMP TABLE copied_head_ids (id INTEGER PRIMARY KEY, made_id INTEGER NOT NULL UNIQUE);
CREATE TEMP TABLE copied_heads (id INTEGER, part INTEGER, PRIMARY KEY (id, part)) WITHOUT ROWID;
CREATE TEMP TABLE copied_bodies (id INTEGER, part INTEGER, PRIMARY KEY (id, part)) WITHOUT ROWID;
"""
_HEAD_IDS = "INSERT OR IGNORE INTO copied_head_ids SELECT id, head_id_of(hash) FROM heads"
_OWN_IDS = (
    "INSERT INTO copied_hosts SELECT id, id_of(name) FROM hosts",
    "INSERT INTO copied_urls SELECT u.id, id_of(u.url), h.made_id"
    " FROM urls AS u CROSS JOIN copied_hosts AS h ON h.id = u.host_id",
    _HEAD_IDS,
)
_REFERENCES = (
    "INSERT OR IGNORE INTO copied_heads SELECT f.head_id, u.host_id & {mask}"
    " FROM fetches AS f CROSS JOIN copied_urls AS u ON u.id = f.url_id WHERE f.head_id IS NOT NULL",
    "INSERT OR IGNORE INTO copied_bodies SELECT b.rowid, u.host_id & {mask} FROM pages AS t"
    " CROSS JOIN copied_urls AS u ON u.id = t.url_id CROSS JOIN bodies AS b ON b.hash = t.body_hash",
    "INSERT OR IGNORE INTO copied_bodies SELECT b.rowid, u.host_id & {mask} FROM fetches AS t"
    " CROSS JOIN copied_urls AS u ON u.id = t.url_id CROSS JOIN bodies AS b ON b.hash = t.body_hash",
)

# What tells one state of a crawl from any other, without reading it all.
_FINGERPRINT = """
SELECT (SELECT json_group_array(json_array(id, ended_at, pages, requests, length(summary))) FROM runs),
    (SELECT max(id) FROM urls), (SELECT max(id) FROM hosts), (SELECT max(id) FROM fetches), (SELECT max(id) FROM pages),
    (SELECT count(*) FROM fetches), (SELECT count(*) FROM pages), (SELECT max(id) FROM change_log),
    (SELECT max(upto) FROM change_log_pruned), (SELECT count(*) FROM urls WHERE next_fetch_at IS NOT NULL),
    (SELECT json_group_array(json_array(name, definition, read_upto, unread_upto)) FROM extraction_rules)
"""

_PROGRESS_TABLE = """
CREATE TABLE copy_progress (
    name TEXT PRIMARY KEY, upto TEXT, rows INTEGER NOT NULL, digest TEXT NOT NULL, is_whole INTEGER NOT NULL
)
"""
_PROGRESS = "SELECT upto, rows, digest, is_whole FROM copy_progress WHERE name = ?"
_SET_PROGRESS = "INSERT OR REPLACE INTO copy_progress (name, upto, rows, digest, is_whole) VALUES (?, ?, ?, ?, ?)"
FORGET = "UPDATE copy_progress SET upto = '' WHERE name = ''"
_ADD_LINK = """
INSERT INTO links (page_id, target_id, anchor, rel, nofollow)
SELECT ?1, id, ?4, ?5, ?6 FROM temp.copied_urls WHERE host_id = ?2 AND made_id = ?3
"""


class SqliteCrawl:
    """A crawl database on a connection for this alone. `parts`: the partitions that it has in PostgreSQL."""

    def __init__(self, path: Path, connection: sqlite3.Connection, parts: int) -> None:
        self._path = path
        self._connection = connection
        self._mask = parts - 1
        self._turn = asyncio.Lock()  # rows are read while others are stored
        connection.create_function("id_of", 1, id_of, deterministic=True)
        connection.create_function("head_id_of", 1, head_id_of, deterministic=True)
        connection.executescript(_IDS)

    # --- as the source ----------------------------------------------------------------------------------------------

    async def fingerprint(self) -> str:
        """Of its state."""
        ((*found,),) = await self.execute(_FINGERPRINT)
        return repr(tuple(found))

    async def make_ids(self) -> None:
        """Of the hosts, URLs and heads that it has, and find out which partitions refer to heads and bodies."""
        for sql in (*_OWN_IDS, *_REFERENCES):
            await self.execute(sql.format(mask=self._mask))

    async def columns(self, table: Table) -> list[str]:
        """Of the table, and what it is read for others of."""
        name = "links" if table.name == _LINKS else table.name
        return [row[1] for row in await self.execute(f"PRAGMA table_info({name})")]

    async def count(self, table: Table) -> int:
        """Of all but links, which are counted by their pages."""
        name = "pages" if table.name == _LINKS else table.name
        ((rows,),) = await self.execute(f"SELECT count(*) FROM {name}")  # noqa: S608 - our own names
        return int(rows)

    async def chunks(self, table: Table, columns: Sequence[str], after: Row | None = None) -> AsyncIterator[Chunk]:
        """All rows behind this key."""
        chunks = self._chunks(table, columns, after)
        while (chunk := await self._thread(next, chunks, None)) is not None:
            yield chunk

    def _chunks(self, table: Table, columns: Sequence[str], after: Row | None) -> Iterator[Chunk]:
        width = len(table.key)
        parse = parser_of(columns, width + 1)
        cursor = self._connection.execute(self._select(table, columns, after), after or ())
        rows, size = list[Row](), 0
        while fetched := cursor.fetchmany(_ROWS_AT_ONCE):
            rows += fetched
            size += sum(len(value) for row in fetched for value in row if isinstance(value, str | bytes))
            if len(rows) >= MAX_ROWS or size >= MAX_SIZE:
                yield Chunk([parse(row)[width:] for row in rows], rows[-1][:width])
                rows, size = [], 0
        if rows:
            yield Chunk([parse(row)[width:] for row in rows], rows[-1][:width])

    def _select(self, table: Table, columns: Sequence[str], after: Row | None) -> str:
        key, part = ", ".join(table.key), table.part.format(mask=self._mask)
        values = ", ".join(f"{table.read.get(name, f't.{name}')} AS {name}" for name in columns)
        behind = f"WHERE ({key}) > ({', '.join('?' * len(table.key))})" if after is not None else ""
        if not table.groups:
            return f"SELECT {key}, {part}, {values} FROM {table.source} {behind} ORDER BY {key}"  # noqa: S608
        grouped = f"SELECT {values} FROM {table.source} {behind} GROUP BY {key} ORDER BY {key}"  # noqa: S608
        return f"SELECT {key}, {part}, {', '.join(columns)} FROM ({grouped}) AS t"  # noqa: S608

    # --- as the target ----------------------------------------------------------------------------------------------

    async def progress(self, table: Table) -> Progress:
        """As it was stored last."""
        return progress_of(await self.execute(_PROGRESS, table.name))

    async def begin(self, table: Table) -> None:
        """Heads have their ids here once they are stored."""
        if table.name == "fetches":
            await self.execute(_HEAD_IDS)

    async def store(self, table: Table, columns: Sequence[str], rows: Sequence[Row], progress: Progress) -> None:
        """Add rows."""
        await self._thread(self._store, table, columns, rows, progress)

    def _store(self, table: Table, columns: Sequence[str], rows: Sequence[Row], progress: Progress) -> None:
        with self._connection:
            self._connection.execute("BEGIN")
            if table.name == _LINKS:
                self._connection.executemany(_ADD_LINK, _links_of(columns, rows))
            else:
                sql, used = self._insert(table, columns)
                self._connection.executemany(sql, map(itemgetter(*used), map(dumper_of(columns, 1), rows)))
            self._connection.execute(_SET_PROGRESS, progress_values(table, progress))

    def _insert(self, table: Table, columns: Sequence[str]) -> tuple[str, list[int]]:
        """The statement, and the places in a row of its parameters."""
        written = {name: table.written.get(name, f"{{{name}}}") for name in columns}
        values = {name: what for name, what in written.items() if what is not None}
        names = ["part", *columns]
        used = [place for place, name in enumerate(names) if any(f"{{{name}}}" in what for what in values.values())]
        parameters = {names[place]: f"?{number}" for number, place in enumerate(used, start=1)}
        expressions = (what.format(mask=self._mask, **parameters) for what in values.values())
        return f"INSERT INTO {table.name} ({', '.join(values)}) VALUES ({', '.join(expressions)})", used  # noqa: S608

    async def forget(self) -> None:
        """Of no state of a crawl that there is."""
        await self.execute(FORGET)

    async def stored(self, table: Table, columns: Sequence[str]) -> AsyncIterator[Sequence[Row]]:
        """All rows, read again."""
        async for chunk in self.chunks(table, columns):
            yield chunk.rows

    # --- statements -------------------------------------------------------------------------------------------------

    async def execute(self, sql: str, *parameters: Any) -> list[Any]:
        """Run one statement."""
        rows: list[Any] = await self._thread(lambda: self._connection.execute(sql, parameters).fetchall())
        return rows

    async def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for each of these, in one transaction."""

        def run() -> None:
            with self._connection:
                self._connection.execute("BEGIN")
                self._connection.executemany(sql, rows)

        await self._thread(run)

    async def _thread(self, function: Any, *arguments: Any) -> Any:
        async with self._turn:
            with explained(self._path):
                return await asyncio.to_thread(function, *arguments)


def progress_of(rows: Sequence[Any]) -> Progress:
    """Of what `copy_progress` has of a table, in either store."""
    if not rows:
        return Progress()
    upto, number, digest, is_whole = rows[0]
    return Progress(
        upto=None if upto is None else literal_eval(upto), tally=Tally(number, int(digest)), is_whole=bool(is_whole)
    )


def progress_values(table: Table, progress: Progress) -> tuple[Any, ...]:
    """A row of `copy_progress`. Keys hold texts, bytes, times and ids, exactly: as Python writes them."""
    upto = None if progress.upto is None else repr(progress.upto)
    return table.name, upto, progress.tally.rows, str(progress.tally.digest), int(progress.is_whole)


def _links_of(columns: Sequence[str], rows: Sequence[Row]) -> Iterator[tuple[Any, ...]]:
    """A row of `links` for each link of these pages."""
    page_id, links = 1 + columns.index("page_id"), 1 + columns.index("links")
    return ((row[page_id], *link) for row in rows for link in row[links])
