"""Commits: first the news, whoever owns them, then the results, behind the fence.

Invariants: a batch is stored once, or not at all, however often it is tried: its rows have their ids before the first
try, and a commit whose answer was lost is recognized by its own id. Commits take turns. What was found stands before
what it was found on: after a kill between the two, URLs are known a moment too early, and none is ever lost.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple

from crawler.records import LISTINGS, HostRecord, Result, Target
from crawler.storage.interface import Archived
from crawler.storage.known import KnownUrls
from crawler.storage.postgres.batch import Placed, placed
from crawler.storage.postgres.columns import arrays, rows_of
from crawler.storage.postgres.connection import Pool, explained
from crawler.storage.postgres.heads import HeadRows
from crawler.storage.postgres.listings import hint
from crawler.storage.postgres.news import Document, News
from crawler.storage.postgres.ownership import Ownership
from crawler.storage.postgres.results import Results
from crawler.storage.postgres.session import Session, columns_of_hosts
from crawler.storage.postgres.transactions import Execute, in_transaction
from crawler.storage.results import robots_target

_WAS_STORED = "SELECT 1 FROM parts WHERE part = $1 AND owner = $2 AND commit_id = $3"
_HOSTS = f"""
SELECT {columns_of_hosts(1)} FROM {rows_of(("part", "host_id"), 2)}
JOIN hosts AS h ON h.part = v.part AND h.id = v.host_id
"""  # noqa: S608 - our own names


class _Found(NamedTuple):
    """What has come of the news of a batch."""

    new: set[int]
    unstored: set[str]


class Commits(Session):
    """See `interface.Commits` for what each operation is for."""

    def __init__(self, db: str, pool: Pool, ownership: Ownership, known: KnownUrls | None = None) -> None:
        super().__init__(db, pool, ownership, known)
        self._head_rows = HeadRows()
        self._page_ids: Sequence[int] = ()
        self._failed_with_origins = 0

    async def commit(self, results: Sequence[Result], now: float, archived: Archived | None = None) -> list[HostRecord]:
        """Store the results; returns the hosts that have something planned, of those touched.

        Raises `LeaseLostError` where another process owns one of their hosts by now. While the server cannot be
        reached, tries again for as long as this process owns what it does.
        """
        if archived is not None:
            raise ValueError("WARC files are written beside a SQLite database only")
        async with self._writing:
            batch = placed(results, self.ownership)
            with explained(self.db):
                stored = await self._store(batch, now) if batch else []
            self._page_ids = [one.page_id for one in batch if one.page_id is not None]
        return self._hosts(stored)

    async def add(self, targets: Sequence[Target], now: float) -> None:
        """Add URLs that no visit found (seeds)."""
        async with self._writing:  # what commits remember of stored rows is what is committed
            with explained(self.db):
                await self._steadily(lambda: self._add(lambda news: news.add(targets, now)))
        await self.take_arrivals()

    def stored_pages(self) -> tuple[int, Sequence[int]]:
        """The run, and the ids of the versions that the last commit has stored."""
        return self.run_id, self._page_ids

    def failed_with_origins(self) -> int:
        """How many pages have newly failed with their origins since the last call, without a result of their own."""
        number, self._failed_with_origins = self._failed_with_origins, 0
        return number

    async def _store(self, batch: Sequence[Placed], now: float) -> list[Any]:
        """Rows of the hosts touched."""
        results = [one.result for one in batch]
        commit_id = secrets.randbits(62)
        new, unstored = set[int](), set[str]()
        tried = False

        async def stored() -> list[Any]:
            nonlocal tried
            if tried and await self._was_stored(batch[0].part, commit_id):
                keys = sorted({(one.part, one.host_id) for one in batch})
                return [*await self._pool.fetch(_HOSTS, self.run_id, *arrays(keys))]
            tried = True
            news = await self._add_found(results, batch, now)
            new.update(news.new)
            unstored.update(news.unstored)
            return await self._results(batch, _Found(new, unstored), now, commit_id)

        return await self._steadily(stored)

    async def _add_found(self, results: Sequence[Result], batch: Sequence[Placed], now: float) -> _Found:
        """Add what was found, with the document that named it first."""
        found, found_on = list[Target](), dict[str, Document]()
        for one in batch:
            for target in self._unsettled(one.result):
                found.append(target)
                found_on.setdefault(target.url, (one.host_id, one.url_id))
        robots = self._known.unsettled(target for result in results for target in robots_target(result))
        preferred = [target for result in results for target in result.preferred]
        listed = any(result.listed for result in results)
        if not (robots or found or preferred or listed):
            return _Found(set(), set())

        async def add(news: News) -> None:
            await news.add(robots, now)
            await news.add(found, now, found_on)
            await news.bring_forward(preferred, now)

        news = await self._add(add)
        if listed:
            await self._transact(lambda execute: hint(results, now, self._host_keys, execute))
        return _Found(news.new, news.unstored)

    def _unsettled(self, result: Result) -> Iterable[Target]:
        """What changes something if it is stored. What is known as a page may turn out to be a sitemap."""
        listed = [one.target for one in result.listed]
        sitemaps = (target for target in chain(result.targets, listed) if target.kind in LISTINGS)
        return chain(self._known.unsettled(chain(result.link_targets, result.targets, listed)), sitemaps)

    async def _add(self, work: Callable[[News], Awaitable[None]]) -> News:
        """In a transaction of its own."""

        async def add(execute: Execute) -> News:
            news = News(execute, self._known, self._limits, self._host_keys, self.ownership.owns)
            await work(news)
            await news.tell()
            return news

        return await in_transaction(self._pool, add, self._forget, self.ownership.lease_s)

    async def _results(self, batch: Sequence[Placed], found: _Found, now: float, commit_id: int) -> list[Any]:
        """Store the results in the fenced transaction; returns the rows of the hosts touched."""

        async def store(execute: Execute) -> tuple[Results, list[Any]]:
            known, hosts, heads = self._known, self._host_keys, self._head_rows
            results = Results(self.ownership, known, hosts, heads, self.run_id, execute)
            await results.begin(batch, found.unstored, commit_id)
            await results.store(batch, found.unstored, found.new, now)
            if self._limits.urls is not None:
                await results.cut(batch, found.unstored, self._limits.urls.most)
            return results, await results.finish(batch)

        forget, patience_s = self._head_rows.forget, self.ownership.lease_s
        results, hosts = await in_transaction(self._pool, store, forget, patience_s)
        self._failed_with_origins += results.failed_with_origins
        if results.has_new_rules and self._limits.urls is not None:
            self._limits.urls.forget()
        return hosts

    async def _was_stored(self, part: int, commit_id: int) -> bool:
        """Whether the server has committed it, though its answer was lost."""
        return bool(await self._pool.fetch(_WAS_STORED, part, self.ownership.worker, commit_id))
