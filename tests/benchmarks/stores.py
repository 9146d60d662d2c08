"""What a commit costs in each store, without a web: `python -m tests.benchmarks.stores [--pages N] [--links N] ...`.

Batches of made-up pages are stored in SQLite and in PostgreSQL in turn. CPU is counted, not the clock: of this process
(with SQLite all of it, with PostgreSQL the client's part), and of all of the server's processes. A page has 3 KB of
text, 5 KB of body, and as many links as asked for: most of them its host's menu, some new, some to a pool of each host.
The last line says whether the server keeps to what a page may cost it.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from crawler.records import (
    ChangeRate,
    Claim,
    Difference,
    FoundBy,
    Links,
    Page,
    Response,
    Result,
    Revisit,
    StoredBody,
    Target,
    UrlStatus,
    Verdict,
)
from crawler.storage.interface import Store
from crawler.storage.location import database_at
from crawler.urls import host_of
from tests.postgres.instance import Instance, an_instance
from tests.postgres.sql import rows

_BATCH = 256
_HOSTS = 300
_ELSEWHERE = 0.2  # of the links that are not the menu's
_WORDS = ["".join(random.Random(n).choices("abcdefghijklmnopqrstuvwxyz", k=2 + n % 8)) for n in range(4000)]
_MOST_SERVER_MS = 0.5  # with 107 links
_SERVER_MS = "server CPU ms"


@dataclass(slots=True)
class Web:
    """Pages as they come, the same ones for each store."""

    links: int
    new: int
    pool: int
    random: random.Random = field(default_factory=lambda: random.Random(5))
    menus: dict[str, list[Target]] = field(default_factory=dict)

    def result(self, claim: Claim, now: float) -> Result:
        """Of a visit that has found a page."""
        targets = self._targets(claim.host)
        text = " ".join(self.random.choices(_WORDS, k=520))
        anchors = [f"to {target.url[-14:-5]}" for target in targets]
        links = Links([target.url for target in targets], anchors, [""] * len(targets), [False] * len(targets))
        noise = self.random.randbytes
        page = Page(
            url=claim.url, title=text[:30], description=text[:80], text=text, headings=((1, text[:30]),),
            content_hash=noise(16), metadata_hash=noise(16), links=links, links_total=len(links), encoding="utf-8",
        )  # fmt: skip
        head = ((b"Date", str(now).encode()), (b"Content-Type", b"text/html"), (b"ETag", noise(6).hex().encode()))
        attempt = Response(
            url=claim.url, status_code=200, size=20_000, content_type="text/html", started_at=now, elapsed_s=0.1,
            first_byte_s=0.05, address="127.0.0.1", head=head,
        )  # fmt: skip
        return Result(
            claim=claim, verdict=Verdict(status=UrlStatus.FETCHED), difference=Difference.FIRST, attempt=attempt,
            page=page, link_targets=tuple(targets), body=StoredBody(digest=noise(16), size=20_000, zstd=noise(5000)),
            revisit=Revisit(at=now + 86_400, rate=ChangeRate(changes=1.0, watched_s=1e5)), requests=1,
        )  # fmt: skip

    def _targets(self, host: str) -> list[Target]:
        menu = self.menus.get(host)
        if menu is None:
            number = self.links - self.new - self.pool
            menu = self.menus[host] = [a_link(f"http://{host}/menu/{n}.html") for n in range(number)]
        chance = self.random
        new = [f"http://{self._host(host)}/articles/{chance.getrandbits(48):012x}.html" for _ in range(self.new)]
        pool = [f"http://{self._host(host)}/pool/{chance.randrange(400)}.html" for _ in range(self.pool)]
        return [*menu, *map(a_link, new), *map(a_link, pool)]

    def _host(self, own: str) -> str:
        return a_host(self.random.randrange(_HOSTS)) if self.random.random() < _ELSEWHERE else own


def a_host(number: int) -> str:
    """The name of one of the hosts."""
    return f"h{number}.example.test"


def a_link(url: str) -> Target:
    """It was found on a page."""
    return Target(url=url, host=host_of(url), depth=1, found_by=FoundBy.LINK)


class Server:
    """A PostgreSQL server, and what it has used: all of its processes, those that ended included."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._cpu_s = 0.0
        self._log = ""

    def begin(self) -> None:
        """Count from here on."""
        self._cpu_s, self._log = self._instance.cpu_s(), self._asked("SELECT pg_current_wal_lsn()::text")

    def figures(self, pages: int) -> dict[str, float]:
        """A page."""
        written = float(self._asked(f"SELECT (pg_current_wal_lsn() - '{self._log}')::float8"))
        used = self._instance.cpu_s() - self._cpu_s
        return {_SERVER_MS: used / pages * 1000, "WAL KB": written / pages / 1024}

    def _asked(self, sql: str) -> Any:
        return rows(self._instance.dsn("crawl"), sql)[0][0]


