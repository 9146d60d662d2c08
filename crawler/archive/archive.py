"""Reading a crawl database from Python: pages as they were stored, their history, links in and out, what failed.

The questions go to the documented views (views.sql). Invariant: a question costs a fixed number of statements, or one
for each batch of what it streams, never one for each row.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import aiosqlite

from crawler.archive import questions
from crawler.archive.answers import (
    Attempt,
    CheckedUrl,
    FailedUrl,
    FailingUrl,
    InLink,
    NearDuplicate,
    OutLink,
    RankedPage,
    SearchResults,
    UrlDetails,
    UrlState,
    Version,
    Why,
)
from crawler.archive.beside import Beside
from crawler.archive.changes import BEGINNING, FeedEntry, read_changes
from crawler.archive.derived_views import NEAR_DUPLICATES, RANKS, SOURCES
from crawler.archive.deriving import DERIVE_S
from crawler.archive.details import details_of
from crawler.archive.dialect import Dialect
from crawler.archive.filters import Condition, UrlFilter, where
from crawler.archive.finding import find, guesses, likeliest
from crawler.archive.indexes import ATTEMPTS_OF_URL
from crawler.archive.inlinks import links_by_index, links_by_scan
from crawler.archive.listing import Listing, Question, check_view
from crawler.archive.markdown import PageMarkdown, open_markdown
from crawler.archive.moments import check_run
from crawler.archive.pages import OF_ATTEMPT, PAGE_COLUMNS, pages_of
from crawler.archive.reading import Reader, open_archive, open_database, reader_of
from crawler.archive.rule_views import any_listing_of, listings_of_rules
from crawler.archive.search import UPDATE_S
from crawler.archive.selecting import answer, select
from crawler.bodies import DamagedBodyError, decompress
from crawler.content.markdown import Content
from crawler.errors import DatabaseFailedError, UsageError
from crawler.location import Location, file_at, location
from crawler.records import Page

if TYPE_CHECKING:
    from crawler.archive.postgres_reader import PostgresReader
    from crawler.archive.ruling import Rules

_BATCH = 64  # pages, whose links are read together
_ROWS = 1024  # of answers that are streamed
_ROWS_AT_ONCE = 64  # of a view: somebody may be waiting for the first, and a page's text is long

_Answer = TypeVar("_Answer")


class Archive:
    """What a crawl has stored. It can be read during the crawl, and shows what is committed.

    URLs may be given as people write them: without a scheme, with a fragment, an IDN (see `find`). Every method raises
    `DatabaseFailedError` if the database cannot be read.
    """

    def __init__(
        self,
        db: Location,
        connection: aiosqlite.Connection | Reader,
        notify: Callable[[str], None] = lambda _message: None,
    ) -> None:
        self._db = db
        self._reader = reader_of(db, connection)
        self._notify = notify
        self._beside: Beside | None = None
        if isinstance(connection, aiosqlite.Connection) and isinstance(db, Path):
            self._beside = Beside(db, connection, notify)

    async def pages(self) -> AsyncIterator[Page]:
        """The newest version of every page, in the order in which the URLs were found; of PostgreSQL host by host."""
        async for rows in self._reader.stream(questions.ALL_PAGES, (), _BATCH):
            for page in await pages_of(rows, self._reader):
                yield page

    async def page(self, url: str, *, version: int | None = None) -> Page | None:
        """The newest version of the page at `url`, or that `version` (from 1, oldest first); None if none is stored."""
        url = await self._stored(url)
        key = self._reader.key_of(url)
        if version is None:
            rows = await self._reader.fetch(questions.PAGE, *key, url)
        else:
            rows = await self._reader.fetch(questions.VERSION, *key, url, version - 1)
        return next(iter(await pages_of(rows, self._reader)), None)

    async def versions(self, *, after: int = 0, before: int | None = None) -> AsyncIterator[Page]:
        """Every stored version of every page, in the order in which they were stored: those with a `page_id` greater
        than `after` and less than `before` (None: all of them).

        In PostgreSQL ids grow within a partition alone, and so does this order. Raises `UsageError` for bounds there.
        """
        if after or before is not None:
            file_at(self._db, "a part of all versions")
        conditions = [Condition("p.id > ?", (after,))] if after else []
        if before is not None:
            conditions.append(Condition("p.id < ?", (before,)))
        which = where(conditions)
        sql = questions.ALL_VERSIONS.format(columns=PAGE_COLUMNS, attempt=OF_ATTEMPT, which=which.sql)
        async for rows in self._reader.stream(sql, which.parameters, _BATCH):
            for page in await pages_of(rows, self._reader):
                yield page

    async def last_version(self, *, before_run: int | None = None) -> int:
        """The `page_id` of the version that was stored last, or last before that run; 0 if there is none.

        Raises `UsageError` for PostgreSQL, whose ids do not say what was stored last.
        """
        file_at(self._db, "the last version")
        if before_run is None:
            rows = await self._reader.fetch("SELECT max(id) FROM pages")
        else:
            rows = await self._reader.fetch(questions.LAST_BEFORE_RUN, before_run)
        return int(rows[0][0] or 0) if rows else 0

    async def body(self, url: str, *, version: int | None = None) -> bytes | None:
        """The body that page was read from, or the newest one that could not be read (`parse_timeout`).

        Content-Encoding is undone. None if no body is stored. `version` is as for `page`. Raises `DatabaseFailedError`
        if the body is damaged.
        """
        url = await self._stored(url)
        key = self._reader.key_of(url)
        if version is None:
            rows = await self._reader.fetch(questions.BODY, *key, url)
        else:
            rows = await self._reader.fetch(questions.BODY_OF_VERSION, *key, url, version - 1)
        try:
            return decompress(rows[0][0]) if rows else None
        except DamagedBodyError as error:
            raise DatabaseFailedError(
                f"the stored body of {url} is damaged; `crawler verify` tells of others"
            ) from error

    async def markdown(
        self, url: str, *, version: int | None = None, content: Content = Content.MAIN
    ) -> PageMarkdown | None:
        """The Markdown of the page at `url`, of its main content or all of it; None if no page is stored.

        It is made in a process that is gone when this returns, unless `crawl.db.derived` has it. `version` is as for
        `page`. Raises `UsageError` if the extra `crawler[markdown]` is missing.
        """
        page = await self.page(url, version=version)
        if page is None:
            return None
        async with open_markdown(self._db, content, notify=self._notify, retry=True) as maker:
            [made] = await maker.of([(page, await self.body(url, version=version))])
        return made

    async def find(self, text: str) -> str | None:
        """The stored URL that a person means: with or without a scheme, with a fragment, an IDN; None if there is none.

        Raises `UsageError` for what is no http(s) URL.
        """
        return await find(self._reader, text)

    async def likeliest(self, text: str) -> str:
        """The URL that a person means by one that is not stored: without a scheme, that of the host's stored URLs.

        Raises `UsageError` as `find` does.
        """
        return await likeliest(self._reader, text)

    async def guesses(self, text: str) -> list[str]:
        """Stored URLs that may be meant by one that is not, at most three: the same but for the scheme, `www` or a
        final slash, else those beside it. Raises `UsageError` as `find` does.
        """
        return await guesses(self._reader, text)

    async def details(
        self, url: str, *, version: int | None = None, max_links_to: int | None = 100
    ) -> UrlDetails | None:
        """All that is known of `url`; None if it was never seen. Raises `UsageError` if it has no such version.

        `max_links_to` None: all links to it.
        """
        return await details_of(self, self._reader, await self._stored(url), version, max_links_to)

    async def why(self, url: str, rules: Rules | None = None, *, now: float | None = None) -> Why:
        """What decides about `url`, which need not be known: how it was found, which rule or bound, and what the rules
        say now. `rules` None: those of the last run. `now` is in Unix seconds; None: the time it is.
        """
        from crawler.archive.why import why_of  # which brings in all that decides in a crawl

        return await why_of(self, self._reader, url, rules, time.time() if now is None else now)

    async def state(self, url: str) -> UrlState | None:
        """The status of `url`, and why; None if it was never seen."""
        url = await self._stored(url)
        rows = await self._reader.fetch(questions.STATE, *self._reader.key_of(url), url)
        return next((answer(UrlState, row) for row in rows), None)

    async def history(self, url: str) -> list[Version]:
        """Every stored version of the page at `url`, oldest first."""
        url = await self._stored(url)
        rows = await self._reader.fetch(questions.HISTORY, *self._reader.key_of(url), url)
        return [answer(Version, row) for row in rows]

    async def attempts(self, url: str) -> list[Attempt]:
        """Every stored attempt to fetch `url`, oldest first. Uses an index in the derived file, as `links_to` does; in
        PostgreSQL, all attempts of the URL's partition are looked at.
        """
        url_id = await self._id_of(url)
        if url_id is None:
            return []
        known = self._beside and await self._beside.candidates(ATTEMPTS_OF_URL, url_id)
        if known:
            rows = await self._reader.fetch(questions.ATTEMPTS_AMONG, url_id, *known)
        else:
            key = self._reader.key_of(await self._stored(url)) or (url_id,)
            rows = await self._reader.fetch(questions.ATTEMPTS, *key)
        return [answer(Attempt, row) for row in rows]

    async def links_from(self, url: str) -> list[OutLink]:
        """The links of the newest version of the page at `url`, at most 10,000; none unless it is a current page."""
        url = await self._stored(url)
        rows = await self._reader.fetch(questions.LINKS_FROM, *self._reader.key_of(url), url)
        return [answer(OutLink, row) for row in rows]

    async def links_to(self, url: str, *, limit: int | None = None) -> AsyncGenerator[InLink, None]:
        """The links to `url` from current pages (see views.sql), in the order in which those pages were found.

        `limit`: at most so many, which is quick for a URL that every page links to.

        Uses an index in a file beside the database (`crawl.db.derived`), which the first question builds: 10 s for 10
        million links. Without that file, every stored page is looked at.

        In PostgreSQL there is no such index: every stored page is looked at, a partition after the other; with `limit`
        for 10 seconds at most, and `notify` is told if that was not enough.
        """
        url_id = await self._id_of(url)
        if url_id is None:
            return
        if self._reader.dialect is Dialect.SQLITE:
            links = links_by_index(self._reader, self._beside, url_id, limit)
        else:
            links = links_by_scan(cast("PostgresReader", self._reader), url_id, limit, self._notify)
        async with aclosing(links):
            async for link in links:
                yield link

    async def failures(self) -> AsyncIterator[FailedUrl]:
        """The URLs that failed, and why, grouped by reason."""
        async for one in self._answers(FailedUrl, "failed_urls ORDER BY reason, url_id"):
            yield one

    async def failing(self) -> AsyncIterator[FailingUrl]:
        """The URLs that fail for now and keep the status of their last response, grouped by reason."""
        async for one in self._answers(FailingUrl, "failing_urls ORDER BY failing_reason, url_id"):
            yield one

    async def checks(self) -> AsyncIterator[CheckedUrl]:
        """The URLs that were only checked (`crawl --check`), grouped by verdict. None are in PostgreSQL."""
        check_view("checked_urls", self._db)
        async for one in self._answers(CheckedUrl, "checked_urls ORDER BY verdict, check_id"):
            yield one

    async def listing_of(self, word: str) -> Listing:
        """The view of that name or alias; also that of an extraction rule. Raises `UsageError` if there is none."""
        return await any_listing_of(word, self._reader)

    async def listings_of_rules(self) -> list[Listing]:
        """The views of the extraction rules that were ever used in this crawl, by name."""
        return await listings_of_rules(self._reader)

    async def rows(
        self,
        view: str,
        *,
        columns: Sequence[str] = (),
        host: str | None = None,
        url: str | None = None,
        run: int | None = None,
        sort: str | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[dict[str, Any]]:
        """The rows of a view (see views.sql; `crawler list` names them all), in no particular order unless `sort`.

        `columns`: only these. `host` and `url` (in both, `*` stands for anything) and `run` choose among the rows;
        `sort` is a column, with a `-` before it to have the greatest first. Raises `UsageError` for what the view does
        not have.
        """
        listing = await any_listing_of(view, self._reader)
        urls = UrlFilter(host=host, glob=url)
        question = Question(listing=listing, columns=columns, urls=urls, run=run, sort=sort, limit=limit)
        async for row in self.answers(question):
            yield dict(zip(question.selected, row, strict=True))

    async def answers(self, question: Question) -> AsyncIterator[Sequence[Any]]:
        """The rows that are asked for, as they come. Of views that are derived, see `near_duplicates`.

        Raises `UsageError` for a run that does not exist, and for a view that only a SQLite file has.
        """
        check_view(question.listing.name, self._db)
        if question.run is not None:
            await check_run(self._reader, question.run)
        statement = question.statement(self._reader.dialect)
        source = SOURCES.get(question.listing.name)
        if source is None:
            batches: AsyncIterator[Sequence[Sequence[Any]]] = self._reader.stream(*statement, _ROWS_AT_ONCE)
        else:
            batches = self._derived(question.listing.name).rows(source, statement)
        async for rows in batches:
            for row in rows:
                yield row

    def changes(self, since: str = BEGINNING, limit: int | None = None) -> AsyncIterator[FeedEntry]:
        """What has changed, each change once and in the order in which the crawl stored it: what came after the cursor
        `since`, up to now, at most `limit` entries. Each has the cursor to go on from.

        Raises `UsageError` for what is no cursor of this database, or one of which `prune` has removed what follows.
        """
        return read_changes(self._db, self._reader, since, limit)

    async def near_duplicates(self, *, limit_s: float = DERIVE_S) -> AsyncIterator[NearDuplicate]:
        """The current pages with nearly the same text as another one (see `near_duplicate_pages`), group by group.

        First spends `limit_s` seconds or little more on bringing fingerprints up to date, in `crawl.db.derived`; if
        that is not enough, the answer is for those pages that have one, and `notify` is told how many are missing.
        """
        found = select(NearDuplicate, "near_duplicate_pages ORDER BY first_url, url_id").sqlite
        beside = self._derived("near_duplicate_pages")
        async for rows in beside.rows(NEAR_DUPLICATES, Condition(found, ()), limit_s):
            for row in rows:
                yield answer(NearDuplicate, row)

    async def best_linked(self, limit: int = 100) -> list[RankedPage]:
        """The current pages by PageRank (see `best_linked`), the best first.

        If the crawl has changed since ranks were computed, that is done first: 40 s for a million pages.
        """
        found = Condition(select(RankedPage, "best_linked ORDER BY place LIMIT ?").sqlite, (limit,))
        beside = self._derived("best_linked")
        return [answer(RankedPage, row) async for rows in beside.rows(RANKS, found) for row in rows]

    async def search(
        self,
        query: str,
        *,
        host: str | None = None,
        language: str | None = None,
        limit: int = 10,
        content: Content = Content.ALL,
        update_s: float = UPDATE_S,
    ) -> SearchResults:
        """The current pages that match `query`, the best first; words in titles and headings count more.

        The query has FTS5's syntax (words, "phrases", prefix*, AND, OR, NOT, NEAR, title: ...), or else it is read as
        plain words. `host` is a name, in which `*` stands for anything, `language` a tag: `pt` finds pt-BR, too. With
        `Content.MAIN`, only main content is searched (see `markdown`), by an index of its own.

        Before it answers, the search spends `update_s` seconds at most on bringing the index up to date, a file beside
        the database (`crawl.db.derived`); where that is not enough, `behind` says so, and the next search goes on.
        Raises `UsageError` if the language is no tag, the query too long, or the extra for main content missing.
        """
        beside = self._derived("a search")
        return await beside.search(query, host=host, language=language, limit=limit, content=content, update_s=update_s)

    def _derived(self, what: str) -> Beside:
        """What stands beside a SQLite file. Raises `UsageError` where there is none."""
        if self._beside is None:
            file_at(self._db, what)
            raise ValueError(f"{self._db} is a file")
        return self._beside

    async def _answers(self, kind: Callable[..., _Answer], source: str) -> AsyncIterator[_Answer]:
        async for rows in self._reader.stream(select(kind, source), (), _ROWS):
            for row in rows:
                yield answer(kind, row)

    async def _id_of(self, url: str) -> int | None:
        url = await self._stored(url)
        rows = await self._reader.fetch(questions.ID, *self._reader.key_of(url), url)
        return rows[0][0] if rows else None

    async def _stored(self, url: str) -> str:
        """The URL as it is stored; as it was given, if none is meant."""
        if await self._reader.fetch(questions.ID, *self._reader.key_of(url), url):
            return url
        with suppress(UsageError):
            return await self.find(url) or url
        return url


@asynccontextmanager
async def open_crawl(
    db: Location | str, *, notify: Callable[[str], None] = lambda _message: None
) -> AsyncIterator[Archive]:
    """Open a crawl database to read it: a file, or a `postgresql://` URL. `notify` gets a line for people when a
    question takes longer than usual: an index is being built, or cannot be.

    Raises `DatabaseFailedError` if there is none, `UsageError` for what is no such URL.
    """
    place = location(db)
    if isinstance(place, Path):
        async with open_archive(place) as connection:
            yield Archive(place, connection, notify)
        return
    async with open_database(place) as reader:
        yield Archive(place, reader, notify)
