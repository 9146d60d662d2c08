"""What the supply holds in memory: hosts and claims taken from a real store, once each, and let go again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from crawler.clock import Clock
from crawler.frontier.awaiting import AwaitingRules
from crawler.frontier.robots_cache import RobotsCache
from crawler.frontier.supply import Supply
from crawler.frontier.workbench import Workbench
from crawler.records import Claim, Page, Response, Result, Target, UrlStatus, Verdict
from crawler.storage.interface import Store
from crawler.storage.location import database_at
from crawler.urls import host_of
from tests.frontier.crawls import NIGHT, config_of
from tests.frontier.virtual_time import VirtualLoop, in_virtual_time


@dataclass
class Opened:
    """A supply over a store in which these URLs are pending; its clocks are set by hand, or tick with each look."""

    store: Store
    workbench: Workbench
    supply: Supply
    time: list[Callable[[], float]]

    def set(self, now: float) -> None:
        self.time[0] = lambda: now

    def tick(self, seconds: float) -> None:
        """Each look at the clock takes so long."""
        ticks = count(self.time[0](), seconds)
        self.time[0] = lambda: next(ticks)

    async def refill(self) -> list[str]:
        return sorted(claim.url for claim in await self.supply.refill())


@asynccontextmanager
async def opened(tmp_path: Path, *urls: str, **options: Any) -> AsyncIterator[Opened]:
    config = config_of(tmp_path / "crawl.db", **options)
    time: list[Callable[[], float]] = [lambda: 0.0]
    clock = Clock(monotonic=lambda: time[0](), wall=lambda: NIGHT + 1.0)
    async with database_at(config.db).open_store() as store:
        await store.begin_run(config.storable(), NIGHT)
        await store.add([Target(url=url, host=host_of(url)) for url in urls], NIGHT)
        workbench = Workbench(delay_s=0.0, per_host=2, per_ip=16, concurrency=8)
        supply = Supply(config, store, workbench, AwaitingRules(), RobotsCache("crawler"), clock)
        yield Opened(store, workbench, supply, time)


def a_result(claim: Claim) -> Result:
    return Result(
        claim=claim,
        verdict=Verdict(status=UrlStatus.FETCHED),
        attempt=Response(url=claim.url, status_code=200, started_at=NIGHT),
        page=Page(url=claim.url, content_hash=b"h"),
    )


def run(story: Callable[[], Any]) -> None:
    async def told(_loop: VirtualLoop) -> None:
        await story()

    in_virtual_time(told)


def test_a_url_is_supplied_once_until_its_result_is_committed(tmp_path: Path) -> None:
    async def story() -> None:
        urls = ["http://a.test/1", "http://a.test/2", "http://b.test/1"]
        async with opened(tmp_path, *urls) as at:
            claims = await at.supply.refill()
            assert sorted(claim.url for claim in claims) == urls
            for host in at.workbench.hosts():
                at.workbench.expect_more(host)
                at.supply.note_if_low(host)
            assert await at.refill() == []
            again = replace(a_result(claims[0]), page=None, verdict=Verdict(status=UrlStatus.PENDING, attempts=1))
            results = [replace(again, next_fetch_at=NIGHT + 0.5)]
            at.supply.committed(results, await at.store.commit(results, NIGHT))
            assert await at.refill() == [claims[0].url]

    run(story)


def test_a_host_that_is_done_with_is_let_go_once_all_of_it_is_committed(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path, "http://a.test/1") as at:
            [claim] = await at.supply.refill()
            at.workbench.offer(at.workbench.host(claim.host_id), [claim])
            assert at.workbench.lend(0.0) is claim
            at.workbench.take_back(claim, 0.0)
            at.set(10.0)
            await at.refill()
            assert claim.host_id in at.workbench, "the store does not know yet what it has given"
            hosts = await at.store.commit([a_result(claim)], NIGHT)
            at.supply.committed([a_result(claim)], hosts)
            for now in (20.0, 30.0):  # first the store is asked whether it has more
                at.set(now)
                assert await at.refill() == []
            assert claim.host_id not in at.workbench
            assert await at.supply.is_exhausted()

    run(story)


def test_of_two_records_of_a_host_the_newer_one_counts(tmp_path: Path) -> None:
    """While hosts are being loaded, which takes long, a commit says that one of them has given its pages."""

    async def story() -> None:
        urls = [f"http://h{number}.test/" for number in range(5)]
        async with opened(tmp_path, *urls, max_pages_per_host=3) as at:
            first = (await at.store.due_hosts(NIGHT + 1.0, None, 1)).rows[0]
            at.tick(1.0)
            loading = asyncio.create_task(at.supply.refill())
            await _once(lambda: at.supply.next_look_at() > 0.0)  # the hosts are read, and not loaded yet
            at.supply.committed([], [replace(first, run_pages=3)])
            await loading
            at.set(1000.0)
            await at.refill()
            allowances = {host.host_id: host.allowance for host in at.workbench.hosts()}
            assert allowances.pop(first.host_id) == 0
            assert set(allowances.values()) == {3}

    run(story)


def test_a_host_that_is_gained_is_supplied_without_asking_for_what_is_due(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path) as at:
            assert await at.refill() == []
            await at.store.add([Target(url="http://new.test/", host="new.test")], NIGHT)
            [record] = (await at.store.due_hosts(NIGHT + 1.0, None, 10)).rows
            assert await at.refill() == [], "it was asked a moment ago"
            at.supply.committed([], [record])
            assert await at.refill() == ["http://new.test/"]

    run(story)


def test_hosts_beyond_a_limit_on_pages_do_not_keep_the_run_waiting(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path, "http://a.test/1", "http://a.test/2", max_pages_per_host=1) as at:
            claims = await at.supply.refill()
            host = at.workbench.host(claims[0].host_id)
            at.workbench.offer(host, claims)
            lent = at.workbench.lend(0.0)
            assert lent is not None
            at.workbench.take_back(lent, 0.0)
            at.supply.committed([a_result(lent)], await at.store.commit([a_result(lent)], NIGHT))
            for now in (10.0, 20.0):  # first it is seen that it may lend no more
                at.set(now)
                assert await at.refill() == []
            assert host.host_id not in at.workbench
            assert await at.supply.is_exhausted()

    run(story)


async def _once(condition: Callable[[], bool]) -> None:
    """Let the others run until this is so."""
    while not condition():
        await asyncio.sleep(0)
