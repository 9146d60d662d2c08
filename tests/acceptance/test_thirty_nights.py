"""30 nights of `--max-age auto` over a real server whose pages change at known rates; only the date is made up."""

from __future__ import annotations

import random
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from crawler import CrawlConfig, NetworkConfig, PolitenessConfig, RecrawlConfig
from crawler.clock import Clock
from crawler.engine import Crawl
from crawler.fakeweb import FakeWeb

DAY_S = 86400.0
NIGHTS = 30
PAGES = 120
DAYS_BETWEEN_CHANGES = (None, None, None, None, None, 30.0, 30.0, 7.0, 7.0, 1.0)  # a page's number decides, modulo ten


@pytest.mark.timeout(240)
async def test_every_version_that_was_live_when_its_url_was_requested_is_in_the_history_once(tmp_path: Path) -> None:
    chance = random.Random(30)
    web = FakeWeb()
    site = web.site("a.test", pages=PAGES)
    versions = dict.fromkeys(site.links, 0)
    requested: dict[str, list[int]] = {path: [] for path in site.links}
    requests = 0
    async with web.serve() as served:
        for night in range(NIGHTS):
            for number, path in enumerate(site.links):
                days = DAYS_BETWEEN_CHANGES[number % 10]
                versions[path] += days is not None and chance.random() < 1 / days
                headers = {"ETag": f'"{versions[path]}"'} if number % 3 else {}
                site.page(path, text=f"version {versions[path]}", links=site.links[path], headers=headers)
            before = len(served.log)
            config = CrawlConfig(
                db=tmp_path / "crawl.db",
                politeness=PolitenessConfig(delay_s=0, per_host=8),
                network=NetworkConfig(dns_server=served.dns, allow_private=("127.0.0.0/8",)),
                recrawl=RecrawlConfig(max_age_s="auto"),
            )
            await Crawl([served.url("a.test")], config, clock=_clock(night))
            paths = [hit.target for hit in served.log[before:] if hit.target != "/robots.txt"]
            assert len(paths) == len(set(paths))  # none twice in a run
            requests += len(paths)
            for path in paths:
                requested[path].append(versions[path])
        urls = {served.url("a.test", path): path for path in site.links}
    assert PAGES < requests <= 0.4 * PAGES * NIGHTS
    assert _histories(tmp_path / "crawl.db", urls) == {
        path: [f"version {version}" for version in sorted(set(seen))] for path, seen in requested.items()
    }


def _clock(night: int) -> Clock:
    """It goes on as time does, but each night is a day after the one before."""
    ahead_s = night * DAY_S
    return Clock(wall=lambda: time.time() + ahead_s)


def _histories(db: Path, urls: dict[str, str]) -> dict[str, list[str]]:
    """The texts of each path's versions, in the order in which they were stored."""
    histories: dict[str, list[str]] = {path: [] for path in urls.values()}
    with closing(sqlite3.connect(db)) as connection:
        rows = connection.execute("SELECT url, text FROM pages JOIN urls ON urls.id = url_id ORDER BY pages.id")
        for url, text in rows:
            histories[urls[url]].append(text[text.index("version") :].split("\n")[0])
    return histories
