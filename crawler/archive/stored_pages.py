"""Reads the pages of a selection one after the other, as exports need them: no more of each than is asked for.

Invariant: all that one `PageReader` gives is of one snapshot, and no more than a batch of pages is held at a time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import aiosqlite
import orjson

from crawler.archive.changes import newest_cursor, span_since
from crawler.archive.filters import Condition, PageFilter
from crawler.archive.foreign_sql import check_condition
from crawler.archive.moments import check_run, snapshot
from crawler.archive.pages import OF_ATTEMPT, page_columns, pages_of
from crawler.archive.reading import open_archive, stream
from crawler.archive.selection import Selection
from crawler.bodies import decompress_or_none
from crawler.content.encoding import decode
from crawler.errors import DatabaseFailedError, UsageError
from crawler.records import Page
from crawler.storage.sqlite.database import explained
from crawler.urls import host_of

_BATCH, _BATCH_OF_BODIES = 64, 16  # pages that are read together: each may be megabytes

_READ = """
SELECT c.url_id, c.page_id, u.status, {body}, {columns} FROM ({chosen}) AS c CROSS JOIN urls AS u ON u.id = c.url_id
CROSS JOIN pages AS p ON p.id = c.page_id {attempt}{bodies} ORDER BY c.{order}
"""
_LISTING = """
SELECT u.url, c.page_id FROM ({chosen}) AS c CROSS JOIN urls AS u ON u.id = c.url_id ORDER BY c.url_id
"""
_AMONG = """
SELECT u.url FROM json_each(?) AS asked CROSS JOIN urls AS u ON u.url = asked.value
WHERE EXISTS (SELECT 1 FROM ({chosen}) AS c WHERE c.url_id = u.id)
"""
_LINKS = """
SELECT p.url_id, l.target_id, u.url, u.status, l.anchor, l.rel, l.nofollow FROM json_each(?) AS wanted
CROSS JOIN pages AS p ON p.id = wanted.value CROSS JOIN links AS l ON l.page_id = p.id
CROSS JOIN urls AS u ON u.id = l.target_id
"""
_BODIES = " LEFT JOIN bodies AS b ON b.hash = p.body_hash"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPage:
    """A version of a page. Of `page`, only the fields that were asked for are filled for certain.

    `url_status` is the status of its URL by now (fetched, gone ...), `zstd` its body as it is stored; None: it was not
    asked for, or none is stored.
    """

    page: Page
    url_id: int
    page_id: int
    url_status: str
    zstd: bytes | None = None

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


class PageReader:
    """Pages of a selection from one snapshot of the database at `path`. `cursor` stands behind all that it shows."""

    def __init__(self, path: Path, connection: aiosqlite.Connection, selection: Selection, cursor: str) -> None:
        self.connection, self.selection, self.cursor = connection, selection, cursor
        self.path, self._whole = path, replace(selection, span=None, whole_hosts=False)

    async def count(self) -> int:
        """How many pages there are. Takes some seconds where there are a million."""
        with self._explained():
            query = self.selection.count()
            return int((await self._read(query.sql, *query.parameters))[0][0])

    async def pages(
        self, fields: Collection[str], *, with_bodies: bool = False, by: Sequence[str] = ()
    ) -> AsyncGenerator[StoredPage]:
        """Each page once, in the order in which their URLs were found. `fields` are names of fields of `Page`.

        `by`: those first that are alike in these columns (see `PARTED_BY`), and so on.
        """
        chosen = await self._ordered(by) if by else self.selection.chosen()
        sql = _READ.format(
            body="b.zstd" if with_bodies else "NULL",
            columns=page_columns(fields),
            chosen=chosen.sql,
            order="place" if by else "url_id",
            attempt=OF_ATTEMPT,
            bodies=_BODIES if with_bodies else "",
        )
        with_links = "links" in fields or "link_details" in fields
        size = _BATCH_OF_BODIES if with_bodies else _BATCH
        async with aclosing(self._batches(Condition(sql, chosen.parameters), size)) as batches:
            async for rows in batches:
                pages = await pages_of([row[4:] for row in rows], self._read, with_links=with_links)
                for (url_id, page_id, status, zstd, *_more), page in zip(rows, pages, strict=True):
                    yield StoredPage(page=page, url_id=url_id, page_id=page_id, url_status=status, zstd=zstd)

    async def links_of(self, page_ids: Sequence[int]) -> list[StoredLink]:
        """The links of these versions, page by page."""
        return [StoredLink(*row) for row in await self._read(_LINKS, orjson.dumps(page_ids).decode())]

    async def listing(self) -> AsyncGenerator[tuple[str, int]]:
        """The URL of each page, and its row in `pages`; also of those that the span does not speak of."""
        chosen = self._whole.chosen()
        async with aclosing(self._batches(Condition(_LISTING.format(chosen=chosen.sql), chosen.parameters))) as batches:
            async for rows in batches:
                for url, page_id in rows:
                    yield url, page_id

    async def among(self, urls: Sequence[str]) -> set[str]:
        """Which of these URLs are those of pages in `listing`."""
        chosen = self._whole.chosen()
        with self._explained():
            found = await self._read(_AMONG.format(chosen=chosen.sql), orjson.dumps(urls).decode(), *chosen.parameters)
        return {row[0] for row in found}

    async def changed_hosts(self) -> list[str]:
        """The hosts of which the span of the selection speaks."""
        query = self.selection.changed_hosts()
        return [row[0] for row in await self._read(query.sql, *query.parameters)]

    async def removed(self) -> AsyncGenerator[Removed]:
        """What the span of the selection speaks of, and is not among its pages."""
        async with aclosing(self._batches(self.selection.went())) as batches:
            async for rows in batches:
                for row in rows:
                    yield Removed(*row)

    async def _ordered(self, by: Sequence[str]) -> Condition:
        """The chosen ones in that order, from a temporary table: to sort the pages themselves would take their size."""
        query = self.selection.chosen(by)
        await self._read("DROP TABLE IF EXISTS temp.parted")
        await self._read(f"CREATE TEMP TABLE parted AS {query.sql}", *query.parameters)
        return Condition("SELECT url_id, page_id, rowid AS place FROM temp.parted", ())

    async def _batches(self, query: Condition, size: int = _BATCH) -> AsyncGenerator[Sequence[Sequence[Any]]]:
        with self._explained():
            rows_of = stream(self.path, self.connection, query.sql, query.parameters, size)
            async with aclosing(rows_of) as batches:
                async for rows in batches:
                    yield rows

    async def _read(self, sql: str, *parameters: Any) -> list[Any]:
        with explained(self.path):
            return list(await self.connection.execute_fetchall(sql, parameters))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What goes wrong in a condition only once it meets a row, such as JSON that is none, is its author's fault."""
        try:
            yield
        except DatabaseFailedError as error:
            cause = error.__cause__
            if self.selection.pages.where is None or type(cause) is not sqlite3.OperationalError:
                raise
            raise UsageError(f"--where: {cause}") from error


@asynccontextmanager
async def open_pages(
    path: Path, chosen: PageFilter, since: str | None = None, *, whole_hosts: bool = False
) -> AsyncIterator[PageReader]:
    """Read the pages that pass the filter; `since`: only what has happened after this cursor; with `whole_hosts` all of
    the hosts where anything has.

    Raises `UsageError` for a run that does not exist, a condition that cannot be used, and what is no cursor of this
    database; `DatabaseFailedError` if there is no crawl database.
    """
    async with open_archive(path) as connection:
        if chosen.where is not None:
            check_condition(path, "stored_pages", chosen.where)
        async with snapshot(path, connection):
            if chosen.run is not None:
                await check_run(path, connection, chosen.run)
            if since is None:
                selection, cursor = Selection(pages=chosen), await newest_cursor(path, connection)
            else:
                span = await span_since(path, connection, since)
                selection, cursor = Selection(pages=chosen, span=span, whole_hosts=whole_hosts), span.cursor
            yield PageReader(path, connection, selection, cursor)
