"""Stored pages, read again by extraction rules: which are to be read, and what is found on them.

Invariant: what was found on a batch of pages is committed together with how far the rules have come, so that a kill at
any instant leaves each page with the rows of one reading, and the next start goes on behind the last batch.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiosqlite

from crawler.extraction_rules import Rule
from crawler.records import EarlierBody, Extract
from crawler.rule_tables import read_rules
from crawler.storage.interface import StoredPage
from crawler.storage.sqlite.database import explained, open_reader, open_writer
from crawler.storage.sqlite.extracts import UNREAD, Found, drop_rule, set_rules, store_extracts
from crawler.storage.values import as_json

_IS_BEHIND = "name IN (SELECT value FROM json_each(?1)) AND unread_upto > read_upto"
_SPAN = f"SELECT min(read_upto), max(unread_upto) FROM extraction_rules WHERE {_IS_BEHIND}"  # noqa: S608 - our own names
_PAGES = """
SELECT p.id, p.url_id, u.url, b.size FROM pages AS p CROSS JOIN urls AS u ON u.id = p.url_id
LEFT JOIN bodies AS b ON b.hash = p.body_hash WHERE p.id > ? AND p.id <= ? ORDER BY p.id LIMIT ?
"""
_BODIES = """
SELECT p.id, b.hash, b.zstd, f.content_type FROM json_each(?) AS v CROSS JOIN pages AS p ON p.id = v.value
CROSS JOIN bodies AS b ON b.hash = p.body_hash LEFT JOIN fetches AS f ON f.id = p.fetch_id
"""
_FORGET = """
DELETE FROM {} WHERE page_id IN (SELECT value FROM json_each(?2)) AND rule IN (SELECT value FROM json_each(?1))
"""
_SET_READ = f"UPDATE extraction_rules SET read_upto = max(read_upto, ?2) WHERE {_IS_BEHIND}"  # noqa: S608 - our own names


class SqliteExtraction:
    """See `interface.Extraction`."""

    def __init__(self, path: Path, connection: aiosqlite.Connection) -> None:
        self._path = path
        self._connection = connection

    async def rules(self) -> tuple[Rule, ...]:
        """All that were ever used."""
        rows = await self._execute("SELECT definition FROM extraction_rules ORDER BY name")
        return read_rules([json.loads(row[0]) for row in rows], f"{self._path}: ")

    async def use_rules(self, rules: Sequence[Rule], *, again: bool) -> dict[str, int]:
        """Each has a view; returns how many pages have not been read by each of them, those of which there are some."""
        async with self._transaction():
            await set_rules(rules, self._execute, again=again)
        wanted = {rule.name for rule in rules}
        return {name: number for name, number in await self._execute(UNREAD) if number and name in wanted}

    async def drop_rule(self, name: str) -> int | None:
        """Forget it; returns the number of its rows."""
        if not await self._execute("SELECT 1 FROM extraction_rules WHERE name = ?", name):
            return None
        ((rows,),) = await self._execute("SELECT count(*) FROM extracts WHERE rule = ?", name)
        async with self._transaction():
            await drop_rule(name, self._execute)
        return int(rows)

    async def unread(self, names: Sequence[str], limit: int) -> list[StoredPage]:
        """The oldest versions that some of these rules have not read."""
        ((after, upto),) = await self._execute(_SPAN, as_json(list(names)))
        if upto is None:
            return []
        rows = await self._execute(_PAGES, after, upto, limit)
        if not rows:  # the last ones have been pruned
            await self._execute(_SET_READ, as_json(list(names)), upto)
        return [StoredPage(page_id=page_id, url_id=url_id, url=url, size=size) for page_id, url_id, url, size in rows]

    async def bodies(self, pages: Sequence[StoredPage]) -> dict[int, EarlierBody]:
        """By version."""
        rows = await self._execute(_BODIES, as_json([page.page_id for page in pages]))
        return {row[0]: EarlierBody(digest=row[1], zstd=row[2], content_type=row[3]) for row in rows}

    async def store(
        self, names: Sequence[str], pages: Sequence[StoredPage], found: Mapping[int, Sequence[Extract]]
    ) -> None:
        """In the place of what these rules had found on them; what is missing in `found` keeps its rows."""
        rows = [
            Found(page.page_id, page.url_id, found[page.page_id], is_again=False)
            for page in pages
            if page.page_id in found
        ]
        async with self._transaction():
            for table in ("extracts", "extract_misses"):
                await self._execute(_FORGET.format(table), as_json(list(names)), as_json([row.page_id for row in rows]))
            await store_extracts(rows, None, self._execute)
            await self._execute(_SET_READ, as_json(list(names)), pages[-1].page_id)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        """What is not committed when this fails goes with the connection, which is closed then."""
        await self._execute("BEGIN IMMEDIATE")
        yield
        await self._execute("COMMIT")

    async def _execute(self, sql: str, *parameters: Any) -> list[Any]:
        with explained(self._path):
            return list(await self._connection.execute_fetchall(sql, parameters))


@asynccontextmanager
async def open_extraction(path: Path) -> AsyncIterator[SqliteExtraction]:
    """A database that is there: to open one for writing would make it. The caller holds it."""
    async with open_reader(path, any_schema=True):
        pass
    async with open_writer(path) as writer:
        yield SqliteExtraction(path, writer)
