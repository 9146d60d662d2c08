"""What a commit costs in each store, without a web: `python -m tests.benchmarks.stores [--pages N] [--links N] ...`.

Batches of made-up pages are stored in SQLite and in PostgreSQL in turn. CPU is counted, not the clock: of this process
(with SQLite all of it, with PostgreSQL the client's part), and of the server's sessions. A page has 3 KB of text, 5 KB
of body, and as many links as asked for: most of them its host's menu, some new, some to a pool of each host.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

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
from tests.postgres.instance import an_instance

_BATCH = 256
_HOSTS = 300
_ELSEWHERE = 0.2  # of the links that are not the menu's
_WORDS = ["".join(random.Random(n).choices("abcdefghijklmnopqrstuvwxyz", k=2 + n % 8)) for n in range(4000)]
_TICKS = os.sysconf("SC_CLK_TCK")


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
    """A PostgreSQL server, and what its sessions with the crawl have cost."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._before: dict[int, float] = {}
        self._wal = ""

    async def begin(self) -> None:
        """Count from here on."""
        self._before, self._wal = await self._used(), await self._ask("SELECT pg_current_wal_lsn()::text")

    async def figures(self, pages: int) -> dict[str, float]:
        """A page."""
        cpu_s = sum(used - self._before.get(pid, 0.0) for pid, used in (await self._used()).items())
        written = float(await self._ask(f"SELECT (pg_current_wal_lsn() - '{self._wal}')::float8"))
        return {"server CPU ms": cpu_s / pages * 1000, "WAL KB": written / pages / 1024}

    async def _used(self) -> dict[int, float]:
        pids = await self._ask("SELECT array_agg(pid) FROM pg_stat_activity WHERE datname = 'crawl'")
        return {pid: used for pid in pids or () if (used := _cpu_s(pid)) is not None}

    async def _ask(self, sql: str) -> Any:
        connection = await asyncpg.connect(self._dsn)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()


def _cpu_s(pid: int) -> float | None:
    with suppress(FileNotFoundError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS
    return None


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
            await server.begin()
        is_first = False
    figures = {"commit CPU ms": commit_s / stored * 1000, "feed CPU ms": feed_s / stored * 1000}
    return figures if server is None else figures | await server.figures(stored)


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
            yield store, Server(instance.dsn())


async def main() -> None:
    """Print a line a store and round."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.stores", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--pages", type=int, default=5000, help="stored a round")
    parser.add_argument("--links", type=int, default=107, help="a page")
    parser.add_argument("--new", type=int, default=11, help="of its links: URLs that nobody has seen")
    parser.add_argument("--pool", type=int, default=11, help="of its links: URLs of a pool of 400 a host")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    for _ in range(asked.rounds):
        for name, opened in (("SQLite", sqlite), ("PostgreSQL", postgres)):
            async with opened() as (store, server):
                figures = await measure(store, Web(asked.links, asked.new, asked.pool), asked.pages, server)
            print(f"{name:10}  " + "  ".join(f"{title} {figure:.3f}" for title, figure in figures.items()), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