async def measure(store: Store, web: Web, pages: int, server: Server | None) -> dict[str, float]:
    """Store so many pages, after a first batch that counts for nothing."""
    await store.begin_run({"scope": {"max_pages": None}}, time.time())
    await store.add([a_link(f"http://{a_host(n)}/{m}") for n in range(_HOSTS) for m in range(20)], time.time())
    stored, commit_s, feed_s, is_first = 0, 0.0, 0.0, True
    while stored < pages:
        now, began = time.time(), time.process_time()
        hosts = (await store.due_hosts(now, None, _BATCH)).rows
        web.random.shuffle(hosts)
        claims = (await store.due_urls([host.host_id for host in hosts[:64]], 4, now))[:_BATCH]
        fed = time.process_time()
        results = [web.result(claim, now) for claim in claims]
        made = time.process_time()
        await store.commit(results, now)
        if not is_first:
            stored, feed_s, commit_s = (
                stored + len(results),
                feed_s + fed - began,
                commit_s + time.process_time() - made,
            )
        elif server is not None:
            server.begin()
        is_first = False
    figures = {"commit CPU ms": commit_s / stored * 1000, "feed CPU ms": feed_s / stored * 1000}
    return figures if server is None else figures | server.figures(stored)


@asynccontextmanager
async def sqlite() -> AsyncIterator[tuple[Store, Server | None]]:
    """A new file."""
    with tempfile.TemporaryDirectory() as folder:
        async with database_at(Path(folder, "crawl.db")).open_store() as store:
            yield store, None


@asynccontextmanager
async def postgres() -> AsyncIterator[tuple[Store, Server | None]]:
    """A new server, which commits as one that people use does."""
    with an_instance() as instance:
        instance.create()
        instance.start(full_page_writes="on", max_wal_size="4GB")
        instance.run("createdb", "-h", "127.0.0.1", "-p", str(instance.port), "-U", "crawl", "crawl")
        async with database_at(instance.dsn("crawl")).open_store() as store:
            yield store, Server(instance)


async def main() -> None:
    """Print a line a store and round."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.stores", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--pages", type=int, default=5000, help="stored a round")
    parser.add_argument("--links", type=int, default=107, help="a page")
    parser.add_argument("--new", type=int, default=11, help="of its links: URLs that nobody has seen")
    parser.add_argument("--pool", type=int, default=11, help="of its links: URLs of a pool of 400 a host")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    used = []
    for _ in range(asked.rounds):
        for name, opened in (("SQLite", sqlite), ("PostgreSQL", postgres)):
            async with opened() as (store, server):
                figures = await measure(store, Web(asked.links, asked.new, asked.pool), asked.pages, server)
            print(f"{name:10}  " + "  ".join(f"{title} {figure:.3f}" for title, figure in figures.items()), flush=True)
            if server is not None:
                used.append(figures[_SERVER_MS])
    print(f"PostgreSQL's server: {median(used):.2f} ms CPU a page with {asked.links} links (at most {_MOST_SERVER_MS})")


if __name__ == "__main__":
    asyncio.run(main())
