"""Removes old page versions, old attempts, and the bodies and heads that nothing refers to any more.

Invariants: the newest version of a page (`urls.page_id`) stays, and so does the attempt behind every version that is
kept. Whoever reads the log of changes from its beginning learns of every page, and where it stands; whoever has read
a part of it learns that something is missing (`change_log_pruned`). Each transaction removes a bounded number of rows
and everything that refers to them, so that a kill at any instant leaves a consistent database, and the next prune
continues. URLs, and so the hosts' counts, are not touched. The caller holds the lock.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiosqlite

from crawler.storage.interface import Pruned
from crawler.storage.sqlite.database import explained, open_reader, open_writer

_URLS = 5_000  # per query
_PAGES = 500  # per transaction, each with its links
_ROWS = 20_000  # of attempts or bodies, per transaction

# By pages_of_url alone.
_VERSIONED = "SELECT url_id FROM pages WHERE url_id > ? GROUP BY url_id HAVING count(*) > ? ORDER BY url_id LIMIT ?"

_DOOM = """
INSERT INTO doomed SELECT id FROM (
    SELECT p.id, f.started_at, p.id IS u.page_id AS newest,
        row_number() OVER (PARTITION BY p.url_id ORDER BY p.id IS u.page_id DESC, p.id DESC) AS place
    FROM urls AS u JOIN pages AS p ON p.url_id = u.id JOIN fetches AS f ON f.id = p.fetch_id
    WHERE u.id IN (SELECT url_id FROM pages WHERE url_id > ?1 AND url_id <= ?2 GROUP BY url_id HAVING count(*) > ?3)
) WHERE NOT newest AND place > ?3 AND started_at < ?4
"""

_DOOMED = "SELECT id FROM doomed WHERE id > ? ORDER BY id LIMIT ?"

_SCRATCH = """
CREATE TEMP TABLE doomed (id INTEGER PRIMARY KEY);
CREATE TEMP TABLE kept_fetches (id INTEGER PRIMARY KEY);
CREATE TEMP TABLE kept_heads (id INTEGER PRIMARY KEY);
CREATE TEMP TABLE kept_bodies (hash BLOB PRIMARY KEY) WITHOUT ROWID;
"""

_KEEP = """
INSERT OR IGNORE INTO kept_fetches SELECT fetch_id FROM pages WHERE id NOT IN doomed;
INSERT OR IGNORE INTO kept_bodies SELECT body_hash FROM pages WHERE id NOT IN doomed AND body_hash IS NOT NULL;
"""

# A body that no parser could read belongs to its attempt.
_KEEP_UNREAD = """
INSERT OR IGNORE INTO kept_bodies
SELECT body_hash FROM fetches WHERE body_hash IS NOT NULL AND (started_at >= ? OR id IN kept_fetches)
"""

_KEEP_HEADS = """
INSERT OR IGNORE INTO kept_heads
SELECT head_id FROM fetches WHERE head_id IS NOT NULL AND (started_at >= ? OR id IN kept_fetches)
"""

_LINKS = "FROM links WHERE page_id IN (SELECT id FROM doomed WHERE id BETWEEN ?1 AND ?2)"
_EXTRACTS = "FROM extracts WHERE page_id IN (SELECT id FROM doomed WHERE id BETWEEN ?1 AND ?2)"
_MISSES = "FROM extract_misses WHERE page_id IN (SELECT id FROM doomed WHERE id BETWEEN ?1 AND ?2)"
_OLD_PAGES = "FROM pages WHERE id IN (SELECT id FROM doomed WHERE id BETWEEN ?1 AND ?2)"
_OLD_FETCHES = "FROM fetches WHERE id BETWEEN ?1 AND ?2 AND started_at < ?3 AND id NOT IN kept_fetches"
_OLD_HEADS = "FROM heads WHERE id BETWEEN ?1 AND ?2 AND id NOT IN kept_heads"
_OLD_BODIES = "FROM bodies WHERE rowid BETWEEN ?1 AND ?2 AND hash NOT IN kept_bodies"

# Not the first of a page, and not the last that says where a URL stands (broken or healed say nothing of a page); nor
# the newest row of all, whose id would be used again.
_OLD_CHANGES = """
FROM change_log AS c WHERE id BETWEEN ?1 AND ?2 AND at < ?3 AND change <> 'new'
    AND id < (SELECT max(id) FROM change_log)
    AND (page_id IS NOT NULL OR EXISTS (
        SELECT 1 FROM change_log AS later WHERE later.url_id = c.url_id AND later.page_id IS NULL AND later.id > c.id
            AND (later.change NOT IN ('broken', 'healed') OR c.change IN ('broken', 'healed'))
    ))
