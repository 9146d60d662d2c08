"""What a process does with its share of a crawl: sends nothing while it is unsure, gives away, draws pages, hears."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

import pytest

from crawler.fakeweb import FakeWeb
from crawler.records import EndReason, SeedMark
from crawler.storage.interface import News, Share
from crawler.storage.sqlite.share import Whole
from crawler.urls import host_of
from tests.frontier.crawls import DAY_S, NIGHT, Crawled, a_site, crawled, rows
from tests.frontier.virtual_time import VirtualLoop

HOSTS = "SELECT id, name FROM hosts"


class PartShare(Whole):
    """The share of one of several, the others of which are played by the test: each operation has its time."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.held: Callable[[], Collection[int]] = tuple
        self.ends: list[EndReason] = []
        self.told: list[tuple[str, SeedMark]] = []

    def attach(self, held: Callable[[], Collection[int]]) -> None:
        self.held = held

    def tell_root(self, url: str, mark: SeedMark) -> None:
        self.told.append((url, mark))

    async def tell_end(self, reason: EndReason) -> None:
        self.ends.append(reason)


def statuses(done: Crawled, host: str) -> dict[str, str]:
    return {url: status for url, (status, _reason) in done.urls().items() if host_of(url) == host}


# --- while it is unsure -----------------------------------------------------------------------------------------------


def test_nothing_is_sent_while_the_share_is_unsure_and_all_of_it_afterwards(tmp_path: Path) -> None:
    class Unsure(PartShare):
        def may_send(self) -> bool:
            return not 3.0 <= self.loop.time() < 60.0

    web = FakeWeb()
    a_site(web, "a.test", pages=10, delay_s=0.5)
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", delay_s=1.0, share=Unsure)
    times = done.times("a.test")
    assert [time for time in times if 3.0 <= time < 60.0] == []
    assert any(time < 3.0 for time in times)
    assert sorted(set(done.targets("a.test"))) == sorted(done.targets("a.test"))
    assert done.summary.end_reason == EndReason.COMPLETE
    assert done.summary.pages == 10


def test_what_waits_for_its_turn_when_the_share_becomes_unsure_is_not_sent_before_it_is_sure(tmp_path: Path) -> None:
    """A redirect of robots.txt is followed within its visit, which waits for the host's delay."""

    class Unsure(PartShare):
        def may_send(self) -> bool:
            return not 0.5 <= self.loop.time() < 30.0

    web = FakeWeb()
    site = a_site(web, "a.test", pages=2)
    site.page("/robots.txt", status=301, headers={"Location": "/rules.txt"})
    site.page("/rules.txt", body="User-agent: *\nDisallow: /1\n", content_type="text/plain")
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", delay_s=2.0, share=Unsure)
    assert done.targets("a.test")[:2] == ["/robots.txt", "/rules.txt"]
    assert all(not 0.5 <= time < 30.0 for time in done.times("a.test"))
    assert statuses(done, "a.test") == {"http://a.test/": "fetched", "http://a.test/1": "excluded"}


# --- what it gives away -----------------------------------------------------------------------------------------------


class Leaving(PartShare):
    """From 3 s on, b.test is about to be another process's."""

    names: dict[int, str]
    held_at: list[tuple[float, set[str]]]

    def __init__(self, loop: VirtualLoop, db: Path) -> None:
        super().__init__(loop)
        self.db = db
        self.held_at = []
        self.kept: float | None = None

    def keeps(self, host_id: int) -> bool:
        return self.loop.time() < 3.0 or dict(rows(self.db, HOSTS)).get(host_id) != "b.test"

    async def is_over(self, has_nothing_left: Callable[[], Awaitable[bool]]) -> bool:
        await asyncio.sleep(0.5)
        return self.loop.time() > 60.0

    async def news(self) -> News | None:
        names = dict(rows(self.db, HOSTS))
        self.held_at.append((self.loop.time(), {names[host] for host in self.held()}))
        return None


