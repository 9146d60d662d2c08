"""Sitemaps that are as long as they may be, or longer, or never end: they take little memory, and hold up nobody."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from crawler.config import MIB, ScopeRule
from crawler.fakeweb import FakeWeb
from tests.hostile.web import cost_of, crawled, repeating, watched_loop

ENTRIES = 40_000
LONG = (
    "<urlset>"
    + "".join(
        f"<url><loc>http://other.test/{number}</loc><!-- {'a filler, where real ones have images ' * 17} --></url>"
        for number in range(ENTRIES)
    )
    + "</urlset>"
).encode()


@pytest.mark.thorough
async def test_a_sitemap_of_28_mb_gives_all_its_urls_within_a_memory_of_1_mib(tmp_path: Path) -> None:
    assert len(LONG) > 26 * MIB
    web = FakeWeb()
    site = web.host("a.test")
    site.page("/map.xml", body=LONG, content_type="application/xml")
    site.page("/", links=["/page"])
    site.page("/page", body=os.urandom(2 * MIB), content_type="text/html")
    with web.running() as served:
        seeds = [served.url("a.test", "/map.xml"), served.url("a.test")]
        done = await crawled(served, tmp_path, seeds, memory_bytes=MIB, scope=ScopeRule.HOST)
    assert done.rows("SELECT count(*) FROM sitemap_entries") == [(ENTRIES,)]
    assert done.rows("SELECT bytes, truncated, message FROM fetches WHERE bytes > 20000000") == [(len(LONG), 0, None)]
    assert done.pages() == {served.url("a.test"), served.url("a.test", "/page")}


@pytest.mark.thorough
def test_a_long_sitemap_costs_the_crawl_little_memory(tmp_path: Path) -> None:
    usual, long = FakeWeb(), FakeWeb()
    usual.host("a.test").page("/", body=b"<p>x")
    for number in range(4):
        long.host(f"h{number}.test").page(
            "/", body=b"<urlset>" + b" " * 40 * MIB + LONG[-500:], content_type="text/xml"
        )
    seeds = [f"h{number}.test" for number in range(4)]
    with usual.running() as served:
        before = cost_of(served, served.url("a.test"), tmp_path / "usual.db")
    with long.running() as served:
        cost = cost_of(served, served.url(seeds[0]), tmp_path / "long.db")
    print(f"a sitemap of 40 MiB: {cost}, a small page: {before}")
    assert cost.crawl_mib < before.crawl_mib + 30


@pytest.mark.thorough
async def test_sitemaps_that_cannot_be_packed_neither_use_up_the_memory_nor_stop_the_crawl(tmp_path: Path) -> None:
    """Each is cut at 16 MiB, and said to be; beside them, pages are fetched."""
    noise = os.urandom(9 * MIB).hex().encode().translate(bytes.maketrans(b"0123456789abcdef", b"ghijklmnopqrstuv"))
    random_bytes = os.urandom(24 * MIB).translate(None, b"<>&\0")
    web = FakeWeb()
    pages = [f"/page{number}" for number in range(20)]
    for number in range(3):
        site = web.host(f"h{number}.test")
        body = b"<rss><item><link>http://other.test/</link></item><!-- " + noise[:100] + b" -->" + random_bytes
        site.page("/map.xml", body=body, content_type="text/xml")
        site.page("/", links=pages)
        for page in pages:
            site.page(page, body=b"<p>" + noise[: 200 * 1024], content_type="text/html")
    with web.running() as served:
        seeds = [served.url(name, path) for name in web.sites for path in ("/map.xml", "/")]
        async with watched_loop() as watch:
            done = await crawled(served, tmp_path, seeds, memory_bytes=8 * MIB, scope=ScopeRule.HOST, timeout_s=60.0)
    print(f"the event loop computed at most {watch.longest_s * 1000:.0f} ms at a time")
    assert done.summary.urls["fetched"] == 3 * (len(pages) + 2)
    cut = done.rows("SELECT truncated, bytes < 18000000, message FROM fetches WHERE message IS NOT NULL")
    assert [(truncated, small) for truncated, small, _said in cut] == [(1, 1)] * 3
    assert all(" bytes came; 1 entries were read" in said for _truncated, _small, said in cut), cut
    assert done.summary.cut_sitemaps == 3


@pytest.mark.thorough
async def test_a_sitemap_that_never_ends_is_cut_at_four_times_the_deadline(tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\n\r\n<urlset>" + b" " * 8192
    web = FakeWeb()
    site = web.host("a.test")
    site.raw("/map.xml", repeating(head, b"<url><loc>http://a.test/x</loc></url>", every_s=0.05))
    site.page("/", links=["/1", "/2"])
    for path in ("/1", "/2"):
        site.page(path)
    with web.running() as served:
        seeds = [served.url("a.test", "/map.xml"), served.url("a.test")]
        done = await crawled(served, tmp_path, seeds, timeout_s=0.6, scope=ScopeRule.HOST)
    assert done.urls()["/map.xml"] == ("failed", "timeout")
    [(elapsed_s,)] = done.rows("SELECT elapsed_s FROM fetches WHERE failure = 'timeout'")
    assert elapsed_s >= 2.3
    assert done.pages() == {served.url("a.test", path) for path in ("/", "/1", "/2")}
