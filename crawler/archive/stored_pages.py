"""Reads the pages of a selection one after the other, as exports need them: no more of each than is asked for.

Invariant: all that one `PageReader` gives is of one snapshot, and no more than a batch of pages is held at a time.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import orjson

from crawler.archive.changes import newest_cursor, span_since
from crawler.archive.dialect import Dialect, Sql, Text
from crawler.archive.filters import Condition, PageFilter
from crawler.archive.moments import check_run
from crawler.archive.pages import OF_ATTEMPT, page_columns, pages_of
from crawler.archive.reading import Reader, open_database
from crawler.archive.selection import Selection
from crawler.bodies import decompress_or_none
from crawler.content.encoding import decode
from crawler.errors import DatabaseFailedError, UsageError
from crawler.location import Location
from crawler.records import Page
from crawler.statically_frozen import dataclass
from crawler.urls import host_of

_BATCH, _BATCH_OF_BODIES = 64, 16  # pages that are read together: each may be megabytes

_READ = """
SELECT c.url_id, c.page_id, u.status, {body}, 0, {columns} FROM ({chosen}) AS c CROSS JOIN urls AS u ON u.id = c.url_id
CROSS JOIN pages AS p ON p.id = c.page_id {attempt}{bodies} ORDER BY c.{order}
"""
# PostgreSQL is asked for the keys first, since it might sort the pages, texts and all; then for some pages at a time.
_KEYS = "SELECT c.part, c.host_id, c.url_id, c.page_id FROM ({chosen}) AS c ORDER BY c.part, c.host_id, c.url_id"
_READ_THESE = """
SELECT u.id, p.id, u.status, {body}, p.part, {columns}
FROM json_array_elements(?::json) WITH ORDINALITY AS wanted (key, place)
    JOIN urls AS u ON (u.part, u.host_id, u.id)
        = ((wanted.key ->> 0)::int, (wanted.key ->> 1)::bigint, (wanted.key ->> 2)::bigint)
    JOIN pages AS p ON (p.part, p.id) = ((wanted.key ->> 0)::int, (wanted.key ->> 3)::bigint)
    {attempt}{bodies} ORDER BY wanted.place
"""
_LISTING = Sql(
    """
SELECT u.url, c.page_id FROM ({chosen}) AS c CROSS JOIN urls AS u ON u.id = c.url_id ORDER BY c.url_id
""",
    """
SELECT u.url, c.page_id
FROM ({chosen}) AS c JOIN urls AS u ON (u.part, u.host_id, u.id) = (c.part, c.host_id, c.url_id)
ORDER BY u.part, u.host_id, u.id
""",
)
_AMONG = Sql(
    """
SELECT u.url FROM json_each(?) AS asked CROSS JOIN urls AS u ON u.url = asked.value
WHERE EXISTS (SELECT 1 FROM ({chosen}) AS c WHERE c.url_id = u.id)
""",
    """
SELECT u.url FROM json_array_elements(?::json) AS asked (key) JOIN urls AS u ON (u.part, u.host_id, u.id)
    = ((asked.key ->> 0)::int, (asked.key ->> 1)::bigint, (asked.key ->> 2)::bigint)
WHERE EXISTS (SELECT 1 FROM ({chosen}) AS c WHERE (c.part, c.host_id, c.url_id) = (u.part, u.host_id, u.id))
""",
)
_LINKS = Sql(
    """
SELECT p.url_id, l.target_id, u.url, u.status, l.anchor, l.rel, l.nofollow FROM json_each(?) AS wanted
CROSS JOIN pages AS p ON p.id = wanted.value CROSS JOIN links AS l ON l.page_id = p.id
CROSS JOIN urls AS u ON u.id = l.target_id
""",
    """
SELECT p.url_id, l.target_id, u.url, u.status, l.anchor, l.rel, l.nofollow
FROM json_array_elements(?::json) WITH ORDINALITY AS wanted (key, place)
    JOIN pages AS p ON (p.part, p.id) = ((wanted.key ->> 0)::int, (wanted.key ->> 1)::bigint)
    JOIN links AS l ON (l.part, l.page_id) = (p.part, p.id)
    JOIN urls AS u ON u.part = (l.target_host_id & (SELECT parts - 1 FROM meta))::int
        AND (u.host_id, u.id) = (l.target_host_id, l.target_id)
