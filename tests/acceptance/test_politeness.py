"""What the servers see: pacing, limits in flight, back-off. Judged by the servers' own logs, and short pauses by when
the crawl sent its requests."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from crawler.fakeweb import Answer, FakeWeb, Request
from tests.acceptance.conftest import Cli, Serve, slow_site

pytestmark = pytest.mark.any_store


def _most_at_once(hits: Iterable[Request]) -> int:
    """The most requests that were with the server at one moment."""
    moments = sorted([(hit.start, 1) for hit in hits] + [(hit.end or hit.start, -1) for hit in hits])
    now = most = 0
    for _moment, change in moments:
        now += change
        most = max(most, now)
    return most


@pytest.mark.parametrize("per_host", [1, 3])
def test_never_more_than_per_host_requests_at_once(cli: Cli, serve: Serve, per_host: int) -> None:
    web = FakeWeb()
    for name in ("a.test", "b.test"):
        slow_site(web, name=name, pages=30, delay_s=0.03)
    served = serve(web)
    options = ("--delay", "0", "--per-host", str(per_host), "--concurrency", "64")
    cli.crawl(served, served.url("a.test"), served.url("b.test"), *options)
    for name in ("a.test", "b.test"):
        assert _most_at_once(served.hits(name)) == per_host


@pytest.mark.thorough
def test_requests_to_a_host_start_at_least_the_delay_apart(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.hosts(5, pages_each=8)
    served = serve(web)
    options = ("--scope", "any", "--delay", "0.2", "--per-host", "4", "--concurrency", "64")
    cli.crawl(served, served.url("h000.test"), *options)
    for number in range(5):
        hits, pauses = served.hits(f"h{number:03d}.test"), cli.pauses(f"h{number:03d}.test")
        assert len(hits) - 1 == len(pauses) == 8  # robots.txt is paced as well
        assert min(pauses) >= 0.2
        assert hits[-1].start - hits[0].start > 8 * 0.2 / 2


@pytest.mark.thorough
def test_a_crawl_delay_raises_the_delay_and_never_lowers_it(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.site("slow.test", pages=4).robots("User-agent: *\nCrawl-delay: 0.6\n")
    web.site("fast.test", pages=4).robots("User-agent: *\nCrawl-delay: 0.01\n")
    served = serve(web)
    cli.crawl(served, served.url("slow.test"), served.url("fast.test"), "--delay", "0.3")
    for name, delay in (("slow.test", 0.6), ("fast.test", 0.3)):
        assert len(cli.pauses(name)) == 4
        assert min(cli.pauses(name)) >= delay


def test_never_more_than_per_ip_requests_to_one_address(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    for number in range(12):
        site = web.host(f"h{number}.test", address="127.7.7.7")
        site.page("/", links=["/p"], delay_s=0.1)
        site.page("/p", delay_s=0.1)
    served = serve(web)
    urls = [served.url(f"h{number}.test") for number in range(12)]
    cli.crawl(served, *urls, "--delay", "0", "--per-ip", "3", "--concurrency", "64")
    assert len(cli.pages()) == 24
    assert _most_at_once(served.log) <= 3


@pytest.mark.parametrize("status", [429, 503])
def test_a_host_that_asks_for_a_pause_gets_it(cli: Cli, serve: Serve, status: int) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/busy", "/other"])
    site.sequence("/busy", Answer(status=status, headers={"Retry-After": "1"}), Answer.page(title="calm"))
    site.page("/other")
    web.site("b.test", pages=20)
    served = serve(web)
    cli.crawl(served, served.url("a.test"), served.url("b.test"), "--delay", "0.05", "--per-host", "1")
    busy = served.hits("a.test", "/busy")
    assert len(busy) == 2
    paused = [hit for hit in served.hits("a.test") if busy[0].start < hit.start < busy[0].start + 0.9]
    assert paused == []
    assert any(busy[0].start < hit.start < busy[0].start + 0.9 for hit in served.hits("b.test"))
    assert len(cli.pages()) == 23


def test_a_back_off_longer_than_the_run_waits_is_stored_and_kept_by_the_next_run(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/", links=["/busy"])
    site.status("/busy", 503, headers={"Retry-After": "3600"})
    served = serve(web)
    first = cli.crawl(served, served.url("a.test"), "--delay", "0", "--max-wait", "1s")
    assert first.summary["pending"] == 1
    assert first.summary["backing_off"] == ["a.test"]
    cli.crawl(served, "--delay", "0", "--max-wait", "1s")
    assert len(served.hits("a.test", "/busy")) == 1


@pytest.mark.thorough
def test_a_hanging_host_does_not_hold_up_the_others(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    for number in range(8):
        site = web.host(f"hang{number}.test")
        site.robots("")
        for path in ("/", "/1", "/2", "/3"):
            site.page(path, links=["/1", "/2", "/3"], delay_s=30)
    web.site("good.test", pages=40)
    served = serve(web)
    hanging = [served.url(f"hang{number}.test") for number in range(8)]
    options = ("--delay", "0", "--concurrency", "8", "--timeout", "3", "--retries", "0", "--max-runtime", "9s")
    cli.crawl(served, served.url("good.test"), *hanging, *options, "--grace", "0s")
    assert len([url for url in cli.pages() if "good.test" in url]) == 40


def test_a_crawl_delay_counts_from_the_robots_txt_that_asks_for_it(cli: Cli, serve: Serve) -> None:
    web = FakeWeb()
    web.site("slow.test", pages=2).robots("User-agent: *\nCrawl-delay: 0.8\n")
    served = serve(web)
    cli.crawl(served, served.url("slow.test"), "--delay", "0.1")
    assert len(cli.pauses("slow.test")) == 2
    assert min(cli.pauses("slow.test")) >= 0.8
