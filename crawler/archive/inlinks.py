"""The links to a URL: by the index in the derived file of a SQLite crawl, and by looking at all pages of PostgreSQL.

There, an index of targets would cost every commit more than the links themselves do; so the texts in which the links
of a page stand are searched for the target's id, and only where it occurs are they read.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING

from crawler.archive.answers import InLink
from crawler.archive.indexes import LINK_SOURCES
from crawler.archive.selecting import answer, select

if TYPE_CHECKING:
    from crawler.archive.beside import Beside
    from crawler.archive.postgres_reader import PostgresReader
    from crawler.archive.reading import Reader

_ROWS = 1024  # of answers that are streamed
_SPARE = 4  # candidates for each link that is asked for: some pages link there no more
_SCAN_S = 10.0  # for so many links as somebody wants to see
_PARTS = 16  # looked at by one statement

_ALL = "inlinks WHERE target_id = ?1"
_AMONG = f"""
{_ALL} AND page_url_id IN (
    SELECT value FROM json_each(?2)
    UNION SELECT p.url_id FROM links AS l CROSS JOIN pages AS p ON p.id = l.page_id
        WHERE l.page_id > ?3 AND l.target_id = ?1
)
"""  # noqa: S608 - our own names
_WITHIN = "page_url_id <= (SELECT max(value) FROM json_each(?2))"  # beyond that, others may come in between
_FIRST = select(InLink, f"{_AMONG} AND {_WITHIN} ORDER BY page_url_id LIMIT ?4")

_SCAN = select(
    InLink,
    """(
    SELECT s.url AS page_url, e.link ->> 2 AS anchor, e.link ->> 3 AS rel, (e.link ->> 4)::int AS nofollow,
        s.status AS page_status
    FROM page_links AS k JOIN pages AS p ON (p.part, p.id) = (k.part, k.page_id)
        JOIN urls AS s ON (s.part, s.host_id, s.id) = (p.part, p.host_id, p.url_id) AND s.page_id = p.id
        CROSS JOIN LATERAL json_array_elements(k.links::json) AS e (link)
    WHERE k.part >= ? AND k.part < ? AND strpos(k.links, ?::text) > 0 AND (e.link ->> 1)::bigint = ?
        AND s.status IN ('fetched', 'failed', 'pending')
) AS found ORDER BY page_url COLLATE "C" LIMIT ?""",
)


async def links_by_index(
    reader: Reader, beside: Beside | None, url_id: int, limit: int | None
) -> AsyncGenerator[InLink, None]:
    """Those to the URL of that row, in the order in which the pages were found; without an index every page is looked
    at. `limit`: at most so many, which is quick for a URL that every page links to.
    """
    few = [] if limit is None or beside is None else await _links_among(reader, beside, url_id, limit)
    if limit is not None and len(few) == limit:
        for link in few:
            yield link
        return
    known = None if beside is None else await beside.candidates(LINK_SOURCES, url_id)
    source, more = (_ALL, ()) if known is None else (_AMONG, known)
    found = select(InLink, f"{source} ORDER BY page_url_id LIMIT {-1 if limit is None else limit}")
    async for rows in reader.stream(found, (url_id, *more), _ROWS):
        for row in rows:
            yield answer(InLink, row)


async def _links_among(reader: Reader, beside: Beside, url_id: int, limit: int) -> list[InLink]:
    """The first links, if so many candidates of the index hold enough of them."""
    known = await beside.candidates(LINK_SOURCES, url_id, _SPARE * limit)
    if known is None:
        return []
    return [answer(InLink, row) for row in await reader.fetch(_FIRST, url_id, *known, limit)]


async def links_by_scan(
    reader: PostgresReader, url_id: int, limit: int | None, notify: Callable[[str], None]
) -> AsyncGenerator[InLink, None]:
    """Those to the URL with that id, some partitions after the others. With `limit`, that ends after some seconds, and
    `notify` is told if it was not the end.
    """
    until, found = time.monotonic() + _SCAN_S, 0
    for first in range(0, reader.parts, _PARTS):
        asked = (first, first + _PARTS, str(url_id), url_id, None if limit is None else limit - found)
        if limit is None:
            rows = await reader.fetch(_SCAN, *asked)
        else:
            some = await reader.fetch_within(_SCAN, *asked, limit_s=until - time.monotonic())
            if some is None:
                notify(
                    f"links to it were looked for on {first / reader.parts:.0%} of the pages, for {_SCAN_S:g} s; there"
                    " may be more (a copy in a SQLite file has an index of them: crawler copy)"
                )
                return
            rows = some
        for row in rows:
            yield answer(InLink, row)
        found += len(rows)
        if found == limit:
            return
