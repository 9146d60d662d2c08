"""Reading a crawl database from Python: its pages as they were stored, and their bodies."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiosqlite

from crawler.bodies import decompress
from crawler.records import Link, Page
from crawler.storage.database import explained, open_reader

_PAGES = """
SELECT p.id, u.url, p.title, p.description, p.language, p.canonical_url, p.text, p.encoding, p.headings, p.open_graph,
    p.json_ld, p.links_total, p.noindex, p.nofollow, p.content_hash
FROM urls AS u JOIN pages AS p ON p.id = u.page_id
"""

_LINKS = """
SELECT u.url, l.anchor, l.rel, l.nofollow FROM links AS l JOIN urls AS u ON u.id = l.target_id WHERE l.page_id = ?
"""

_BODY = """
SELECT b.zstd FROM urls AS u JOIN bodies AS b ON b.hash = coalesce(
    (SELECT body_hash FROM pages WHERE id = u.page_id),
    (SELECT body_hash FROM fetches WHERE url_id = u.id AND body_hash IS NOT NULL ORDER BY id DESC LIMIT 1)
) WHERE u.url = ?
"""


class Archive:
    """What a crawl has stored. It may be read while the crawl runs, and sees what is committed."""

    def __init__(self, path: Path, connection: aiosqlite.Connection) -> None:
        self._path = path
        self._connection = connection

    async def pages(self) -> AsyncIterator[Page]:
        """The newest version of every page, in the order in which the URLs were found."""
        async with self._connection.execute(_PAGES + "ORDER BY u.id") as cursor:
            async for row in cursor:
                yield await self._page(row)

    async def page(self, url: str) -> Page | None:
        """The newest version of the page at `url` (normalized); None where none is stored."""
        rows = await self._read(_PAGES + "WHERE u.url = ?", url)
        return await self._page(rows[0]) if rows else None

    async def body(self, url: str) -> bytes | None:
        """The body that page was read from, or the newest one that could not be read (`parse_timeout`).

        Content-Encoding is undone. None where no body is kept.
        """
        rows = await self._read(_BODY, url)
        return decompress(rows[0][0]) if rows else None

    async def _page(self, row: Sequence[Any]) -> Page:
        links = tuple(
            Link(url, anchor, rel, bool(nofollow)) for url, anchor, rel, nofollow in await self._read(_LINKS, row[0])
        )
        return Page(
            url=row[1],
            title=row[2],
            description=row[3],
            language=row[4],
            canonical_url=row[5],
            text=row[6],
            encoding=row[7],
            headings=tuple((level, text) for level, text in json.loads(row[8])),
            open_graph=json.loads(row[9]),
            json_ld=tuple(json.loads(row[10])),
            links=links,
            links_total=row[11],
            noindex=bool(row[12]),
            nofollow=bool(row[13]),
            content_hash=row[14],
        )

    async def _read(self, sql: str, *parameters: Any) -> list[Any]:
        with explained(self._path):
            return list(await self._connection.execute_fetchall(sql, parameters))


@asynccontextmanager
async def open_crawl(path: Path | str) -> AsyncIterator[Archive]:
    """Open a crawl database to read it. Raises `DatabaseFailedError` where there is none."""
    async with open_reader(Path(path)) as connection:
        yield Archive(Path(path), connection)
