"""A whole run ends in the same database over sockets and parser processes, and in one process without any."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from crawler import CrawlConfig, NetworkConfig, PolitenessConfig, RunConfig, Summary, crawl
from crawler.clock import Clock
from crawler.counters import Counters
from crawler.fakeweb import Answer, FakeWeb, Fault
from crawler.fakeweb.fetcher import open_fake_fetcher
from crawler.output.observer import Observer
from crawler.parsing.inline import InlineParser
from crawler.parsing.settings import ReaderSettings
from crawler.run import Parts, Run
from crawler.seeds import parse_seeds
from crawler.storage.location import database_at

LOOPBACK = ("127.0.0.0/8",)


def _web() -> FakeWeb:
    web = FakeWeb()
    site = web.site("a.test", pages=30)
    site.page("/", title="Home", links=["/p1", "/old", "/gone", "/private", "/breaks", "/flaky", "/x.png"])
    site.robots("User-agent: *\nDisallow: /private\nSitemap: http://a.test/sitemap.xml\n")
    site.sitemap("/sitemap.xml", ["/only-here"])
    site.page("/only-here", title="Only in the sitemap")
    site.redirect("/old", "http://b.test/new")
    site.status("/gone", 410)
    site.answer("/breaks", Fault.DISCONNECT)
    site.sequence("/flaky", Fault.DISCONNECT, Answer.page(title="At last"))
    site.answer("/x.png", Answer(body=b"\x89PNG", content_type="image/png"))
    web.host("b.test").page("/new", title="New", links=["http://refused.test/", "http://nowhere.test/"])
    web.host("refused.test", listening=False)
    return web


@pytest.mark.thorough
async def test_the_same_crawl(tmp_path: Path) -> None:
    """Statuses, reasons, titles and links are the same, and nothing was asked for more often."""
    (served, over_sockets), (declared, in_process) = await asyncio.gather(
        _crawled_over_sockets(_web(), tmp_path / "sockets.db"), _crawled_in_process(_web(), tmp_path / "declared.db")
    )
    assert declared == served
    assert len(served["urls"]) > 35
    assert (in_process.complete, in_process.by_status) == (over_sockets.complete, over_sockets.by_status)
    assert in_process.by_failure == over_sockets.by_failure
    assert in_process.requests == over_sockets.requests


async def _crawled_over_sockets(web: FakeWeb, db: Path) -> tuple[dict[str, Any], Summary]:
    async with web.serve() as served:
        summary = await crawl([served.url("a.test")], _config(db, dns_server=served.dns))
        return _content(db, f":{served.port}"), summary


async def _crawled_in_process(web: FakeWeb, db: Path) -> tuple[dict[str, Any], Summary]:
    config, counters, clock = _config(db), Counters(), Clock()
    async with database_at(db).open_store() as store:
        with open_fake_fetcher(web, config.network, counters, clock=clock) as fetcher:
            parser = InlineParser(ReaderSettings(product_token=config.network.product_token))
            parts = Parts(store=store, fetcher=fetcher, parser=parser, counters=counters)
            run = Run(config, parts, Observer(), clock)
            await run.begin(parse_seeds([fetcher.directory.url("a.test")]))
            summary = await run.crawl()
    return _content(db, ""), summary


def _config(db: Path, **network: Any) -> CrawlConfig:
    return CrawlConfig(
        db=db,
        network=NetworkConfig(allow_private=LOOPBACK, retries=1, **network),
        # one request at a time, so that what finds a kept connection is the same in both
        politeness=PolitenessConfig(delay_s=0.0, per_host=1),
        run=RunConfig(max_wait_s=10.0),
    )


def _content(db: Path, port: str) -> dict[str, Any]:
    with closing(sqlite3.connect(db)) as connection:
        urls = connection.execute("SELECT url, status, reason, depth, attempts FROM urls").fetchall()
        pages = connection.execute("SELECT u.url, title, text FROM pages p JOIN urls u ON u.id = p.url_id").fetchall()
        links = connection.execute(
            "SELECT u.url, t.url, anchor FROM links l JOIN pages p ON p.id = l.page_id JOIN urls u ON u.id = p.url_id"
            " JOIN urls t ON t.id = l.target_id"
        ).fetchall()
    content: dict[str, Any] = {"urls": urls, "pages": pages, "links": links}
    return {
        name: sorted((tuple(_without(port, value) for value in row) for row in rows), key=repr)
        for name, rows in content.items()
    }


def _without(port: str, value: Any) -> Any:
    return value.replace(port, "") if port and isinstance(value, str) else value
