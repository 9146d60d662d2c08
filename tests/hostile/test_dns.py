"""Names that are not there, or only sometimes: what can be reached is fetched, and no name is asked for long."""

from __future__ import annotations

import time
from collections import Counter
from itertools import count
from pathlib import Path

import pytest

from crawler.content.hyperlinks import MAX_LINKS
from crawler.fakeweb import DnsAnswer, FakeWeb
from crawler.network import resolver
from tests.hostile.web import crawled, watched_connects, watched_loop
from tests.integration.rawserver import DnsServer

DEAD = 10_000


def a_web(*names: str, pages: int = 3) -> FakeWeb:
    web = FakeWeb()
    for name in names:
        web.site(name, pages=pages)
    return web


@pytest.mark.thorough
@pytest.mark.timeout(150)
async def test_ten_thousand_dead_names_cost_bounded_lookups_and_leave_the_living_alone(tmp_path: Path) -> None:
    web = a_web("a.test", pages=20)
    site = web.sites["a.test"]
    dead = [f"http://dead{number}.test/" for number in range(DEAD)]
    found = len({*site.links["/"]})
    site.page("/", links=[*site.links["/"], *dead])
    with web.running() as served:
        async with watched_loop() as watch:
            started = time.monotonic()
            done = await crawled(served, tmp_path, [served.url("a.test")])
        elapsed_s = time.monotonic() - started
    print(f"{DEAD} dead names: {elapsed_s:.1f} s, {done.summary.dns_lookups} lookups, loop {watch.longest_s:.3f} s,"
          f" peak {done.summary.peak_rss_bytes >> 20} MiB")  # fmt: skip
    assert done.rows("SELECT count(*) FROM urls WHERE reason = 'dns' AND kind = 'page'") == [(MAX_LINKS - found,)]
    assert len([url for url in done.pages() if "a.test" in url]) == 20
    assert done.summary.dns_lookups <= DEAD + 1
    asked = Counter(name for name, _kind in served.dns_log)
    assert sorted(asked.values())[-100] <= 4  # both families of addresses; a busy machine may ask a few again


@pytest.mark.thorough
async def test_names_that_fail_half_of_the_time_are_reached_in_the_end(tmp_path: Path) -> None:
    numbers = count()

    def moody(_name: str) -> DnsAnswer:
        return "servfail" if next(numbers) % 4 < 2 else ["127.77.0.1"]

    web = FakeWeb()
    for number in range(4):
        site = web.host(f"h{number}.test", address="127.77.0.1", dns=moody, ttl_s=0)
        site.page("/", links=["/2"])
        site.page("/2")
    with web.running() as served:
        done = await crawled(
            served, tmp_path, [served.url(name) for name in web.sites], retries=5, max_wait_s=60.0, max_runtime_s=50.0
        )
    assert len(done.pages()) == 8


@pytest.mark.thorough
async def test_an_answer_that_takes_five_seconds_is_waited_for_and_holds_up_nobody_else(tmp_path: Path) -> None:
    """Among quick ones, from which c-ares learns to expect the same of all."""
    web = a_web("a.test", "b.test", pages=20)
    slow = [f"slow{number}.test" for number in range(6)]
    for name in slow:
        web.site(name, pages=3)
    addresses = {name: [site.address] for name, site in web.sites.items()}
    with web.running() as served:
        async with DnsServer(addresses, delays_s=dict.fromkeys(slow, 5.0)) as dns:
            seeds = [served.url(name) for name in (*slow, "a.test", "b.test")]
            done = await crawled(served, tmp_path, seeds, dns_server=dns.address)
    last = max(hit.start for name in ("a.test", "b.test") for hit in served.hits(name))
    assert last < min(hit.start for name in slow for hit in served.hits(name))
    assert len(done.pages()) == 2 * 20 + 6 * 3


@pytest.mark.thorough
async def test_names_that_are_never_answered_hold_up_nobody_who_has_answered(tmp_path: Path) -> None:
    """More of them than there are workers; the pages take two seconds."""
    web = a_web("a.test", "b.test", pages=20)
    addresses = {name: [site.address] for name, site in web.sites.items()}
    slow = [f"slow{number}.test" for number in range(100)]
    with web.running() as served:
        async with DnsServer(addresses, trouble=dict.fromkeys(slow)) as dns:
            seeds = [served.url("a.test"), served.url("b.test"), *(f"http://{name}/" for name in slow)]
            started = time.monotonic()
            done = await crawled(
                served, tmp_path, seeds, dns_server=dns.address, delay_s=0.1, per_host=1, max_runtime_s=6.0
            )
    assert time.monotonic() - started < 14
    assert len(done.pages()) == 40


async def test_a_time_to_live_of_zero_does_not_mean_a_lookup_a_request(tmp_path: Path) -> None:
    web = FakeWeb()
    site = web.host("a.test", ttl_s=0)
    for number in range(100):
        site.page(f"/{number}" if number else "/", links=[f"/{number + 1}"])
    with web.running() as served:
        done = await crawled(served, tmp_path, [served.url("a.test")])
    assert len(done.pages()) == 100
    assert done.summary.dns_lookups <= 1 + done.summary.elapsed_s / resolver.MIN_TTL_S


async def test_of_fifty_addresses_a_few_are_tried_and_the_page_is_fetched(tmp_path: Path) -> None:
    dead = [f"127.88.1.{number}" for number in range(1, 50)]
    web = FakeWeb()
    web.host("a.test", address="127.88.0.9", dns=["127.88.0.9", *dead]).page("/")
    web.host("b.test", listening=False, dns=dead).page("/")
    with web.running() as served:
        urls = [served.url("a.test"), served.url("b.test")]
        async with watched_connects() as connects:
            done = await crawled(served, tmp_path, urls)
    assert len({host for host, *_port in connects if host in dead}) == resolver.MAX_ADDRESSES_PER_FAMILY
    assert done.pages() == {urls[0]}
    assert done.rows("SELECT reason FROM urls WHERE url = ?", urls[1]) == [("connect",)]


async def test_what_failed_is_asked_again_only_after_a_while(tmp_path: Path) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=[f"http://dead.test:{8000 + number}/" for number in range(200)])
    with web.running() as served:
        done = await crawled(served, tmp_path, [served.url("a.test")])
    [(failed,)] = done.rows("SELECT count(*) FROM urls WHERE reason = 'dns' AND kind = 'page'")
    assert failed >= 3  # each of another origin, which take turns; then the host is left alone
    assert len([name for name, _kind in served.dns_log if name == "dead.test"]) <= 2