def test_a_host_that_is_given_away_dries_up_and_what_is_left_of_it_stays_pending(tmp_path: Path) -> None:
    web, db = FakeWeb(), tmp_path / "crawl.db"
    a_site(web, "a.test", pages=20, delay_s=0.1)
    a_site(web, "b.test", pages=20, delay_s=0.1)
    shares: list[Leaving] = []

    def share(loop: VirtualLoop) -> Share:
        shares.append(Leaving(loop, db))
        return shares[0]

    done = crawled(web, db, "http://a.test/", "http://b.test/", delay_s=1.8, share=share)
    assert max(done.times("b.test")) < 4.5
    assert set(statuses(done, "a.test").values()) == {"fetched"}
    left = statuses(done, "b.test")
    assert set(left.values()) == {"fetched", "pending"}
    fetched = [hit.target for hit in done.hits("b.test") if hit.target != "/robots.txt"]
    assert sorted(f"http://b.test{target}" for target in fetched) == sorted(
        url for url, status in left.items() if status == "fetched"
    )
    assert {"a.test", "b.test"} == next(held for at, held in shares[0].held_at if at >= 2.0)
    assert all("b.test" not in held for at, held in shares[0].held_at if at >= 6.0)
    (until,) = rows(db, "SELECT back_off_until FROM hosts WHERE name = 'b.test'")[0]
    assert until >= NIGHT + max(done.times("b.test")) + 1.8, "whoever takes it over is to know when it may be asked"


def test_a_host_that_always_has_something_under_way_dries_up_too(tmp_path: Path) -> None:
    web, db = FakeWeb(), tmp_path / "crawl.db"
    a_site(web, "b.test", pages=300, delay_s=0.7)
    done = crawled(web, db, "http://b.test/", per_host=4, share=lambda loop: Leaving(loop, db))
    assert max(done.times("b.test")) < 4.5
    assert set(statuses(done, "b.test").values()) == {"fetched", "pending"}


def test_a_host_that_was_taken_over_is_not_asked_before_its_delay_has_passed(tmp_path: Path) -> None:
    class TakenOver(PartShare):
        def taken_over_at(self, host_id: int) -> float | None:
            return NIGHT + DAY_S - 1.0

    web, db = FakeWeb(), tmp_path / "crawl.db"
    a_site(web, "a.test", pages=3)
    done = crawled(web, db, "http://a.test/", at=NIGHT + DAY_S, delay_s=10.0, share=TakenOver)
    assert done.times("a.test") == pytest.approx([9.0, 19.0, 29.0, 39.0])


# --- pages that are drawn ---------------------------------------------------------------------------------------------


class Drawing(PartShare):
    """`pool` pages may be stored by all; from `later_at` on, some more are given back by another."""

    draws_pages = True

    def __init__(self, loop: VirtualLoop, pool: int, later: int = 0, later_at: float = 0.0) -> None:
        super().__init__(loop)
        self.pool, self.later, self.later_at = pool, later, later_at
        self.drawn = 0

    async def draw(self, pages: int) -> int:
        if self.loop.time() >= self.later_at:
            self.pool, self.later = self.pool + self.later, 0
        granted = min(pages, self.pool, 3)
        self.pool -= granted
        self.drawn += granted
        return granted

    async def give_back(self, pages: int) -> None:
        self.pool += pages
        self.drawn -= pages

    async def are_pages_spent(self) -> bool:
        return self.later == 0


def test_pages_are_drawn_in_parts_and_no_more_are_stored_than_were_drawn(tmp_path: Path) -> None:
    web = FakeWeb()
    site = a_site(web, "a.test", pages=40)
    site.page("/1", status=404)
    shares: list[Drawing] = []

    def share(loop: VirtualLoop) -> Share:
        shares.append(Drawing(loop, pool=10, later=5, later_at=30.0))
        return shares[0]

    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", max_pages=1_000, share=share)
    assert done.summary.end_reason == EndReason.MAX_PAGES
    assert len(done.pages()) == shares[0].drawn == 15
    assert shares[0].pool == 0
    assert shares[0].ends == [EndReason.MAX_PAGES]
    assert done.took_s == pytest.approx(30.0, abs=2.0), "it waited for what another gave back"


