"""A small site that has one of each thing, crawled on two nights in virtual time, for the commands that read a crawl.

Its times are known, its URLs have no port, and nothing listens: only the database is real.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crawler.fakeweb import FakeWeb, Site
from tests.frontier.crawls import DAY_S, NIGHT, crawled

SITE = "https://example.com"
EVIL = "=cmd()\x1b[31m\u202eevil\x9b2J"
EVIL_SHOWN = "=cmd()\ufffd[31mevil\ufffd2J"
LINKS = [
    ("/docs/", "the docs"), ("/dead", "dead end"), ("/forbidden", "no entry"), ("/old", "moved"),
    ("/private/1", "mine"), ("https://other.test/", "elsewhere"), ("/evil", EVIL), ("/same-1", "one"),
    ("/same-2", "two"), ("/shaky", "shaky"), ("/x/x/x/x/x", "deep"), ("/leaving", "leaving"), ("/loop-a", "round"),
]  # fmt: skip
OPTIONS: dict[str, Any] = {"retries": 0}


def known_web() -> FakeWeb:
    """As it is on the first night."""
    web = FakeWeb()
    site = web.host("example.com", tls=True)
    site.robots(f"User-agent: *\nDisallow: /private\nSitemap: {SITE}/sitemap.xml\n")
    site.sitemap("/sitemap.xml", [f"{SITE}/orphan"])
    site.page("/", title="Home", links=LINKS, head='<meta name="description" content="All that is known">')
    docs: list[str | tuple[str, str]] = ["/docs/a", ("/docs/a#details", "the details"), ("/docs/a#nowhere", "nothing")]
    site.page("/docs/", title="Docs", links=docs, text="Read me")
    site.page("/docs/a", title="Part A", text="The first version", markup='<h2 id="details">Details</h2>')
    site.status("/dead", 404)
    site.status("/forbidden", 403)
    site.redirect("/old", "/older", status=301)
    site.redirect("/older", "/docs/")
    site.redirect("/loop-a", "/loop-b")
    site.redirect("/loop-b", "/loop-a")
    site.page("/evil", title=EVIL, text=EVIL)
    for path in ("/same-1", "/same-2"):
        site.page(path, title="Same", text="word for word")
    site.page("/shaky", title="Shaky", text="up and down")
    site.page("/leaving", title="Leaving", text="here today")
    site.page("/orphan", title="Orphan", text="only in the sitemap")
    return web


def second_night(site: Site) -> None:
    """What has become of it."""
    site.page("/docs/a", title="Part A", text="The second version", markup='<h2 id="details">Details</h2>')
    site.status("/shaky", 500)
    site.status("/leaving", 410)


def crawl_known_web(db: Path) -> None:
    """Both nights."""
    web = known_web()
    crawled(web, db, f"{SITE}/", **OPTIONS)
    second_night(web.sites["example.com"])
    crawled(web, db, at=NIGHT + DAY_S, max_age_s=0.0, **OPTIONS)
