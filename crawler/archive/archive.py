"""Reading a crawl database from Python: pages as they were stored, their history, links in and out, what failed.

The questions go to the documented views (views.sql). Invariant: a question costs a fixed number of statements, or one
for each batch of what it streams, never one for each row.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import aiosqlite

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
from crawler.archive.attached import Attached
from crawler.archive.changes import BEGINNING, FeedEntry, read_changes
from crawler.archive.derived import discard, is_damage
from crawler.archive.derived_views import NEAR_DUPLICATES, RANKS, SOURCES
from crawler.archive.deriving import DERIVE_S, Deriver, PageDerivation
from crawler.archive.details import details_of
from crawler.archive.filters import Condition, UrlFilter, where
from crawler.archive.finding import find, guesses, likeliest
from crawler.archive.indexes import ATTEMPTS_OF_URL, LINK_SOURCES
from crawler.archive.listing import Listing, Question
from crawler.archive.lookup import Lookup
from crawler.archive.markdown import PageMarkdown, open_markdown
from crawler.archive.moments import check_run
from crawler.archive.pages import OF_ATTEMPT, PAGE_COLUMNS, pages_of
from crawler.archive.reading import open_archive, stream
from crawler.archive.rule_views import any_listing_of
from crawler.archive.search import UPDATE_S, Search
from crawler.bodies import DamagedBodyError, decompress
from crawler.content.markdown import Content
from crawler.errors import DatabaseFailedError, UsageError
from crawler.location import Location, file_at, location
from crawler.records import Page
from crawler.storage.sqlite.database import explained

if TYPE_CHECKING:
    from crawler.archive.ruling import Rules

_BATCH = 64  # pages, whose links are read together
_ROWS = 1024  # of answers that are streamed
_SPARE = 4  # candidates for each link that is asked for: some pages link there no more
_ROWS_AT_ONCE = 64  # of a view: somebody may be waiting for the first, and a page's text is long

_PAGES = f"SELECT {PAGE_COLUMNS} FROM urls AS u JOIN pages AS p ON p.id = u.page_id {OF_ATTEMPT} "  # noqa: S608 - our own names

_VERSION = f"""
SELECT {PAGE_COLUMNS} FROM urls AS u JOIN pages AS p ON p.url_id = u.id {OF_ATTEMPT}
WHERE u.url = ? ORDER BY p.id LIMIT 1 OFFSET ?
"""  # noqa: S608 - our own names

_VERSIONS = f"SELECT {PAGE_COLUMNS} FROM pages AS p JOIN urls AS u ON u.id = p.url_id {OF_ATTEMPT} "  # noqa: S608 - our own names

_LAST_BEFORE_RUN = """
SELECT p.id FROM pages AS p CROSS JOIN fetches AS f ON f.id = p.fetch_id
WHERE f.run_id < ? ORDER BY p.id DESC LIMIT 1
"""

_BODY = """
SELECT b.zstd FROM urls AS u JOIN bodies AS b ON b.hash = coalesce(
    (SELECT body_hash FROM pages WHERE id = u.page_id),
    (SELECT body_hash FROM fetches WHERE url_id = u.id AND body_hash IS NOT NULL ORDER BY id DESC LIMIT 1)
) WHERE u.url = ?
"""

_BODY_OF_VERSION = """
SELECT b.zstd FROM bodies AS b WHERE b.hash = (
    SELECT p.body_hash FROM urls AS u JOIN pages AS p ON p.url_id = u.id WHERE u.url = ? ORDER BY p.id LIMIT 1 OFFSET ?
)
"""

_INLINKS = "FROM inlinks WHERE target_id = ?1"
_INLINKS_AMONG = f"""
{_INLINKS} AND page_url_id IN (
    SELECT value FROM json_each(?2)
    UNION SELECT p.url_id FROM links AS l CROSS JOIN pages AS p ON p.id = l.page_id
        WHERE l.page_id > ?3 AND l.target_id = ?1
)
"""  # noqa: S608 - our own names
_ATTEMPTS = "FROM attempts WHERE url_id = ?1"
_ATTEMPTS_AMONG = f"""
{_ATTEMPTS} AND fetch_id IN (
    SELECT value FROM json_each(?2) UNION SELECT id FROM fetches WHERE id > ?3 AND url_id = ?1
)
"""  # noqa: S608 - our own names

_Answer = TypeVar("_Answer")


class Archive:
    """What a crawl has stored. It can be read during the crawl, and shows what is committed.

    URLs may be given as people write them: without a scheme, with a fragment, an IDN (see `find`). Every method raises
    `DatabaseFailedError` if the database cannot be read.
    """

    def __init__(
        self, path: Path, connection: aiosqlite.Connection, notify: Callable[[str], None] = lambda _message: None
    ) -> None:
        self._path = path
        self._connection = connection
        self._notify = notify
        self._attached = Attached(path, connection)
        self._deriver = Deriver(self._attached, connection, notify)
        self._lookup = Lookup(self._attached, notify)
        self._search = Search(self._attached, self._deriver)

    async def pages(self) -> AsyncIterator[Page]:
        """The newest version of every page, in the order in which the URLs were found."""
        async for rows in self._batches(_PAGES + "ORDER BY u.id", (), _BATCH):
            for page in await pages_of(rows, self._read):
                yield page

    async def page(self, url: str, *, version: int | None = None) -> Page | None:
        """The newest version of the page at `url`, or that `version` (from 1, oldest first); None if none is stored."""
        url = await self._stored(url)
        if version is None:
            rows = await self._read(_PAGES + "WHERE u.url = ?", url)
        else:
            rows = await self._read(_VERSION, url, version - 1)
        return next(iter(await pages_of(rows, self._read)), None)

    async def versions(self, *, after: int = 0, before: int | None = None) -> AsyncIterator[Page]:
        """Every stored version of every page, in the order in which they were stored: those with a `page_id` greater
        than `after` and less than `before` (None: all of them).
        """
        conditions = [Condition("p.id > ?", (after,))]
        if before is not None:
            conditions.append(Condition("p.id < ?", (before,)))
        which = where(conditions)
        async for rows in self._batches(f"{_VERSIONS}{which.sql} ORDER BY p.id", which.parameters, _BATCH):
            for page in await pages_of(rows, self._read):
                yield page

    async def last_version(self, *, before_run: int | None = None) -> int:
        """The `page_id` of the version that was stored last, or last before that run; 0 if there is none."""
        if before_run is None:
            rows = await self._read("SELECT max(id) FROM pages")
        else:
            rows = await self._read(_LAST_BEFORE_RUN, before_run)
        return int(rows[0][0] or 0) if rows else 0

    async def body(self, url: str, *, version: int | None = None) -> bytes | None:
        """The body that page was read from, or the newest one that could not be read (`parse_timeout`).

        Content-Encoding is undone. None if no body is stored. `version` is as for `page`. Raises `DatabaseFailedError`
        if the body is damaged.
        """
        url = await self._stored(url)
        if version is None:
            rows = await self._read(_BODY, url)
        else:
            rows = await self._read(_BODY_OF_VERSION, url, version - 1)
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
        async with open_markdown(self._path, content, notify=self._notify, retry=True) as maker:
            [made] = await maker.of([(page, await self.body(url, version=version))])
        return made

    async def find(self, text: str) -> str | None:
        """The stored URL that a person means: with or without a scheme, with a fragment, an IDN; None if there is none.

        Raises `UsageError` for what is no http(s) URL.
        """
        return await find(self._read, text)

    async def likeliest(self, text: str) -> str:
        """The URL that a person means by one that is not stored: without a scheme, that of the host's stored URLs.

        Raises `UsageError` as `find` does.
        """
        return await likeliest(self._read, text)

    async def guesses(self, text: str) -> list[str]:
        """Stored URLs that may be meant by one that is not, at most three: the same but for the scheme, `www` or a
        final slash, else those beside it. Raises `UsageError` as `find` does.
        """
        return await guesses(self._read, text)

    async def details(
        self, url: str, *, version: int | None = None, max_links_to: int | None = 100
    ) -> UrlDetails | None:
        """All that is known of `url`; None if it was never seen. Raises `UsageError` if it has no such version.

        `max_links_to` None: all links to it.
        """
        return await details_of(self, self._read, await self._stored(url), version, max_links_to)

    async def why(self, url: str, rules: Rules | None = None, *, now: float | None = None) -> Why:
        """What decides about `url`, which need not be known: how it was found, which rule or bound, and what the rules
        say now. `rules` None: those of the last run. `now` is in Unix seconds; None: the time it is.
        """
        from crawler.archive.why import why_of  # which brings in all that decides in a crawl

        return await why_of(self, self._read, url, rules, time.time() if now is None else now)

    async def state(self, url: str) -> UrlState | None:
        """The status of `url`, and why; None if it was never seen."""
        found = _select(UrlState, "FROM urls WHERE url = ?")
        return next((_answer(UrlState, row) for row in await self._read(found, await self._stored(url))), None)

    async def history(self, url: str) -> list[Version]:
        """Every stored version of the page at `url`, oldest first."""
        found = _select(Version, "FROM page_versions WHERE url = ? ORDER BY page_id")
        return [_answer(Version, row) for row in await self._read(found, await self._stored(url))]

    async def attempts(self, url: str) -> list[Attempt]:
        """Every stored attempt to fetch `url`, oldest first. Uses an index in the derived file, as `links_to` does."""
        url_id = await self._id_of(url)
        if url_id is None:
            return []
        known = await self._lookup.candidates(ATTEMPTS_OF_URL, url_id)
        source, more = (_ATTEMPTS, ()) if known is None else (_ATTEMPTS_AMONG, known)
        found = _select(Attempt, f"{source} ORDER BY fetch_id")
        return [_answer(Attempt, row) for row in await self._read(found, url_id, *more)]

    async def links_from(self, url: str) -> list[OutLink]:
        """The links of the newest version of the page at `url`, at most 10,000; none unless it is a current page."""
        found = _select(OutLink, "FROM outlinks WHERE page_url = ?")
        return [_answer(OutLink, row) for row in await self._read(found, await self._stored(url))]

    async def links_to(self, url: str, *, limit: int | None = None) -> AsyncGenerator[InLink, None]:
        """The links to `url` from current pages (see views.sql), in the order in which those pages were found.

        `limit`: at most so many, which is quick for a URL that every page links to.

        Uses an index in a file beside the database (`crawl.db.derived`), which the first question builds: 10 s for 10
        million links. Without that file, every stored page is looked at.
        """
        url_id = await self._id_of(url)
        if url_id is None:
            return
        few = [] if limit is None else await self._links_among(url_id, limit, _SPARE * limit)
        if limit is not None and len(few) == limit:
            for link in few:
                yield link
            return
        known = await self._lookup.candidates(LINK_SOURCES, url_id)
        source, more = (_INLINKS, ()) if known is None else (_INLINKS_AMONG, known)
        found = _select(InLink, f"{source} ORDER BY page_url_id LIMIT {-1 if limit is None else limit}")
        async for rows in self._batches(found, (url_id, *more), _ROWS):
            for row in rows:
                yield _answer(InLink, row)

    async def _links_among(self, url_id: int, limit: int, candidates: int) -> list[InLink]:
        """The first links, if so many candidates of the index hold enough of them."""
        known = await self._lookup.candidates(LINK_SOURCES, url_id, candidates)
        if known is None:
            return []
        within = "page_url_id <= (SELECT max(value) FROM json_each(?2))"  # beyond that, others may come in between
        found = _select(InLink, f"{_INLINKS_AMONG} AND {within} ORDER BY page_url_id LIMIT ?4")
        return [_answer(InLink, row) for row in await self._read(found, url_id, *known, limit)]

    async def failures(self) -> AsyncIterator[FailedUrl]:
        """The URLs that failed, and why, grouped by reason."""
        async for rows in self._batches(_select(FailedUrl, "FROM failed_urls ORDER BY reason, url_id"), (), _ROWS):
            for row in rows:
                yield _answer(FailedUrl, row)

    async def failing(self) -> AsyncIterator[FailingUrl]:
        """The URLs that fail for now and keep the status of their last response, grouped by reason."""
        found = _select(FailingUrl, "FROM failing_urls ORDER BY failing_reason, url_id")
        async for rows in self._batches(found, (), _ROWS):
            for row in rows:
                yield _answer(FailingUrl, row)

    async def checks(self) -> AsyncIterator[CheckedUrl]:
        """The URLs that were only checked (`crawl --check`), grouped by verdict."""
        async for rows in self._batches(_select(CheckedUrl, "FROM checked_urls ORDER BY verdict, check_id"), (), _ROWS):
            for row in rows:
                yield _answer(CheckedUrl, row)

    async def listing_of(self, word: str) -> Listing:
        """The view of that name or alias; also that of an extraction rule. Raises `UsageError` if there is none."""
        return await any_listing_of(word, self._read)

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
        listing = await any_listing_of(view, self._read)
        urls = UrlFilter(host=host, glob=url)
        question = Question(listing=listing, columns=columns, urls=urls, run=run, sort=sort, limit=limit)
        async for row in self.answers(question):
            yield dict(zip(question.selected, row, strict=True))

    async def answers(self, question: Question) -> AsyncIterator[Sequence[Any]]:
        """The rows that are asked for, as they come. Of views that are derived, see `near_duplicates`.

        Raises `UsageError` for a run that does not exist.
        """
        if question.run is not None:
            await check_run(self._path, self._connection, question.run)
        statement = question.statement()
        source = SOURCES.get(question.listing.name)
        batches = self._batches(*statement, _ROWS_AT_ONCE) if source is None else self._derived(source, statement)
        async for rows in batches:
            for row in rows:
                yield row

    def changes(self, since: str = BEGINNING, limit: int | None = None) -> AsyncIterator[FeedEntry]:
        """What has changed, each change once and in the order in which the crawl stored it: what came after the cursor
        `since`, up to now, at most `limit` entries. Each has the cursor to go on from.

        Raises `UsageError` for what is no cursor of this database, or one of which `prune` has removed what follows.
        """
        return read_changes(self._path, self._connection, since, limit)

    async def near_duplicates(self, *, limit_s: float = DERIVE_S) -> AsyncIterator[NearDuplicate]:
        """The current pages with nearly the same text as another one (see `near_duplicate_pages`), group by group.

        First spends `limit_s` seconds or little more on bringing fingerprints up to date, in `crawl.db.derived`; if
        that is not enough, the answer is for those pages that have one, and `notify` is told how many are missing.
        """
        found = _select(NearDuplicate, "FROM near_duplicate_pages ORDER BY first_url, url_id")
        async for rows in self._derived(NEAR_DUPLICATES, Condition(found, ()), limit_s):
            for row in rows:
                yield _answer(NearDuplicate, row)

    async def best_linked(self, limit: int = 100) -> list[RankedPage]:
        """The current pages by PageRank (see `best_linked`), the best first.

        If the crawl has changed since ranks were computed, that is done first: 40 s for a million pages.
        """
        found = Condition(_select(RankedPage, "FROM best_linked ORDER BY place LIMIT ?"), (limit,))
        return [_answer(RankedPage, row) async for rows in self._derived(RANKS, found) for row in rows]

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
        with explained(self._path):
            return await self._search.ask(
                query, host=host, language=language, limit=limit, content=content, update_s=update_s
            )

    async def _derived(
        self, source: PageDerivation, statement: Condition, limit_s: float = DERIVE_S
    ) -> AsyncIterator[Sequence[Sequence[Any]]]:
        """The rows of a view that is derived. A file that turns out to be damaged is made anew."""
        for is_second in (False, True):
            begun = False
            try:
                async with AsyncExitStack() as stack:
                    with explained(self._path):
                        async with self._attached.turn:
                            used = await stack.enter_async_context(self._deriver.brought_up_to_date(source, limit_s))
                            behind = await self._deriver.behind(used, source)
                    if behind:
                        self._notify(f"{source.doing} {behind:,} page versions is left for the next time")
                    async for rows in self._batches(*statement, _ROWS_AT_ONCE):
                        begun = True
                        yield rows
                return
            except DatabaseFailedError as error:
                if is_second or begun or not is_damage(error.__cause__):
                    raise
            await discard(self._path)

    async def _id_of(self, url: str) -> int | None:
        rows = await self._read("SELECT id FROM urls WHERE url = ?", await self._stored(url))
        return rows[0][0] if rows else None

    async def _stored(self, url: str) -> str:
        """The URL as it is stored; as it was given, if none is meant."""
        if await self._read("SELECT 1 FROM urls WHERE url = ?", url):
            return url
        with suppress(UsageError):
            return await self.find(url) or url
        return url

    async def _batches(self, sql: str, parameters: Sequence[Any], size: int) -> AsyncIterator[Sequence[Sequence[Any]]]:
        async for rows in stream(self._path, self._connection, sql, parameters, size):
            yield rows

    async def _read(self, sql: str, *parameters: Any) -> list[Any]:
        with explained(self._path):
            return list(await self._connection.execute_fetchall(sql, parameters))


@asynccontextmanager
async def open_crawl(
    db: Location | str, *, notify: Callable[[str], None] = lambda _message: None
) -> AsyncIterator[Archive]:
    """Open a crawl database to read it. Raises `DatabaseFailedError` if there is none.

    `notify` gets a line for people when a question takes longer than usual: an index is being built, or cannot be.
    """
    path = file_at(location(db), "open_crawl")
    async with open_archive(path) as connection:
        yield Archive(path, connection, notify)


_COLUMNS = {
    "size_bytes": "bytes",
    "is_seed": "seed > 0",
    "has_page": "page_id IS NOT NULL",
    "found_on": "(SELECT s.url FROM urls AS s WHERE s.id = urls.found_on)",
}  # of the fields with another name


def _select(kind: type, source: str) -> str:
    """A query for answers of this kind: the names of their fields are those of the columns."""
    columns = ", ".join(_COLUMNS.get(name, name) for name in _flags(kind))
    return f"SELECT {columns} {source}"


def _answer(kind: Callable[..., _Answer], row: Sequence[Any]) -> _Answer:
    """From a row of `_select`."""
    flags = _flags(kind)
    return kind(**{name: bool(row[n]) if flags[name] else row[n] for n, name in enumerate(flags)})


@cache
def _flags(kind: Any) -> dict[str, bool]:
    """The fields by name, in their order, and whether each is a flag: SQLite has no bool."""
    return {field.name: field.type == "bool" for field in fields(kind)}
