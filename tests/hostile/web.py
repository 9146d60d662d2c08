"""What the hostile tests share: answers that misbehave, a crawl among them, and what it cost.

The answers are handlers for `fakeweb`: given to `Site.raw` they get the connection after the head of the request was
read, given to `Site.connection` before anything was.
"""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urljoin

from crawler import CrawlConfig, NetworkConfig, PolitenessConfig, RunConfig, ScopeConfig, Summary, crawl
from crawler.config import ScopeRule
from crawler.fakeweb import Served, StreamHandler

LOOPBACK = ("127.0.0.0/8",)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
MAX_BUSY_S = 0.2  # of the event loop's time, for one turn
TICK_S = 0.001
TICKS_PER_YARDSTICK = 50
YARDSTICK_S = 0.0022  # 2 cores of an Intel Xeon VM, nothing else running


def answering(raw: bytes, *, stays_open: bool = False) -> StreamHandler:
    """These bytes, and then the end of the connection, or nothing more for ever."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()
        if stays_open:
            await asyncio.Event().wait()

    return answer


def repeating(first: bytes, piece: bytes, *, every_s: float = 0.0) -> StreamHandler:
    """`first`, and then `piece` for ever: as fast as it is taken, or one each `every_s` seconds."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(every_s)

    return answer


def to_each_request(answer: StreamHandler) -> StreamHandler:
    """For `Site.connection`: the answer once the head of a request has come, whatever it asks for."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await answer(reader, writer)

    return serve


ENDLESS: dict[str, StreamHandler] = {
    "body": repeating(HEAD + b"\r\n", b"<p>more" * 1024),
    "fields": repeating(HEAD, b"X-More: and more\r\n" * 64),
    "a field": repeating(HEAD + b"X: ", b"x" * 4096),
    "cookies": repeating(HEAD, b"Set-Cookie: a=b\r\n" * 64),
    "100 continue": repeating(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 64),
    "slow 100 continue": repeating(b"", b"HTTP/1.1 100 Continue\r\n\r\n", every_s=0.5),
    "slow fields": repeating(HEAD, b"X: y\r\n", every_s=0.5),
    "drip": repeating(HEAD + b"Content-Length: 1000000\r\n\r\n", b"x", every_s=0.5),
    "drip of chunks": repeating(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", every_s=0.5),
    "chunk extension": repeating(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x" * 4096, every_s=0.01),
    "silence": answering(b"", stays_open=True),
    "silence after the head": answering(HEAD + b"Content-Length: 1000000\r\n\r\n", stays_open=True),
}


async def never(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """A connection on which nothing ever happens: of a TLS client, a handshake that never ends."""
    await asyncio.Event().wait()


@dataclass(frozen=True)
class Database:
    """What a crawl has left."""

    db: Path

    def rows(self, sql: str, *parameters: Any) -> list[Any]:
        """What a query gives on its database."""
        with closing(sqlite3.connect(f"file:{self.db}?mode=ro", uri=True)) as connection:
            return connection.execute(sql, parameters).fetchall()

    def urls(self) -> dict[str, tuple[str, str | None]]:
        """Status and reason of every URL but robots.txt, by the URL's path and query."""
        rows = self.rows("SELECT url, status, reason FROM urls WHERE kind != 'robots'")
        return {"/" + url.split("/", 3)[3]: (status, reason) for url, status, reason in rows}

    def pages(self) -> set[str]:
        """The URLs of the stored pages."""
        return {url for (url,) in self.rows("SELECT u.url FROM pages p JOIN urls u ON u.id = p.url_id")}


async def crawled(
    served: Served,
    folder: Path,
    seeds: Iterable[str],
    *,
    delay_s: float = 0.0,
    per_host: int = 8,
    max_wait_s: float = 0.0,
    scope: ScopeRule = ScopeRule.ANY,
    max_runtime_s: float | None = None,
    parse_timeout_s: float = 10.0,
    adaptive_pace: bool = True,
    **network: Any,
) -> Crawled:
    """The whole crawler on these seeds, with the web's own DNS; loopback is open to it and nothing is tried again,
    unless `network` says otherwise.
    """
    usual: dict[str, Any] = {"dns_server": served.dns, "allow_private": LOOPBACK, "retries": 0}
    db = folder / "crawl.db"
    config = CrawlConfig(
        db=db,
        scope=ScopeConfig(scope=scope, guess_sitemap=False),
        politeness=PolitenessConfig(delay_s=delay_s, per_host=per_host, per_ip=64, adaptive_pace=adaptive_pace),
        network=NetworkConfig(**(usual | network)),
        run=RunConfig(max_wait_s=max_wait_s, max_runtime_s=max_runtime_s, parse_timeout_s=parse_timeout_s, grace_s=0.0),
    )
    return Crawled(summary=await crawl(list(seeds), config), db=db)