def test_pages_that_nobody_needs_are_given_back(tmp_path: Path) -> None:
    web = FakeWeb()
    a_site(web, "a.test", pages=4)
    shares: list[Drawing] = []

    def share(loop: VirtualLoop) -> Share:
        shares.append(Drawing(loop, pool=100))
        return shares[0]

    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", max_pages=100, delay_s=5.0, share=share)
    assert done.summary.end_reason == EndReason.COMPLETE
    assert shares[0].drawn == 4
    assert shares[0].pool == 96


# --- what it hears ----------------------------------------------------------------------------------------------------


class Hearing(PartShare):
    """Hears `news` once, at its time (in seconds); until then nothing is over."""

    def __init__(self, loop: VirtualLoop, at: float, news: News) -> None:
        super().__init__(loop)
        self.at, self.to_tell = at, [news]

    async def news(self) -> News | None:
        return self.to_tell.pop() if self.to_tell and self.loop.time() >= self.at else None

    async def is_over(self, has_nothing_left: Callable[[], Awaitable[bool]]) -> bool:
        await asyncio.sleep(0.5)
        return not self.to_tell and await has_nothing_left()


def test_a_root_of_the_others_lets_in_what_was_excluded(tmp_path: Path) -> None:
    web = FakeWeb()
    web.host("a.test").page("/", links=["http://b.test/1"])
    a_site(web, "b.test", pages=3)
    news = News(roots=[("http://b.test/", SeedMark.SEED_REDIRECT)])
    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", share=lambda loop: Hearing(loop, 5.0, news))
    assert statuses(done, "b.test") == {"http://b.test/1": "fetched"}
    assert min(done.times("b.test")) >= 5.0


def test_the_end_of_the_others_is_its_own(tmp_path: Path) -> None:
    web = FakeWeb()
    a_site(web, "a.test", pages=100)
    shares: list[Hearing] = []

    def share(loop: VirtualLoop) -> Share:
        shares.append(Hearing(loop, 5.0, News(end=EndReason.MAX_RUNTIME)))
        return shares[0]

    done = crawled(web, tmp_path / "crawl.db", "http://a.test/", delay_s=1.0, share=share)
    assert done.summary.end_reason == EndReason.MAX_RUNTIME
    assert 5.0 <= done.took_s < 7.0
    assert 4 <= len(done.pages()) < 9


def test_a_seed_is_told_to_the_others_and_what_was_known_is_not(tmp_path: Path) -> None:
    web, db = FakeWeb(), tmp_path / "crawl.db"
    web.host("a.test").page("/", status=301, headers={"Location": "http://b.test/"})
    a_site(web, "b.test", pages=1)
    a_site(web, "c.test", pages=1)
    shares: list[PartShare] = []

    def share(loop: VirtualLoop) -> Share:
        shares.append(PartShare(loop))
        return shares[-1]

    crawled(web, db, "http://a.test/", share=share)
    assert shares[-1].told == [("http://a.test/", SeedMark.YES), ("http://b.test/", SeedMark.SEED_REDIRECT)]
    assert shares[-1].ends == [EndReason.COMPLETE]
    crawled(web, db, "http://c.test/", "http://a.test/", at=NIGHT + DAY_S, share=share)
    assert shares[-1].told == [("http://c.test/", SeedMark.YES)]


def test_requests_to_an_address_are_divided_among_the_processes(tmp_path: Path) -> None:
    web = FakeWeb()
    for number in range(12):
        a_site(web, f"h{number}.test", pages=2, delay_s=1.0, address="127.0.0.9")
    seeds = [f"http://h{number}.test/" for number in range(12)]

    class ThreeWorkers(Whole):
        workers = 3

    def most(share: Callable[[VirtualLoop], Share], name: str) -> int:
        done = crawled(web, tmp_path / name, *seeds, per_ip=6, share=share)
        started = [(hit.start, 1) for hit in done.log] + [(hit.end or hit.start, -1) for hit in done.log]
        under_way, at_once = 0, 0
        for _at, change in sorted(started):
            under_way += change
            at_once = max(at_once, under_way)
        return at_once

    assert most(lambda _loop: Whole(), "whole.db") == 6
    assert most(lambda _loop: ThreeWorkers(), "third.db") == 2
