"""Nothing that a page holds keeps the event loop busy: while one is judged and stored, the others' requests go on.

What is measured is processor time of the loop's own thread between two turns of the loop, by a yardstick: see
`LoopWatch`. It leaves out waits for the system; the loop's thread has none but for the sockets that are ready.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from crawler import CrawlConfig, NetworkConfig, PolitenessConfig, RunConfig, ScopeConfig, crawl
from crawler.fakeweb import FakeWeb, Served
from crawler.policy.robots import MAX_BYTES
from tests.hostile.web import MAX_BUSY_S, LoopWatch, watched_loop

MB = 1_000_000

MARKUP: dict[str, Callable[[], bytes]] = {
    "ordinary": lambda: b"<p>An ordinary <b>paragraph</b> with <a href='/x'>a link</a>.</p>\n" * (5 * MB // 66),
    "a million links": lambda: b"".join(b"<a href=%d>x</a>" % number for number in range(1_000_000))[: 10 * MB],
    "ten thousand long links": lambda: b"".join(
        b"<a href=/%s/%d>%s</a>" % (b"x" * 500, number, b"y" * 300) for number in range(10_000)
    ),
    "ten thousand hosts": lambda: b"".join(
        b"<a href=http://h%d.b%d.test/>x</a>" % (number, number) for number in range(10_000)
    ),
    "a large attribute": lambda: b"<a href='/" + b"x" * 5 * MB + b"'>x</a>",
    "text alone": lambda: b"word " * (2 * MB),
    "nested": lambda: b"<div>" * 100_000,
    "broken UTF-8": lambda: b"\xff\xfe\xc3" * (3 * MB),
    "NULs": lambda: bytes(10 * MB),
    "JSON-LD": lambda: b"<script type=application/ld+json>" + b'{"a":[' * 100_000 + b"</script>" * 1000,
    "headings": lambda: b"<h1>x</h1>" * 1_000_000,
}
ROBOTS = {"plain": "Disallow: /%x\n", "wild": "Disallow: /*%x*a\n"}


@pytest.mark.thorough
@pytest.mark.parametrize("kind", MARKUP)
async def test_hostile_markup_does_not_block_the_event_loop(tmp_path: Path, kind: str) -> None:
    web = FakeWeb()
    web.host("a.test").page("/", body=MARKUP[kind](), content_type="text/html")
    watch = await _quietest(web, tmp_path)
    print(f"{kind}: {watch.longest_s * 1000:.0f} ms")
    assert watch.longest_s < MAX_BUSY_S


@pytest.mark.thorough
async def test_a_sitemap_of_50_000_urls_does_not_block_the_event_loop(tmp_path: Path) -> None:
    """A turn is too long where it takes 0.2 s and 45 % of the crawl's computing: a machine that is busy at that moment
    stretches it, but not by so much (it is 19 %, and 35 % was seen once). Judged in one turn, the URLs take over half.
    """
    web = FakeWeb()
    site = web.host("a.test")
    site.robots("Sitemap: http://a.test/sitemap.xml")
    site.page("/", delay_s=2)
    site.page("*")
    site.sitemap("/sitemap.xml", [f"/{'x' * 50}/{number}" for number in range(50_000)])
    watch = await _quietest(web, tmp_path, max_pages=2, parse_timeout_s=60)
    with closing(sqlite3.connect(tmp_path / "0" / "crawl.db")) as connection:
        assert connection.execute("SELECT count(*) FROM urls WHERE url LIKE '%xxx%'").fetchone() == (50_000,)
    print(f"sitemap: {watch.longest_s * 1000:.0f} ms, {watch.longest_share:.0%}")
    assert watch.longest_s < MAX_BUSY_S or watch.longest_share < 0.45


@pytest.mark.thorough
async def test_giant_robots_txts_do_not_block_the_event_loop(tmp_path: Path) -> None:
    """Read, asked about the URLs that waited for them, and so again by a second run, which asks for long ones anew."""
    web = FakeWeb()
    for kind, line in ROBOTS.items():
        for number in range(3):
            site = web.host(f"{kind}{number}.test")
            lines = "".join(line % number for number in range(100_000))[: MAX_BYTES - 100]
            site.robots(f"User-agent: *\nDisallow: /*z\n{lines}")
    with web.running() as served:
        for run in ("first", "second"):
            seeds = [served.url(name, f"/{run}/{number}/z") for name in web.sites for number in range(60)]
            watch = await _watched_crawl(served, tmp_path, seeds)
            print(f"robots.txt, {run}: {watch.longest_s * 1000:.0f} ms")
            assert watch.longest_s < MAX_BUSY_S
        assert [hit.target for hit in served.log] == ["/robots.txt"] * 2 * len(web.sites)
    with closing(sqlite3.connect(tmp_path / "crawl.db")) as connection:
        forbidden = "SELECT count(*) FROM urls WHERE reason LIKE 'robots: line 2:%'"
        assert connection.execute(forbidden).fetchone() == (2 * 60 * len(web.sites),)


async def _quietest(web: FakeWeb, folder: Path, *, max_pages: int = 1, parse_timeout_s: float = 3) -> LoopWatch:
    """Crawl a page or two of this web; how long the turns were in the quietest of up to three attempts."""
    watches = []
    for attempt in range(3):
        with web.running() as served:
            own = folder / str(attempt)
            watches.append(await _watched_crawl(served, own, [served.url("a.test")], max_pages, parse_timeout_s))
        if watches[-1].longest_s < MAX_BUSY_S:
            break
    return min(watches, key=lambda watch: watch.longest_s)


async def _watched_crawl(
    served: Served, folder: Path, seeds: list[str], max_pages: int | None = None, parse_timeout_s: float = 3
) -> LoopWatch:
    config = CrawlConfig(
        db=folder / "crawl.db",
        scope=ScopeConfig(max_pages=max_pages, guess_sitemap=False),
        politeness=PolitenessConfig(delay_s=0),
        network=NetworkConfig(dns_server=served.dns, allow_private=("127.0.0.0/8",)),
        run=RunConfig(parse_timeout_s=parse_timeout_s),
    )
    async with watched_loop() as watch:
        await crawl(seeds, config)
    return watch
