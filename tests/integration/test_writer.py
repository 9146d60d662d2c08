"""The one writer: order, back-pressure, a clean end, and what happens when a commit fails."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from crawler.errors import DatabaseFailedError
from crawler.records import Claim, HostRecord, Page, Result, StoredBody
from crawler.storage.interface import Store
from crawler.storage.writer import MAX_BATCH, MAX_WAITING_BYTES, Writer
from tests.contract.results import NOW, a_result, a_store, claims_of
from tests.stores import rows

URLS = [f"http://a.test/{number}" for number in range(4 * MAX_BATCH)]


class Desk:
    """A store, its writer, and a list of what was committed."""

    def __init__(self, store: Store, claims: list[Claim], path: Path) -> None:
        self.path = path
        self.claims = claims
        self.batches: list[list[str]] = []
        self.writer = Writer(store, lambda: NOW, self._committed)

    def _committed(self, visits: Sequence[Result], _hosts: Sequence[HostRecord]) -> None:
        self.batches.append([visit.claim.url for visit in visits])
        stored = rows(self.path, "SELECT count(*) FROM fetches")
        assert stored == [(len(self.urls),)], "told before it was stored"

    @property
    def urls(self) -> list[str]:
        return [url for batch in self.batches for url in batch]

    def break_database(self) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("DROP TABLE pages")


@asynccontextmanager
async def a_desk(folder: Path) -> AsyncIterator[Desk]:
    path = folder / "crawl.db"
    async with a_store(path, *URLS) as store:
        claims = await claims_of(store)
        yield Desk(store, [claims[url] for url in URLS], path)


async def settle(task: asyncio.Task[None]) -> bool:
    """Whether the task ends by itself, once everything else that can happen has happened."""
    for _ in range(10):
        await asyncio.sleep(0)
    return task.done()


async def test_what_was_put_is_committed_in_order_before_run_returns(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        run = asyncio.create_task(desk.writer.run())
        for claim in desk.claims:
            await desk.writer.put(a_result(claim))
        desk.writer.close()
        await run
        assert desk.urls == URLS
        stored = rows(desk.path, "SELECT url FROM fetches JOIN urls ON urls.id = url_id ORDER BY fetches.id")
        assert [row[0] for row in stored] == URLS


async def test_many_visits_share_a_transaction(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        for claim in desk.claims[: MAX_BATCH + 5]:
            await desk.writer.put(a_result(claim))
        desk.writer.close()
        await desk.writer.run()
        assert [len(batch) for batch in desk.batches] == [MAX_BATCH, 5]


async def test_a_few_visits_are_committed_without_waiting_for_more(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        run = asyncio.create_task(desk.writer.run())
        await desk.writer.put(a_result(desk.claims[0]))
        while not desk.batches:
            await asyncio.sleep(0.01)
        assert not run.done()
        desk.writer.close()
        await run


async def test_nothing_put_is_nothing_committed(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        desk.writer.close()
        await desk.writer.run()
        assert desk.batches == []


async def test_put_waits_while_too_many_visits_wait(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        for claim in desk.claims[: 2 * MAX_BATCH]:
            await desk.writer.put(a_result(claim))
        one_more = asyncio.create_task(desk.writer.put(a_result(desk.claims[2 * MAX_BATCH])))
        assert not await settle(one_more)
        run = asyncio.create_task(desk.writer.run())
        await one_more
        desk.writer.close()
        await run
        assert desk.urls == URLS[: 2 * MAX_BATCH + 1]


@pytest.mark.thorough
@pytest.mark.parametrize("heavy", ["body", "text", "links"])
async def test_put_waits_while_too_many_bytes_wait(tmp_path: Path, heavy: str) -> None:
    async with a_desk(tmp_path) as desk:
        claims = iter(desk.claims)
        puts: list[asyncio.Task[None]] = []
        while len(puts) < 20 and (not puts or puts[-1].done()):
            puts.append(asyncio.create_task(desk.writer.put(a_heavy_visit(next(claims), heavy))))
            await settle(puts[-1])
        assert not puts[-1].done()
        assert 5 <= len(puts) <= 12
        desk.writer.close()
        await desk.writer.run()
        await asyncio.gather(*puts)
        assert desk.urls == URLS[: len(puts)]


def a_heavy_visit(claim: Claim, heavy: str) -> Result:
    """A visit that holds about a ninth of what may wait."""
    size = MAX_WAITING_BYTES // 9
    if heavy == "body":
        body = StoredBody(digest=claim.url.encode(), size=size, zstd=bytes(size))
        return a_result(claim, body=body)
    if heavy == "text":
        return a_result(claim, page=Page(url=claim.url, text="x" * size))
    return a_result(claim, links=[f"http://b.test/{number}" for number in range(size // 200)])


async def test_a_commit_that_fails_ends_run_and_whoever_waits_or_comes_later(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        for claim in desk.claims[: 2 * MAX_BATCH]:
            await desk.writer.put(a_result(claim))
        waiting = [asyncio.create_task(desk.writer.put(a_result(claim))) for claim in desk.claims[2 * MAX_BATCH :]]
        assert not await settle(waiting[-1])
        desk.break_database()
        with pytest.raises(DatabaseFailedError, match="no such table"):
            await desk.writer.run()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert any(isinstance(result, DatabaseFailedError) for result in results)
        assert {type(result) for result in results} <= {DatabaseFailedError, type(None)}
        with pytest.raises(DatabaseFailedError, match="no such table"):
            await desk.writer.put(a_result(desk.claims[0]))
        assert desk.batches == []
        assert rows(desk.path, "SELECT count(*) FROM fetches") == [(0,)]


@pytest.mark.parametrize("table", ["fetches", "pages"])
@pytest.mark.parametrize("count", [1, 5])  # 5 go in by a statement for 6
async def test_an_attempt_or_a_page_that_is_there_already_fails_the_commit(
    tmp_path: Path, table: str, count: int
) -> None:
    """It would have been left out without a word; only equal bodies, heads and links are one."""
    async with a_desk(tmp_path) as desk:
        with closing(sqlite3.connect(desk.path)) as connection:
            connection.execute(f"CREATE UNIQUE INDEX once ON {table} (url_id)")
        for claim in [*desk.claims[:count], desk.claims[0]]:
            await desk.writer.put(a_result(claim))
        desk.writer.close()
        with pytest.raises(DatabaseFailedError, match=f"UNIQUE constraint failed: {table}.url_id"):
            await desk.writer.run()
        assert rows(desk.path, "SELECT count(*) FROM fetches") == [(0,)]


async def test_a_mistake_of_ours_leaves_nobody_waiting_either(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        stranger = Claim(
            url_id=0, url="http://nowhere.test/", host_id=0, host="nowhere.test", origin="http://nowhere.test"
        )
        for claim in [stranger, *desk.claims[: 2 * MAX_BATCH - 1]]:
            await desk.writer.put(a_result(claim))
        waiting = asyncio.create_task(desk.writer.put(a_result(desk.claims[-2])))
        assert not await settle(waiting)
        with pytest.raises(KeyError):
            await desk.writer.run()
        await asyncio.wait([waiting])
        with pytest.raises(KeyError):
            await desk.writer.put(a_result(desk.claims[-1]))


async def test_pages_are_delivered_once_they_are_committed(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        reader: asyncio.Queue[Page | None] = asyncio.Queue()
        desk.writer.deliver_to(reader)
        await desk.writer.put(a_result(desk.claims[0]))
        await desk.writer.put(a_result(desk.claims[1], page=False))
        await desk.writer.put(a_result(desk.claims[2]))
        assert reader.empty()
        desk.writer.close()
        await desk.writer.run()
        delivered = [reader.get_nowait() for _ in range(reader.qsize())]
        assert [page.url for page in delivered if page is not None] == [URLS[0], URLS[2]]


async def test_a_slow_reader_holds_up_the_commits_and_loses_nothing(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as desk:
        reader: asyncio.Queue[Page | None] = asyncio.Queue(maxsize=1)
        desk.writer.deliver_to(reader)
        for claim in desk.claims[: MAX_BATCH + 5]:
            await desk.writer.put(a_result(claim))
        desk.writer.close()
        run = asyncio.create_task(desk.writer.run())
        await reader.get()
        assert not await settle(run)
        assert len(desk.batches) == 1
        for _ in range(MAX_BATCH + 4):
            await reader.get()
        await run
        assert len(desk.urls) == MAX_BATCH + 5
