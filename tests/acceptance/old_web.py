"""The made-up web that database_0_1_0.sql is a crawl of; see old_crawls.py.

Some URLs are shut out by the store of version 0.1.0 alone, since it would take a thousand pages to close a place.
"""

from __future__ import annotations

import asyncio

from crawler.fakeweb import FakeWeb

PORT = 8017
SHUT_OUT = {
    "/calendar?month=998&year=9": "trap: pages alike in /calendar?month&year",
    "/list?sid=0123456789abcdef": "trap: session ids",
    "/one-more": "trap: URLs of the host",
    "/other": "include",
}
DAYS = 130  # pages of it that are stored
SLOW = 30  # pages of the site in which the last run is killed


def old_web(version: int = 1) -> FakeWeb:
    """The web as it was; each version says something else at /changes. What has links has an entity tag: they lead to
    another port whenever the web is served, so that their content is never the same.
    """
    web = FakeWeb()
    _site(web, version)
    for number in range(5):
        web.host(f"h{number}.wild.test").page("/", title=f"wild {number}")
    web.host("wild.test").page(
        "/", title="Wild", headers={"ETag": '"wild"'}, links=[f"http://h{number}.wild.test/" for number in range(5)]
    )
    web.host("refused.a.test", listening=False)
    web.host("unknown.a.test", dns="nxdomain")
    calendar = web.host("calendar.test")
    days = [f"/calendar?month={number}&year=1" for number in range(DAYS)]
    calendar.page("/", title="Calendar", headers={"ETag": '"days"'}, links=days)
    for day in days:
        calendar.page(day, title="A day", headers={"ETag": '"day"'})
    slow = web.host("slow.test")
    for number in range(SLOW):
        links = [f"/{other}" for other in range(SLOW)]
        slow.page(f"/{number}", title=f"Slow {number}", headers={"ETag": '"slow"'}, links=links, delay_s=0.05)
    return web


def _site(web: FakeWeb, version: int) -> None:
    """One URL for each thing that becomes of one."""
    site = web.host("a.test")
    site.robots("User-agent: *\nDisallow: /private\n")
    site.page(
        "/",
        title="Home",
        headers={"ETag": '"home"'},
        links=[
            *("/same", "/plain", "/changes", "/old", "/gone", "/forbidden", "/broken", "/garbage", "/deeper", "/r0"),
            *("http://busy.a.test/", "http://refused.a.test/", "http://unknown.a.test/", "http://out.test/"),
            *("/private/1", "/skip/this", "http://a.test:25/", f"/{'long' * 600}", "/1/2/3/4/5/6/7"),
            *("/x?a=1&b=2&c=3&d=4&e=5", "/loop/x/loop/x/loop/x", "/?a=1&a=1&a=1"),
        ],
        markup='<a rel="nofollow" href="/hidden">hidden</a>',
    )
    site.page("/same", title="Same", text="Always the same.", headers={"ETag": '"same"'}, links=["/"])
    site.page("/plain", title="Plain", text="No validators, and no links: only its content tells.")
    site.page("/changes", title="Changes", text=f"This is version {version}.")
    site.redirect("/old", "/same")
    site.status("/gone", 410)
    site.status("/forbidden", 403)
    site.status("/broken", 500)
    web.host("busy.a.test").status("/", 503, headers={"Retry-After": "3600"})
    site.page("/deeper", title="Deeper", headers={"ETag": '"deeper"'}, links=["/deepest"])
    site.page("/deepest", title="Deepest", headers={"ETag": '"deepest"'}, links=["/too-deep"])
    for number in range(12):
        site.redirect(f"/r{number}", f"/r{number + 1}")
    site.raw("/garbage", _answer_garbage)


async def _answer_garbage(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"This is not HTTP.\r\n\r\n")
