"""One crawl with some of everything that there is to ask for, in a SQLite file and, copied, in PostgreSQL."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from crawler import crawl
from crawler.fakeweb import FakeWeb, Site
from crawler.location import DatabaseUrl, Location, location
from crawler.rule_tables import read_rules
from crawler.storage.copying.copying import copy_crawl
from tests.integration.test_views import config_for, first_day, second_day
from tests.postgres.server import Server

RULES = read_rules(
    [
        {"name": "product", "match": "/rich*", "fields": {"name": "h1", "price": {"from": ".price", "type": "price"}}},
        {"name": "empty", "match": "/poor", "fields": {"name": {"from": ".nowhere", "required": True}}},
    ]
)

_HEAD = """
<meta name="description" content="the same words"><meta name="author" content="A. Uthor">
<link rel="alternate" hreflang="de" href="/plain"><link rel="alternate" hreflang="fr" href="/nowhere">
<link rel="alternate" type="application/rss+xml" title="News" href="/feed.xml"><script src="http://cdn.test/a.js"></script>
<script type="application/ld+json">{"a": 1</script><script type="application/ld+json">{"b": [2]}</script>
"""
_MARKUP = """
<h1>One</h1><p class="price">3.50 EUR</p><img src="/a.png" alt="an image" width="10"><img src="/b.png">
<a href="/plain#there">there</a><a href="/plain#elsewhere" rel="nofollow ugc">elsewhere</a>
"""
_MORE = ("/rich", "/rich-too", "/poor", "/poor-too", "/plain", "/long")


class Both(NamedTuple):
    """The same crawl, twice."""

    file: Path
    url: DatabaseUrl

    @property
    def dsn(self) -> str:
        """Of the second, for who asks the server itself."""
        return self.url.with_password

    def places(self) -> tuple[Location, Location]:
        """Each as the archive takes it."""
        return self


@contextmanager
def both_crawls(folder: Path, server: Server) -> Iterator[Both]:
    """A crawl with two runs; whoever changes one of the two changes it for all that share it."""
    file = folder / "crawl.db"
    asyncio.run(_crawl(file))
    _change(file)
    with server.database() as dsn:
        place = location(dsn)
        assert isinstance(place, DatabaseUrl)
        asyncio.run(copy_crawl(file, place, lambda _what, _done, _total: None))
        yield Both(file, place)


async def _crawl(db: Path) -> None:
    web = FakeWeb()
    site = web.host("a.test")
    _declare(site)
    async with web.serve() as served:
        origin = served.url("a.test", "/")[:-1]
        site.sitemap("/sitemap.xml", [f"{origin}/orphan", f"{origin}/hidden", f"{origin}/for-ok"])
        site.robots(f"User-agent: *\nDisallow: /private\nSitemap: {origin}/sitemap.xml\n")
        config = replace(config_for(db, served), rules=RULES)
        await crawl([f"{origin}/"], config)
        second_day(site)
        site.page("/plain", title="Plain", text="changed since", language="de-AT")
        await crawl([f"{origin}/"], replace(config_for(db, served, again=True), rules=RULES))


def _declare(site: Site) -> None:
    first_day(site)
    site.page("/ok", title="Ok", links=["/", "/dead", *_MORE])
    site.page("/orphan", title="Orphan", text="in the sitemap", links=["/orphan"])
    site.page("/rich", title="Rich", text="rich", head=_HEAD, markup=_MARKUP)
    site.page("/rich-too", title="Rich", text="rich, too", head=_HEAD, markup=_MARKUP)
    for path in ("/poor", "/poor-too"):
        site.page(path, title="Poor", text="poor")
    site.page("/plain", title="Plain", text="plain", language="de-AT")
    site.page(
        "/long", title="long " * 20, text="x", head=f'<meta name="description" content="{"word " * 50}">', language="de"
    )


def _change(file: Path) -> None:
    """As if one page had come over https, and one were due again."""
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE urls SET url = replace(url, 'http:', 'https:') WHERE url LIKE '%/rich-too'")
        connection.execute("UPDATE urls SET status = 'pending', next_fetch_at = 1e10 WHERE url LIKE '%/long'")
        connection.execute("UPDATE hosts SET next_due_at = 1e10 WHERE pending > 0")