@dataclass(frozen=True)
class Crawled(Database):
    """A crawl that has ended."""

    summary: Summary


_connects: list[Any] = []
_watching = False


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event == "socket.connect" and arguments[0].type & socket.SOCK_STREAM:
        _connects.append(arguments[1])


sys.addaudithook(_audit)  # for good: there is no way to take it away


@asynccontextmanager
async def watched_connects() -> AsyncIterator[list[Any]]:
    """The addresses of all TCP connects of this process, in the block."""
    global _watching
    _connects.clear()
    _watching = True
    try:
        yield _connects
    finally:
        _watching = False


@dataclass(kw_only=True)
class LoopWatch:
    """How long the event loop's thread computed without a turn for anybody else.

    Processor time of that thread, so that what waits changes nothing, and measured by a yardstick: a computation that
    the same thread repeats all the while. Beside other work on the machine both take longer.
    """

    turns_s: list[float] = field(default_factory=list)
    yardsticks_s: list[float] = field(default_factory=list)
    total_s: float = 0.0

    @property
    def longest_s(self) -> float:
        """The longest turn, in seconds of a machine on which the yardstick takes `YARDSTICK_S`."""
        return max(self.turns_s) * YARDSTICK_S / median(self.yardsticks_s)

    @property
    def longest_share(self) -> float:
        """The longest turn, as a part of all that the thread computed while it was watched."""
        return max(self.turns_s) / self.total_s


@asynccontextmanager
async def watched_loop() -> AsyncIterator[LoopWatch]:
    """Watches the running event loop. The servers must run in another thread.

    What the tests before this one have left is kept from the garbage collector meanwhile, as the command does with its
    own: going through that would be the longest turn of all.
    """
    gc.collect()
    gc.freeze()
    watch = LoopWatch()
    begun = time.thread_time()

    async def tick() -> None:
        while True:
            for _ in range(TICKS_PER_YARDSTICK):
                before = time.thread_time()
                await asyncio.sleep(TICK_S)
                watch.turns_s.append(time.thread_time() - before)
            before = time.thread_time()
            dict.fromkeys(urljoin("http://a.test/b/", str(number)) for number in range(300))
            watch.yardsticks_s.append(time.thread_time() - before)

    task = asyncio.create_task(tick())
    try:
        yield watch
    finally:
        gc.unfreeze()
        watch.total_s = time.thread_time() - begun
        task.cancel()


_MEASURED = r"""
import asyncio, json, re, resource, sys, time
from pathlib import Path
from crawler import CrawlConfig, NetworkConfig, PolitenessConfig, ScopeConfig, crawl
url, dns, db = sys.argv[1:]
scope = ScopeConfig(guess_sitemap=False)
config = CrawlConfig(db=db, scope=scope, politeness=PolitenessConfig(delay_s=0), network=NetworkConfig(
    dns_server=dns, allow_private=("127.0.0.0/8",), retries=0))
started = time.monotonic()
async def main():
    await crawl([url], config)
asyncio.run(main())
own = int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1])  # ru_maxrss begins with its parent's
its = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps({"crawl_mib": own / 1024, "parser_mib": its / 1024, "elapsed_s": time.monotonic() - started}))
"""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Peaks of resident memory (the crawl's process; the largest parser process), and the time."""

    crawl_mib: float
    parser_mib: float
    elapsed_s: float


def cost_of(served: Served, url: str, db: Path) -> Cost:
    """A crawl in a process of its own, measured."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, url, served.dns, str(db)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert not done.stderr, done.stderr
    return Cost(**json.loads(done.stdout))