ORDER BY wanted.place
""",
)
_BODIES = Sql(
    " LEFT JOIN bodies AS b ON b.hash = p.body_hash",
    " LEFT JOIN bodies AS b ON (b.part, b.hash) = (p.part, p.body_hash)",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPage:
    """A version of a page. Of `page`, only the fields that were asked for are filled for certain.

    `url_status` is the status of its URL by now (fetched, gone ...), `zstd` its body as it is stored; None: it was not
    asked for, or none is stored. `part` is its partition in PostgreSQL.
    """

    page: Page
    url_id: int
    page_id: int
    url_status: str
    zstd: bytes | None = None
    part: int = 0

    @property
    def host(self) -> str:
        """The host of its URL."""
        return host_of(self.page.url)

    def body(self) -> bytes | None:
        """The bytes that it was read from; None also where they are damaged, of which `crawler verify` tells."""
        return decompress_or_none(self.zstd)

    def html(self) -> str | None:
        """The body as text; None where there is none, or where it is no text, such as PDF."""
        body = self.body() if "pdf" not in (self.page.content_type or "") else None
        return None if body is None else decode(body, self.page.encoding)


class Removed(NamedTuple):
    """A page that is among the chosen no more: it is `gone`, has `moved`, was `withdrawn`, or is `filtered` out."""

    url: str
    why: str


class StoredLink(NamedTuple):
    """A link of a page: the rows of both URLs in `urls`, where it leads, and what it says."""

    page_url_id: int
    target_id: int
    url: str
    url_status: str
    anchor: str
    rel: str
    nofollow: int


_Batches: TypeAlias = AsyncGenerator[Sequence[Sequence[Any]]]


class PageReader:
    """Pages of a selection from one snapshot of a database. `cursor` stands behind all that it shows."""

    def __init__(self, reader: Reader, selection: Selection, cursor: str) -> None:
        self.selection, self.cursor = selection, cursor
        self._reader, self._whole = reader, replace(selection, span=None, whole_hosts=False)

    @property
    def db(self) -> Location:
        """The database."""
        return self._reader.db

    @property
    def has_hashes(self) -> bool:
        """Whether ids are hashes of texts, of 64 bits with a sign and never 0, and no numbers from 1 on."""
        return self._reader.dialect is Dialect.POSTGRES

    async def count(self) -> int:
        """How many pages there are. Takes some seconds where there are a million."""
        with self._explained():
            query = self.selection.count()
            [[(number,)]] = [rows async for rows in self._reader.stream(*query, _BATCH)]
            return int(number)

    async def pages(
        self, fields: Collection[str], *, with_bodies: bool = False, by: Sequence[str] = ()
    ) -> AsyncGenerator[StoredPage]:
        """Each page once, in the order in which their URLs were found, of PostgreSQL host by host. `fields` are names
        of fields of `Page`.

        `by`: those first that are alike in these columns (see `PARTED_BY`), and so on.
        """
        parts: dict[str, Text] = {
            "body": "b.zstd" if with_bodies else "NULL",
            "columns": page_columns(fields),
            "attempt": OF_ATTEMPT,
            "bodies": _BODIES if with_bodies else "",
        }
        with_links = "links" in fields or "link_details" in fields
        size = _BATCH_OF_BODIES if with_bodies else _BATCH
        rows_of = self._of_postgres if self.has_hashes else self._of_file
        async with aclosing(rows_of(parts, by, size)) as batches:
            async for rows in batches:
                pages = await pages_of([row[5:] for row in rows], self._reader, with_links=with_links)
                for (url_id, page_id, status, zstd, part, *_more), page in zip(rows, pages, strict=True):
                    yield StoredPage(page=page, url_id=url_id, page_id=page_id, url_status=status, zstd=zstd, part=part)

    async def links_of(self, pages: Sequence[StoredPage]) -> list[StoredLink]:
        """The links of these versions, page by page."""
        keys = [(page.part, page.page_id) if self.has_hashes else page.page_id for page in pages]
        return [StoredLink(*row) for row in await self._reader.fetch(_LINKS, orjson.dumps(keys).decode())]

    async def listing(self) -> AsyncGenerator[tuple[str, int]]:
        """The URL of each page, and its row in `pages`; also of those that the span does not speak of."""
        chosen = self._whole.chosen()
        async with aclosing(self._batches(_LISTING.format(chosen=chosen.sql), chosen.parameters)) as batches:
            async for rows in batches:
                for url, page_id in rows:
                    yield url, page_id

    async def among(self, urls: Sequence[str]) -> set[str]:
        """Which of these URLs are those of pages in `listing`."""
        chosen = self._whole.chosen()
        asked = orjson.dumps([self._reader.key_of(url) or url for url in urls]).decode()
        with self._explained():
            found = await self._reader.fetch(_AMONG.format(chosen=chosen.sql), asked, *chosen.parameters)
        return {row[0] for row in found}

    async def changed_hosts(self) -> list[str]:
        """The hosts of which the span of the selection speaks."""
        query = self.selection.changed_hosts()
        return [row[0] async for rows in self._reader.stream(*query, _BATCH) for row in rows]

    async def removed(self) -> AsyncGenerator[Removed]:
        """What the span of the selection speaks of, and is not among its pages."""
        async with aclosing(self._batches(*self.selection.went())) as batches:
            async for rows in batches:
                for row in rows:
                    yield Removed(*row)

    async def _of_file(self, parts: Mapping[str, Text], by: Sequence[str], size: int) -> _Batches:
        chosen = await self._ordered(by) if by else self.selection.chosen()
        sql = Sql.same(_READ).format(**parts, chosen=chosen.sql, order="place" if by else "url_id")
        async with aclosing(self._batches(sql, chosen.parameters, size)) as batches:
            async for rows in batches:
                yield rows

    async def _of_postgres(self, parts: Mapping[str, Text], by: Sequence[str], size: int) -> _Batches:
        chosen, sql = self.selection.chosen(by), Sql.same(_READ_THESE).format(**parts)
        keys = chosen.sql if by else _KEYS.format(chosen=chosen.sql)
        async with aclosing(self._batches(keys, chosen.parameters, size)) as batches:
            async for rows in batches:
                yield await self._reader.fetch(sql, orjson.dumps(rows).decode())

    async def _ordered(self, by: Sequence[str]) -> Condition:
        """The chosen ones in that order, from a temporary table: to sort the pages themselves would take their size."""
        query = self.selection.chosen(by)
        await self._reader.fetch("DROP TABLE IF EXISTS temp.parted")
        await self._reader.fetch(f"CREATE TEMP TABLE parted AS {query.sql}", *query.parameters)
        return Condition("SELECT url_id, page_id, rowid AS place FROM temp.parted", ())

    async def _batches(self, sql: Text, parameters: Sequence[Any], size: int = _BATCH) -> _Batches:
        with self._explained():
            async with aclosing(self._reader.stream(sql, parameters, size)) as batches:
                async for rows in batches:
                    yield rows

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What goes wrong in a condition only once it meets a row, such as JSON that is none, is its author's fault."""
        try:
            yield
        except DatabaseFailedError as error:
            if self.selection.pages.where is None or not self._reader.blames_the_query(error):
                raise
            raise UsageError(f"--where: {error.__cause__}") from error


@asynccontextmanager
async def open_pages(
    db: Location, chosen: PageFilter, since: str | None = None, *, whole_hosts: bool = False
) -> AsyncIterator[PageReader]:
    """Read the pages that pass the filter; `since`: only what has happened after this cursor; with `whole_hosts` all of
    the hosts where anything has.

    Raises `UsageError` for a run that does not exist, a condition that cannot be used, and what is no cursor of this
    database; `DatabaseFailedError` if there is no crawl database.
    """
    async with open_database(db) as reader:
        if chosen.where is not None:
            await reader.check_condition("stored_pages", chosen.where)
        async with reader.snapshot():
            if chosen.run is not None:
                await check_run(reader, chosen.run)
            span = None if since is None else await span_since(reader, since)
            cursor = await newest_cursor(db, reader) if span is None else span.cursor
            is_of_hosts = whole_hosts and span is not None
            selection = Selection(pages=chosen, span=span, whole_hosts=is_of_hosts, dialect=reader.dialect)
            yield PageReader(reader, selection, cursor)
