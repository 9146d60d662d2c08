"""Stored pages, read again by extraction rules: which are to be read, and what is found on them.

Invariant: what was found on a batch of pages, all of one partition, is committed together with how far the rules have
come in it, so that a kill at any instant leaves each page with the rows of one reading, and the next start goes on
behind the last batch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from crawler.extraction_rules import Rule
from crawler.records import EarlierBody, Extract
from crawler.rule_tables import read_rules
from crawler.storage.interface import StoredPage
from crawler.storage.postgres.connection import shown
from crawler.storage.postgres.extracts import FORGET_OF_PAGES, UNREAD, Found, drop_rule, set_rules, store_extracts
from crawler.storage.postgres.ids import part_of_row
from crawler.storage.postgres.session import Session
from crawler.storage.postgres.transactions import Execute

_SPAN = """
SELECT part, min(read_upto), max(unread_upto) FROM extraction_reads
WHERE rule = ANY($1::text[]) AND unread_upto > read_upto GROUP BY part ORDER BY part LIMIT 1
"""
_PAGES = """
SELECT p.id, p.url_id, u.url, b.size FROM pages AS p
JOIN urls AS u ON u.part = p.part AND u.host_id = p.host_id AND u.id = p.url_id
LEFT JOIN bodies AS b ON b.part = p.part AND b.hash = p.body_hash
WHERE p.part = $1 AND p.id > $2 AND p.id <= $3 ORDER BY p.id LIMIT $4
"""
_BODIES = """
SELECT p.id, b.hash, b.zstd, f.content_type FROM pages AS p JOIN bodies AS b ON b.part = p.part AND b.hash = p.body_hash
LEFT JOIN fetches AS f ON f.part = p.part AND f.id = p.fetch_id WHERE p.part = $1 AND p.id = ANY($2::bigint[])
"""
_SET_READ = """
UPDATE extraction_reads SET read_upto = greatest(read_upto, $3)
WHERE part = $1 AND rule = ANY($2::text[]) AND unread_upto > read_upto
"""


class PostgresExtraction:
    """See `interface.Extraction`. The session's process is alone with the database."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def rules(self) -> tuple[Rule, ...]:
        """All that were ever used."""
        rows = await self._session._read("SELECT definition FROM extraction_rules ORDER BY name")
        return read_rules([json.loads(row[0]) for row in rows], f"{shown(self._session.db)}: ")

    async def use_rules(self, rules: Sequence[Rule], *, again: bool) -> dict[str, int]:
        """Each has a view; returns how many pages have not been read by each of them, those of which there are some."""

        async def work(execute: Execute) -> None:
            await set_rules(rules, execute, again=again)

        await self._session._transact(work)
        wanted = {rule.name for rule in rules}
        return {name: number for name, number in await self._session._read(UNREAD) if name in wanted}

    async def drop_rule(self, name: str) -> int | None:
        """Forget it; returns the number of its rows."""
        session = self._session
        if not await session._read("SELECT 1 FROM extraction_rules WHERE name = $1", name):
            return None
        ((rows,),) = await session._read("SELECT count(*) FROM extracts WHERE rule = $1", name)

        async def work(execute: Execute) -> None:
            await drop_rule(name, execute)

        await session._transact(work)
        return int(rows)

    async def unread(self, names: Sequence[str], limit: int) -> list[StoredPage]:
        """The oldest versions that some of these rules have not read, of one partition after the other."""
        while spans := await self._session._read(_SPAN, list(names)):
            part, after, upto = spans[0]
            if rows := await self._session._read(_PAGES, part, after, upto, limit):
                return [StoredPage(page_id=row[0], url_id=row[1], url=row[2], size=row[3]) for row in rows]
            await self._session._write(_SET_READ, part, list(names), upto)  # the last ones have been pruned
        return []

    async def bodies(self, pages: Sequence[StoredPage]) -> dict[int, EarlierBody]:
        """By version."""
        if not pages:
            return {}
        ids = [page.page_id for page in pages]
        rows = await self._session._read(_BODIES, part_of_row(ids[0]), ids)
        return {row[0]: EarlierBody(digest=row[1], zstd=row[2], content_type=row[3]) for row in rows}

    async def store(
        self, names: Sequence[str], pages: Sequence[StoredPage], found: Mapping[int, Sequence[Extract]]
    ) -> None:
        """In the place of what these rules had found on them; what is missing in `found` keeps its rows."""
        part = part_of_row(pages[-1].page_id)
        rows = [
            Found(part, page.page_id, page.url_id, found[page.page_id], is_again=False)
            for page in pages
            if page.page_id in found
        ]

        async def work(execute: Execute) -> None:
            for statement in FORGET_OF_PAGES:
                await execute(statement, part, [row.page_id for row in rows], list(names))
            await store_extracts(rows, None, execute)
            await execute(_SET_READ, part, list(names), pages[-1].page_id)

        await self._session._transact(work)
