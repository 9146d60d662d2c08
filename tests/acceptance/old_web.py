"""The made-up web that database_0_1_0.sql is a crawl of; run as a program, this makes that dump anew.

It was made by the code of version 0.1.0 (commit 7733d99), from the root of a checkout of that commit:

    PYTHONPATH=. python .../tests/acceptance/old_web.py > .../tests/acceptance/database_0_1_0.sql

Some URLs are shut out by that version's store alone, since it would take a thousand pages to close a place.
"""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from importlib import import_module
from pathlib import Path

from crawler.fakeweb import FakeWeb, Served

PORT = 8017
SHUT_OUT = {
    "/calendar?month=998&year=9": "trap: pages alike in /calendar?month&year",
    "/list?sid=0123456789abcdef": "trap: session ids",
    "/one-more": "trap: URLs of the host",
    "/other": "include",
}
DAYS = 130  # pages of it that are stored
MADE_AT = 1_700_000_000.0  # the times are moved to about then: in the past of whoever reads this
SLOW = 30  # pages of the site in which the last run is killed


_TIMES = [
    *(("runs", column) for column in ("started_at", "ended_at")),
    *(("hosts", column) for column in ("next_due_at", "back_off_until")),
    *(("origins", column) for column in ("robots_fetched_at", "robots_expires_at")),
    *(("urls", column) for column in ("discovered_at", "fetched_at", "next_fetch_at", "revisit_at")),
    ("fetches", "started_at"),
]


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


def _options(served: Served, db: Path) -> list[str]:
    return ["--db", str(db), "--allow-private", "127.0.0.0/8", "--dns-server", served.dns, "--delay", "0", "--quiet"]


def _dump(db: Path) -> None:
    asyncio.run(_shut_out(db))
    with closing(sqlite3.connect(db)) as connection:
        for table, column in _TIMES:
            connection.execute(
                f"UPDATE {table} SET {column} = {column} - ? WHERE {column} > 0", (time.time() - MADE_AT,)
            )
        connection.commit()
        for name in ("application_id", "user_version"):
            print(f"PRAGMA {name} = {connection.execute(f'PRAGMA {name}').fetchone()[0]};")
        print("\n".join(connection.iterdump()))


async def _shut_out(db: Path) -> None:

    records, rooms = import_module("crawler.records"), import_module("crawler.storage.store")  # of that version
    async with rooms.open_store(db) as store:
        for path, reason in SHUT_OUT.items():
            url = f"http://calendar.test:{PORT}{path}"
            await store.add([records.Target(url=url, host="calendar.test", depth=2, reason=reason)], time.time())


def _make(db: Path) -> None:
    """Four runs: the site, again with one page changed, the calendar, and one that is killed."""
    bounded = ["--scope", "domain", "--max-hosts-per-domain", "3", "--max-depth", "2", "--exclude", "/skip/"]
    bounded += ["--max-path-segments", "6", "--max-query-params", "4", "--retries", "1", "--max-wait", "0s"]
    crawl = [sys.executable, "-m", "crawler", "crawl"]
    for version, more in ((1, []), (2, ["--max-age", "0s"])):
        with old_web(version).running(port=PORT) as served:
            seeds = [served.url("a.test"), served.url("wild.test")]
            subprocess.run([*crawl, *seeds, *_options(served, db), *bounded, *more], check=True)
    with old_web(2).running(port=PORT) as served:
        subprocess.run([*crawl, served.url("calendar.test"), *_options(served, db), *bounded], check=True)
        slow = [*crawl, served.url("slow.test", "/0"), *_options(served, db), *bounded, "--concurrency", "1"]
        killed = subprocess.Popen(slow)
        while len(served.hits("slow.test")) < SLOW // 2 and killed.poll() is None:
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
        killed.wait()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        _make(Path(folder, "crawl.db"))
        _dump(Path(folder, "crawl.db"))