"""
_PRUNED_UPTO = f"SELECT max(id) {_OLD_CHANGES}"
_FORGET_PRUNED = "DELETE FROM change_log_pruned WHERE upto < (SELECT max(upto) FROM change_log_pruned)"


async def prune(
    path: Path, *, keep_versions: int = 1, before: float | None = None, vacuum: bool = False, dry_run: bool = False
) -> Pruned:
    """See `interface.Database.prune`. Raises `DatabaseFailedError`."""
    async with _opened(path, read_only=dry_run) as connection:
        with explained(path):
            size_before = await _size(connection)
            pruning = _Pruning(connection, dry_run=dry_run)
            counts = await pruning.run(keep_versions, before)
            freed = pruning.bytes if dry_run else await _free(connection)
            if vacuum and not dry_run:
                await connection.execute("VACUUM")
                await connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return Pruned(**counts, freed=freed, size_before=size_before, size_after=await _size(connection))


class _Pruning:
    def __init__(self, connection: aiosqlite.Connection, *, dry_run: bool) -> None:
        self._connection = connection
        self._dry_run = dry_run
        self.bytes = 0  # of what a dry run found

    async def run(self, keep_versions: int, before: float | None) -> dict[str, int]:
        """The numbers of rows, by table."""
        await self._connection.executescript(_SCRATCH)
        await self._doom(keep_versions, math.inf if before is None else before)
        await self._connection.executescript(_KEEP)
        await self._connection.execute(_KEEP_UNREAD, (-math.inf if before is None else before,))
        links, pages = await self._remove_pages()
        fetches = 0
        if before is not None:
            await self._connection.execute(_KEEP_HEADS, (before,))
            fetches = await self._sweep("fetches", "id", _OLD_FETCHES, "coalesce(length(head_values), 0)", before)
            await self._sweep("heads", "id", _OLD_HEADS, "length(fields)")
            await self._sweep(
                "change_log", "id", _OLD_CHANGES, "coalesce(length(detail), 0)", before, mark=_PRUNED_UPTO
            )
        bodies = await self._sweep("bodies", "rowid", _OLD_BODIES, "length(zstd)")
        return {"pages": pages, "links": links, "fetches": fetches, "bodies": bodies}

    async def _doom(self, keep_versions: int, before: float) -> None:
        """Note the versions that go, some thousand URLs at a time."""
        last = 0
        while urls := await self._fetch(_VERSIONED, last, keep_versions, _URLS):
            await self._connection.execute(_DOOM, (last, urls[-1][0], keep_versions, before))
            last = urls[-1][0]

    async def _remove_pages(self) -> tuple[int, int]:
        links = pages = last = 0
        while ids := await self._fetch(_DOOMED, last, _PAGES):
            span = ids[0][0], ids[-1][0]
            async with self._transaction():
                await self._remove(_EXTRACTS, "length(data)", *span)
                await self._remove(_MISSES, "length(lacking)", *span)
                links += await self._remove(_LINKS, "length(anchor)", *span)
                pages += await self._remove(_OLD_PAGES, "length(text)", *span)
            last = span[1]
        return links, pages

    async def _sweep(self, table: str, key: str, sql: str, size: str, *more: Any, mark: str | None = None) -> int:
        """Go over a table by its ids; returns how many rows went. `mark`: finds the last one, which is remembered."""
        top = (await self._fetch(f"SELECT coalesce(max({key}), 0) FROM {table}"))[0][0]  # noqa: S608 - our own names
        removed = 0
        for first in range(1, top + 1, _ROWS):
            async with self._transaction():
                if mark is not None and not self._dry_run:
                    await self._remember(await self._fetch(mark, first, first + _ROWS - 1, *more))
                removed += await self._remove(sql, size, first, first + _ROWS - 1, *more)
        return removed

    async def _remember(self, last: Sequence[Any]) -> None:
        """Up to which row changes are missing."""
        if last[0][0] is not None:
            await self._connection.execute("INSERT INTO change_log_pruned VALUES (?)", last[0])
            await self._connection.execute(_FORGET_PRUNED)

    async def _remove(self, sql: str, size: str, *parameters: Any) -> int:
        if self._dry_run:
            count, size_bytes = (await self._fetch(f"SELECT count(*), total({size}) {sql}", *parameters))[0]
            self.bytes += int(size_bytes)
            return int(count)
        async with self._connection.execute(f"DELETE {sql}", parameters) as cursor:
            return cursor.rowcount

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        """What is not committed when this fails goes with the connection, which is closed then."""
        await self._connection.execute("BEGIN" if self._dry_run else "BEGIN IMMEDIATE")
        yield
        await self._connection.execute("COMMIT")

    async def _fetch(self, sql: str, *parameters: Any) -> list[Any]:
        return list(await self._connection.execute_fetchall(sql, parameters))


@asynccontextmanager
async def _opened(path: Path, *, read_only: bool) -> AsyncIterator[aiosqlite.Connection]:
    """A database that is there: to open one for writing would make it."""
    async with open_reader(path) as reader:
        if read_only:
            yield reader
            return
    async with open_writer(path) as writer:
        yield writer


async def _size(connection: aiosqlite.Connection) -> int:
    return await _pragma(connection, "page_count") * await _pragma(connection, "page_size")


async def _free(connection: aiosqlite.Connection) -> int:
    return await _pragma(connection, "freelist_count") * await _pragma(connection, "page_size")


async def _pragma(connection: aiosqlite.Connection, name: str) -> int:
    async with connection.execute(f"PRAGMA {name}") as cursor:
        row = await cursor.fetchone()
    return int(row[0]) if row else 0
